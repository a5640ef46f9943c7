"""The product on the ground, seen from outside: by a client's probes, the routers' kernels, and kubectl."""
