"""Published suites and documents that the gateway is held against."""
