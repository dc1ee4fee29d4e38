"""Hostile requests by the thousand against the ASGI application: ``python -m tests.fuzz --count 200000 --seed 7``."""
