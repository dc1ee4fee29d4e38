"""The ASGI edge: routes, guards, limits, writers. No rules of the API."""
