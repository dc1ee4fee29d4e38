"""Ways to an upstream."""
