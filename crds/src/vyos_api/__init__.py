"""The contract between the parts of VyosCluster: API models, names, and the files one part hands to another.

Importing this package costs nothing; the heartbeat process takes only the standard-library modules in it.
"""

__version__ = "0.1.0"
