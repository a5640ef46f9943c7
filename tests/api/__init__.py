"""Tests of the user's API: models, generated files, and the CRD in a real API server."""
