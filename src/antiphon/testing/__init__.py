"""Shipped test suites and fakes: what a new store or provider is checked with."""
