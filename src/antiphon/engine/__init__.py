"""Use cases: run a turn, retrieve, delete, conversations, retention."""
