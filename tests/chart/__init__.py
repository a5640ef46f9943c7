"""Tests of the Helm chart: what it renders, what it refuses, and how a real API server takes it."""
