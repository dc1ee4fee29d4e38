"""
Runs of deltas, and what is written of them: where they cut their part's final text, if they come to just that.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from antiphon.hub.events import Event
from antiphon.hub.items import JsonObject
from antiphon.streams.trace_bodies import same
from antiphon.streams.trace_cuts import pack, unpack
from antiphon.streams.trace_rules import DELTAS, Place, holder, tag_of, text_of

__all__ = ["Run", "RunText"]


class Run:
    """
    Deltas of one part with nothing between them.

    Attributes:
        pieces: The deltas, until :meth:`close`.
        logprobs: The log probabilities of each; None for a run of deltas that have none.
        cuts: The lengths of the deltas, from :meth:`close` on.
        count: How many deltas, from then on.
        operation: What to write of it, once its text is settled.
    """

    __slots__ = ("count", "cuts", "item_id", "kind", "logprobs", "operation", "pieces", "place")

    def __init__(self, kind: type[Event], item_id: str, place: Place, *, logprobs: bool) -> None:
        self.kind = kind
        self.item_id = item_id
        self.place = place
        self.pieces: list[str] = []
        self.logprobs: list[tuple[JsonObject, ...]] | None = [] if logprobs else None
        self.cuts: str | None = None
        self.count = 0
        self.operation: str | JsonObject = ""

    def takes(self, event: Any, place: Place, *, logprobs: bool) -> bool:
        """Whether a delta goes on with this run."""
        return (
            event.item_id == self.item_id
            and place == self.place
            and type(event) is self.kind
            and logprobs == (self.logprobs is not None)
            and self.cuts is None
        )

    def close(self) -> str:
        """Keep only the lengths. Gives the pieces joined."""
        text = "".join(self.pieces)
        self.cuts = pack(list(map(len, self.pieces)))
        self.count = len(self.pieces)
        self.pieces = []
        return text

    def settle(self, text: str, *, derived: bool, item_id: object) -> None:
        """Decide what to write: lengths if *derived*, else the pieces of *text*, which is just this run's."""
        assert self.cuts is not None
        if derived and self.logprobs is None:
            self.operation = DELTAS[self.kind] + self.cuts
        elif derived and self.logprobs is not None:
            lengths = unpack(self.cuts)
            self.operation = "l" + pack([*chain(*zip(lengths, map(len, self.logprobs), strict=True))])
        else:
            self.operation = {"type": tag_of(self.kind), "deltas": list(self._cut(text))}
            if item_id != self.item_id:
                self.operation["item_id"] = self.item_id
            if self.logprobs is not None:
                self.operation["logprobs"] = self.logprobs
        self.logprobs = None

    def _cut(self, text: str) -> Iterator[str]:
        start = 0
        for length in unpack(self.cuts or ""):
            yield text[start : start + length]
            start += length


class RunText:
    """All runs of one part, or of one call, and the text that they come to."""

    __slots__ = ("_closed", "_kind", "_part", "_text", "runs")

    def __init__(self, kind: type[Event], part: int) -> None:
        self._kind = kind
        self._part = part
        self._text = ""
        self._closed = 0
        self.runs: list[Run] = []

    def close(self, said: str | None = None) -> None:
        """
        Nothing more is expected: let go of the pieces.

        Args:
            said: The text of the done event. Where it is the same it is kept in place of a copy.
        """
        text = self._text + "".join([run.close() for run in self.runs[self._closed :]])
        self._closed = len(self.runs)
        self._text = said if said == text else text

    def settle(self, body: JsonObject | None) -> None:
        """The final body of the item is known, or that there is none: write the runs."""
        self.close()
        held = holder(self._kind, body, self._part)
        item_id = body.get("id") if body is not None else None
        derived = self._text == text_of(self._kind, held) and self._has_logprobs(held)
        start = 0
        for run in self.runs:
            stop = start + sum(unpack(run.cuts or ""))
            run.settle(self._text[start:stop], derived=derived, item_id=item_id)
            start = stop

    def _has_logprobs(self, held: JsonObject | None) -> bool:
        """Whether the part has just those log probabilities that its deltas had, if any had some."""
        said = [run.logprobs for run in self.runs if run.logprobs is not None]
        if not said or held is None:
            return True
        kept = held.get("logprobs")
        return isinstance(kept, list) and same(tuple(chain(*chain(*said))), tuple(kept))
