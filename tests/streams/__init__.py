"""The machines without I/O: parsing, assembling, order, accumulation."""
