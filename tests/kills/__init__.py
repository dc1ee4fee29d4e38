"""
The kill sweep: a gateway under load is killed at random moments and restarted on the same file, again and again.

After each restart every turn that a client was told of has to be there as it was told, nothing may be there in half,
and a continuation has to stand on exactly the history that was said. ``python -m tests.kills --count 300``.
"""
