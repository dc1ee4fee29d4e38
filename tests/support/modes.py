"""
What every endpoint answers in every mode of a turn: the one table behind the page and the test.

``python -m tests.support.modes`` prints the table and the legend of ``docs/modes.md``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["CONVERSATION_ROWS", "MODES", "OUTCOMES", "TABLE", "Mode", "Outcome", "legend", "table"]


@dataclass(frozen=True)
class Mode:
    """How a turn is asked for."""

    store: bool
    background: bool
    stream: bool

    @property
    def name(self) -> str:
        """As the page's columns say it."""
        words = [
            "stored" if self.store else "not stored",
            *(["background"] if self.background else []),
            "stream" if self.stream else "JSON",
        ]
        return ", ".join(words)

    @property
    def fields(self) -> dict[str, bool]:
        """The request's fields."""
        return {"store": self.store, "background": self.background, "stream": self.stream}


@dataclass(frozen=True)
class Outcome:
    """
    One kind of answer.

    Attributes:
        meaning: As the page's legend says it.
        fits: Whether a status and a body are this answer; of a stream, the body is the list of its events.
    """

    meaning: str
    fits: Callable[[int, Any], bool]


def _with_status(status: str) -> Callable[[int, Any], bool]:
    return lambda code, body: code == 200 and isinstance(body, dict) and body.get("status") == status


def _refusal(message: str) -> Callable[[int, Any], bool]:
    return lambda code, body: code == 400 and message in body["error"]["message"]


def _code(name: str) -> Callable[[int, Any], bool]:
    return lambda code, body: code == 400 and body["error"]["code"] == name


def _is_stream(code: int, body: Any, *, begins_as: str | None = None) -> bool:
    if code != 200 or not isinstance(body, list):
        return False
    began = begins_as is None or str(body[0]["response"]["status"]) == begins_as
    return began and str(body[-1]["type"]) == "response.completed"


OUTCOMES: dict[str, Outcome] = {
    "answer": Outcome("200, the response once it has ended", _with_status("completed")),
    "queued": Outcome("200 at once, the response with status `queued`", _with_status("queued")),
    "events": Outcome("200, the events from `response.created` to the end", _is_stream),
    "queued, events": Outcome(
        "200, the events; the first two say `queued`", lambda *a: _is_stream(*a, begins_as="queued")
    ),
    "in progress": Outcome(
        "200, the response with status `in_progress` and what it has so far", _with_status("in_progress")
    ),
    "completed": Outcome("200, the response with status `completed`", _with_status("completed")),
    "cancelled": Outcome(
        "200, the response with status `cancelled` and what it had produced", _with_status("cancelled")
    ),
    "list": Outcome(
        "200, what the model saw",
        lambda code, body: code == 200 and len(body["data"]) == 1 and body["data"][0]["role"] == "user",
    ),
    "deleted": Outcome("200, `deleted` is true", lambda code, body: code == 200 and body.get("deleted") is True),
    "continued": Outcome("200, the new turn", _with_status("completed")),
    "unknown": Outcome("404", lambda code, body: code == 404),
    "synchronous": Outcome(
        '400 "Cannot cancel a synchronous response."', _refusal("Cannot cancel a synchronous response.")
    ),
    "too late": Outcome('400 "Cannot cancel a completed response."', _refusal("Cannot cancel a completed response.")),
    "in flight": Outcome(
        '400 "Cannot delete an in-flight response."', _refusal("Cannot delete an in-flight response.")
    ),
    "runs": Outcome(
        "400 `previous_response_not_continuable`, and says the status", _code("previous_response_not_continuable")
    ),
    "no parent": Outcome("400 `previous_response_not_found`", _code("previous_response_not_found")),
    "locked": Outcome(
        "400 `conversation_locked` with `x-should-retry: true`, or waits if asked to", _code("conversation_locked")
    ),
    "both items": Outcome(
        "the input and the output stand in the conversation",
        lambda code, body: code == 200 and [item["role"] for item in body["data"]] == ["assistant", "user"],
    ),
    "nothing": Outcome("the conversation is as it was", lambda code, body: code == 200 and body["data"] == []),
}

MODES = tuple(
    Mode(store=store, background=background, stream=stream)
    for store in (True, False)
    for background in (False, True)
    for stream in (False, True)
)

# One column for each mode, in their order:
#   stored: JSON, stream, background JSON, background stream; not stored: the same four.
TABLE: dict[str, tuple[str, ...]] = {
    "POST": ("answer", "events", "queued", "queued, events", "answer", "events", "queued", "queued, events"),
    "GET, while it runs": (*["in progress"] * 4, "unknown", "unknown", "in progress", "in progress"),
    "GET, afterwards": (*["completed"] * 4, "unknown", "unknown", "completed", "completed"),
    "its stream, while it runs": (
        *["events"] * 2,
        *["queued, events"] * 2,
        "unknown",
        "unknown",
        *["queued, events"] * 2,
    ),
    "its stream, afterwards": (*["events"] * 2, *["queued, events"] * 2, "unknown", "unknown", *["queued, events"] * 2),
    "input items, while it runs": (*["list"] * 4, "unknown", "unknown", "list", "list"),
    "input items, afterwards": (*["list"] * 4, "unknown", "unknown", "list", "list"),
    "cancel, while it runs": (
        "synchronous",
        "synchronous",
        "cancelled",
        "cancelled",
        "unknown",
        "unknown",
        "cancelled",
        "cancelled",
    ),
    "cancel, afterwards": (
        "synchronous",
        "synchronous",
        "too late",
        "too late",
        "unknown",
        "unknown",
        "too late",
        "too late",
    ),
    "delete, while it runs": (*["in flight"] * 4, "unknown", "unknown", "in flight", "in flight"),
    "delete, afterwards": (*["deleted"] * 4, "unknown", "unknown", "deleted", "deleted"),
    "continue from it, while it runs": (*["runs"] * 4, *["no parent"] * 4),
    "continue from it, afterwards": (*["continued"] * 4, *["no parent"] * 4),
    "GET, after its client hung up": (
        "cancelled",
        "cancelled",
        "completed",
        "completed",
        "unknown",
        "unknown",
        "completed",
        "completed",
    ),
    "another turn in its conversation, while it runs": (*["locked"] * 4, *["continued"] * 4),
    "its conversation, afterwards": (*["both items"] * 4, *["nothing"] * 4),
}

CONVERSATION_ROWS = frozenset({"another turn in its conversation, while it runs", "its conversation, afterwards"})


def table() -> str:
    """The table in Markdown."""
    head = ["", *(mode.name for mode in MODES)]
    rows = [head, ["---"] * len(head), *([f"**{row}**", *cells] for row, cells in TABLE.items())]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def legend() -> str:
    """What the table's words mean, in Markdown."""
    return "\n".join(f"- *{name}*: {outcome.meaning}" for name, outcome in OUTCOMES.items())


if __name__ == "__main__":
    print(f"{table()}\n\n{legend()}")
