"""The operator: VyosClusters in, ConfigMaps, key Secrets and conditions out."""
