"""
Where OpenAI's published document, or the openai client's types, are narrower than the API that they describe.

This is the whole list. Each entry says what the API really does; what is not here is a violation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["FORGIVEN", "Forgiven", "unforgiven"]


def _always(_body: Any) -> bool:
    return True


def _is_empty_list(body: Any) -> bool:
    return isinstance(body, dict) and body.get("data") == []


def _is_compaction(body: Any) -> bool:
    return isinstance(body, dict) and body.get("object") == "response.compaction"


@dataclass(frozen=True, kw_only=True)
class Forgiven:
    """
    A complaint that is none.

    Attributes:
        pattern: Matches a whole complaint, ``place: what is wrong``.
        reason: What the API really does.
        when: Of the answer's body or the event, whether the API does it there.
    """

    pattern: str
    reason: str
    when: Callable[[Any], bool] = _always


FORGIVEN: tuple[Forgiven, ...] = (
    Forgiven(
        pattern=r"\$\.type: 'response\.compaction\.compacting' is no event of a response's stream",
        reason="The document has not this event yet; the client's types have it, and check it.",
    ),
    Forgiven(
        pattern=r"\$(\.response|\.data)?\.user: None is not of type 'string'",
        reason="The document knows no null here; the API answers null when no user was named.",
    ),
    Forgiven(
        pattern=r"\$(\.response|\.data)?\.usage: None is not of type 'object'",
        reason="The document knows no null here; the API answers null until usage is known, and after a failure.",
    ),
    Forgiven(
        pattern=r"\$\.(first|last)_id: None is not of type 'string'|(first|last)_id: Input should be a valid string",
        reason="An empty page has no ends; the API answers null, and the client's own paging expects that.",
        when=_is_empty_list,
    ),
    Forgiven(
        pattern=r"output\.\d+\.ResponseOutputMessage\.role: Input should be 'assistant'",
        reason="The client's type knows no user message here; the API keeps them, and the document says so.",
        when=_is_compaction,
    ),
)


def unforgiven(complaints: Sequence[str], body: Any, forgiven: Sequence[Forgiven] = FORGIVEN) -> list[str]:
    """Those of *complaints* about *body* that stand."""
    return [
        complaint
        for complaint in complaints
        if not any(re.fullmatch(entry.pattern, complaint) and entry.when(body) for entry in forgiven)
    ]
