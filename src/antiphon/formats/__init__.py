"""Client dialects, one package or file each."""
