"""Session stores, one backend each."""
