// etcd's server, as the module has it; etcd publishes no main package that can be built alone.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
