"""
A request and its answer in the dialect's own words, where client and upstream speak the same one.

What goes that way is not lost to the hub: the request was read, and the answer is decoded into events as always, for
everything that follows from them. Only what the two sides say to each other stays as they said it.
"""

from __future__ import annotations

from collections import deque

import msgspec

from antiphon.hub.errors import InvalidRequest, UnsupportedParameter
from antiphon.hub.items import JsonObject

__all__ = ["Heard", "Verbatim"]


class Heard:
    """
    An answer as its upstream wrote it: the JSON of each event of a stream, or of the whole reply.

    The turn that reads the answer writes here, and the encoder for its client takes from here. What the decoder has
    refused is never in it, and what the turn has not taken in is not given out. Nor is what stands behind an event that
    its reader has not come to, so that who reads slice by slice writes slice by slice.

    Attributes:
        has_begun: Whether the answer comes this way. Once it does, it does so to its end.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Nothing was heard yet: the request is asked, perhaps not for the first time."""
        self.has_begun = False
        self._waiting: list[bytes] = []
        self._accepted: deque[tuple[int, bytes]] = deque()
        self._end: list[bytes] = []
        self._is_ending = False

    def begin(self) -> None:
        """The answer is one in the client's dialect, and in the form that the client asked for."""
        self.has_begun = True

    def hear(self, data: bytes, *, ends: bool) -> None:
        """
        Take what the decoder has accepted.

        Args:
            ends: Whether the reply's end is told in *data*, or was before.
        """
        self._is_ending = self._is_ending or ends
        (self._end if self._is_ending else self._waiting).append(data)

    def accept(self, said_events: int) -> None:
        """The turn has taken in what was heard so far; by now it has said this many events."""
        self._accepted += [(said_events, data) for data in self._waiting]
        self._waiting.clear()

    def take(self, told_events: int) -> list[bytes]:
        """What has come since the last call and may be shown to who has read so many events: nothing of the end."""
        accepted, taken = self._accepted, []
        while accepted and accepted[0][0] <= told_events:
            taken.append(accepted.popleft()[1])
        return taken

    def whole(self) -> bytes:
        """The body of a reply that came in one piece. For when the turn has ended, and not before."""
        (body,) = (*(data for _, data in self._accepted), *self._waiting, *self._end)
        return body

    def take_end(self) -> list[bytes]:
        """All that is left. For when the turn has ended, and not before."""
        taken = [*(data for _, data in self._accepted), *self._waiting, *self._end]
        self._accepted.clear()
        self._waiting, self._end = [], []
        return taken


class Verbatim(msgspec.Struct, frozen=True, kw_only=True):
    """
    A request in its client's own words.

    Attributes:
        dialect: Whose words they are.
        body: As it came. Never changed by anybody.
        refusal: Why no other dialect can be told this request: its first field that the format does not know, or has
            nothing behind. None if the hub can say all of it.
        heard: Where the answer is kept in the upstream's own words.
    """

    dialect: str
    body: JsonObject
    refusal: InvalidRequest | None = None
    heard: Heard = msgspec.field(default_factory=Heard)

    def require_sayable(self) -> None:
        """
        Let the request go the hub's way.

        Raises:
            UnsupportedParameter: It has a field that would be lost; names it, with the code of *refusal*.
        """
        refusal = self.refusal
        if refusal is not None:
            raise UnsupportedParameter(refusal.message, param=refusal.param, code=refusal.code)
