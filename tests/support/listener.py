"""A listening socket on a free port, as a server needs it that is to answer at once."""

from __future__ import annotations

import socket

__all__ = ["free_listener"]


def free_listener() -> socket.socket:
    """
    A socket that listens on a free loopback port.

    It has the protocol's number: without, asyncio does not know it for TCP and leaves Nagle's algorithm on, which holds
    the second part of every answer back for 40 ms.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    return listener
