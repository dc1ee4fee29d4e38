"""
Sweeps: what has to hold at every moment, tried at very many of them.

``python -m tests.sweeps aborts --count 1000`` and likewise ``resume``, ``idempotency`` and ``concurrency``; small
versions run in the suite. Each records what clients were told, and a checker without I/O, which is itself tested on
wrong recordings, judges it.
"""
