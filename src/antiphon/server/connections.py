"""
All connections of a process: how many there may be, and the clock that ends those which take too long.

One timer looks at all of them, so that a request costs no timer of its own.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Protocol

from antiphon.hub.errors import TooManyRequests

__all__ = ["ConnectionLimits", "Connections"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """
    What one connection may take, and how many there may be.

    Attributes:
        header_timeout_s: For a request's head, from its first byte; for the first request from the connection on.
        body_timeout_s: For a request's body, and as much longer as *min_rate* gives the bytes that have come.
        send_timeout_s: For an answer whose reader takes nothing, and as much longer as *min_rate* gives the bytes that
            it takes.
        min_rate: Bytes per second that a body, or the reader of an answer, has to keep up in the long run.
        linger_s: How long a client that was refused may go on sending, so that it gets to read why.
        max_connections: In one process, WebSockets included.
        max_per_address: Those from one address. All clients behind one proxy have the proxy's.
        max_pipelined: How many requests may wait on a connection behind the one that is being answered.
    """

    header_timeout_s: float = 10.0
    body_timeout_s: float = 60.0
    send_timeout_s: float = 120.0
    min_rate: int = 4096
    linger_s: float = 2.0
    max_connections: int = 8192
    max_per_address: int = 2048
    max_pipelined: int = 16

    @property
    def look_every_s(self) -> float:
        """How often connections are looked at: often enough to end none much too late."""
        shortest = min(self.header_timeout_s, self.body_timeout_s, self.send_timeout_s, self.linger_s)
        return min(1.0, max(0.05, shortest / 4))


class Connection(Protocol):
    """What is known here of a connection."""

    def look(self, now: float) -> None:
        """End what has taken too long; *now* is the event loop's time."""

    @property
    def address(self) -> str:
        """The address that it comes from, without its port."""

    @property
    def is_open(self) -> bool:
        """Whether its transport has not been closed."""


class Connections:
    """
    Args:
        limits: What holds for each connection, and for all together.
    """

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._open: dict[Connection, None] = {}
        self._upgraded: dict[Connection, None] = {}
        self._by_address: Counter[str] = Counter()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._open) + len(self._upgraded)

    def enter(self, connection: Connection) -> TooManyRequests | None:
        """Take a connection in. Returns why it cannot stay, if it cannot; it has to leave all the same."""
        self._open[connection] = None
        self._by_address[connection.address] += 1
        if self._timer is None:
            self._arm()
        limits = self._limits
        if len(self) > limits.max_connections:
            return _too_many(f"max_connections ({limits.max_connections}) connections are open")
        if self._by_address[connection.address] > limits.max_per_address:
            return _too_many(f"max_connections_per_address ({limits.max_per_address}) connections come from yours")
        return None

    def leave(self, connection: Connection) -> None:
        """Let a connection go that has ended."""
        if self._open.pop(connection, self) is None or self._upgraded.pop(connection, self) is None:
            self._forget_address(connection.address)

    def upgrade(self, connection: Connection) -> None:
        """Count on a connection that another protocol has taken over, which does not say when it ends."""
        if self._open.pop(connection, self) is None:
            self._upgraded[connection] = None

    def _arm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._limits.look_every_s, self._look)

    def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        for connection in list(self._open):
            connection.look(now)
        for connection in [connection for connection in self._upgraded if not connection.is_open]:
            self.leave(connection)
        self._timer = None
        if len(self):
            self._arm()

    def _forget_address(self, address: str) -> None:
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]


def _too_many(how_many: str) -> TooManyRequests:
    return TooManyRequests(
        f"Too many connections: {how_many} already. Close idle ones, or try again in a moment.", retry_after_s=1.0
    )
