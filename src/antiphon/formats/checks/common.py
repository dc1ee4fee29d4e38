"""Pieces of requests that several dialects have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from antiphon.formats.checks.flaw import Flaw, listed
from antiphon.formats.checks.schema import Schema, Str, StrMap
from antiphon.hub.errors import UnsupportedParameter

__all__ = ["MAX_TEXT", "METADATA", "OneOf", "Wrapped", "unsupported"]

# The longest text, in characters, from OpenAI's published document.
MAX_TEXT = 10_485_760

METADATA = StrMap(max_properties=16, max_name_length=64, value=Str(max_length=512), expected="a metadata object")

_TEXT = Str(max_length=MAX_TEXT)


@dataclass(frozen=True, slots=True, kw_only=True)
class OneOf:
    """An object that needs at least one of several members."""

    schema: Schema
    names: tuple[str, ...]

    def check(self, value: object) -> Any:
        """See :class:`Schema`."""
        checked = self.schema.check(value)
        if not any(name in checked for name in self.names):
            raise _none_of(self.names)
        return checked


def _none_of(names: tuple[str, ...]) -> Flaw:
    choices = listed(list(names), "or")
    return Flaw(
        "missing_required_parameter",
        lambda path: f"Missing required parameter: '{path}'. One of {choices} must be provided.",
    ).under(f".{names[0]}")


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A string that stands for one text part."""

    tag: str

    def check(self, value: object) -> list[dict[str, Any]]:
        """See :class:`Schema`."""
        text = _TEXT.check(value)
        if self.tag == "output_text":
            return [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
        return [{"type": self.tag, "text": text}]


def unsupported(param: str, remedy: str) -> UnsupportedParameter:
    """The error for a valid field that nothing is behind; *remedy* is what a caller can do instead."""
    return UnsupportedParameter(
        f"Unsupported parameter: '{param}' is not supported by this gateway. {remedy}", param=param
    )
