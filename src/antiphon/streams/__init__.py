"""Machines without I/O: server-sent events, event order, accumulator, assembler."""
