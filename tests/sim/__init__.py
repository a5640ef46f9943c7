"""The simulator: whole clusters of the production core on a virtual clock."""
