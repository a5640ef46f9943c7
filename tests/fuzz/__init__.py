"""Inputs that nobody thought of, by the million."""
