"""Mutants of the core: each takes one defence away, and a named test must notice."""
