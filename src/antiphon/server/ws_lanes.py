"""
The lanes of one WebSocket: which request begins when, and what a connection remembers. No I/O.

Requests on one lane are carried out one after the other, those of different lanes side by side; what exceeds the limit
waits in the order in which it came. Each lane remembers its latest response, so that the next turn can continue from
one that was not stored.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from antiphon.hub.errors import InvalidRequest, TooManyRequests
from antiphon.hub.format import CreateFrame
from antiphon.hub.items import Item

__all__ = ["Lane", "Lanes", "SocketLimits", "SocketRequest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketLimits:
    """
    What one WebSocket may take. The first three are OpenAI's.

    Attributes:
        lifetime_s: How long it takes requests; then what runs is finished and the connection closed.
        max_streams: How many different ``stream_id`` it knows.
        max_running: How many turns run at once; the others wait.
        max_waiting: How many may wait, and
        max_waiting_bytes: how long their frames may be together. One may always wait, however long it is.
        send_timeout_s: A client that takes nothing for so long is dropped.
    """

    lifetime_s: float = 60 * 60.0
    max_streams: int = 32
    max_running: int = 16
    max_waiting: int = 256
    max_waiting_bytes: int = 32 * 1024 * 1024
    send_timeout_s: float = 300.0


@dataclass(slots=True, eq=False)
class Lane:
    """
    One lane.

    Attributes:
        stream_id: None for the one that needs no name.
        latest: The id of the response that is remembered.
        context: What a turn stands on that continues from it; None if the store knows that.
    """

    stream_id: str | None
    is_busy: bool = False
    latest: str | None = None
    context: tuple[Item, ...] | None = None

    def remember(self, response_id: str, context: tuple[Item, ...] | None) -> None:
        """Make this the lane's latest response; the one before is forgotten."""
        self.latest = response_id
        self.context = context

    def forget(self, response_id: str | None) -> None:
        """Nobody shall continue from this response any more, if it is the one that is remembered."""
        if response_id is not None and response_id == self.latest:
            self.latest = self.context = None


@dataclass(frozen=True, slots=True, eq=False)
class SocketRequest:
    """A request on its lane."""

    lane: Lane
    frame: CreateFrame
    size_bytes: int


@dataclass(slots=True)
class Lanes:
    """All lanes of a connection, and the requests that wait for their turn."""

    limits: SocketLimits
    _lanes: dict[str | None, Lane] = field(default_factory=dict)
    _waiting: deque[SocketRequest] = field(default_factory=deque)
    _waiting_bytes: int = 0
    _running: int = 0

    def add(self, frame: CreateFrame, size_bytes: int) -> None:
        """
        Let a request wait for its turn.

        Raises:
            InvalidRequest: Its lane would be one too many.
            TooManyRequests: Too much waits already.
        """
        lane = self._lane(frame.stream_id)
        if self._waiting and self._is_full(size_bytes):
            raise TooManyRequests(
                f"Too many requests wait on this WebSocket connection (at most {self.limits.max_waiting} requests and "
                f"{self.limits.max_waiting_bytes} bytes). Send it again when a response has completed."
            )
        self._waiting.append(SocketRequest(lane, frame, size_bytes))
        self._waiting_bytes += size_bytes

    def begin(self) -> SocketRequest | None:
        """The next request that may begin now, which from now on runs; None if there is none."""
        if self._running >= self.limits.max_running:
            return None
        for request in self._waiting:
            if not request.lane.is_busy:
                self._waiting.remove(request)
                self._waiting_bytes -= request.size_bytes
                self._running += 1
                request.lane.is_busy = True
                return request
        return None

    def end(self, request: SocketRequest) -> None:
        """A request that ran has ended."""
        self._running -= 1
        request.lane.is_busy = False

    def empty(self) -> list[SocketRequest]:
        """All requests that wait, which wait no more."""
        waiting = list(self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0
        return waiting

    def contexts(self) -> dict[str, tuple[Item, ...]]:
        """What can be continued from on this connection alone, by response id."""
        return {
            lane.latest: lane.context
            for lane in self._lanes.values()
            if lane.latest is not None and lane.context is not None
        }

    def _lane(self, stream_id: str | None) -> Lane:
        lane = self._lanes.get(stream_id)
        if lane is None:
            named = len(self._lanes) - (None in self._lanes)
            if stream_id is not None and named >= self.limits.max_streams:
                raise InvalidRequest(
                    "This WebSocket connection has reached the maximum number of distinct stream IDs "
                    f"({self.limits.max_streams}). Reuse an existing stream_id or open a new WebSocket connection.",
                    param="stream_id",
                    code="websocket_stream_limit_reached",
                )
            lane = self._lanes[stream_id] = Lane(stream_id)
        return lane

    def _is_full(self, size_bytes: int) -> bool:
        return (
            len(self._waiting) >= self.limits.max_waiting
            or self._waiting_bytes + size_bytes > self.limits.max_waiting_bytes
        )
