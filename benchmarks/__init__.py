"""Benchmarks: a load generator, an upstream and a private nginx, and the table made of them. See README.md."""
