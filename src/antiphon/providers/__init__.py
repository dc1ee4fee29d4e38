"""Upstream dialects, one package or file each. A dialect is found by its module's name."""
