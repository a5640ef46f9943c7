"""`make bench-scale`: operator and kube-sync against a thousand clusters, on an API server and etcd of their own."""
