"""Tests of kube-sync, and the two it stands between: a daemon and an API."""
