"""The command line `vyos-cluster`: for people, beside kubectl. It knows the API and the daemon's control socket."""
