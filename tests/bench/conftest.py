"""What needs namespaces is left out, with a reason, where they cannot be made."""

from edge.conftest import pytest_collection_modifyitems as pytest_collection_modifyitems
