"""Providers, tested with values and recorded bytes alone."""
