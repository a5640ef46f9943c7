"""The operator: VyosClusters in, ConfigMaps, key Secrets and conditions out."""

import os

# A container's user may have neither HOME nor an entry in /etc/passwd, and `kubernetes.aio` asks for its home when it
# is imported, whether it reads a kubeconfig there or not.
os.environ.setdefault("HOME", "/")
