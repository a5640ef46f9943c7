"""The client for an API server with our CRD in it, as the tests of the API have it."""

from api.conftest import client

__all__ = ["client"]
