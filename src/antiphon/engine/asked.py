"""
What a turn is asked with: a body of the Responses API, or a request that another dialect has decoded already.

From here on both are one :class:`~antiphon.hub.turn.TurnRequest`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import msgspec

from antiphon.engine.audit_entry import Deed
from antiphon.hub.format import DialectTurn
from antiphon.hub.items import JsonObject, Private
from antiphon.sessions.inputs import InputItem
from antiphon.sessions.resolve import ResolvedTurn

__all__ = ["Asked", "Decode", "as_dialect", "as_stream", "decoded", "deed_of", "is_long", "wants_store", "with_private"]

Asked: TypeAlias = JsonObject | DialectTurn
Decode: TypeAlias = Callable[[JsonObject], DialectTurn]

# From so many messages, or parts of them, on, checking them all would hold the event loop for milliseconds.
_DECODE_IN_THREAD_ENTRIES: Final = 400


async def decoded(decode: Decode, body: JsonObject) -> DialectTurn:
    """
    What a body asks for, in the words of another dialect.

    Raises:
        InvalidRequest: As *decode*.
    """
    if is_long(body):
        return await asyncio.to_thread(decode, body)
    return decode(body)


def is_long(body: JsonObject) -> bool:
    """
    Whether a body is one to be checked elsewhere than in the event loop: for the entries of its lists, and of theirs.

    Objects within objects are not looked into: those are schemas and the like, which nobody checks part by part.
    """
    waiting: list[list[Any]] = [value for value in body.values() if type(value) is list]
    entries = 0
    while waiting:
        given = waiting.pop()
        entries += len(given)
        if entries >= _DECODE_IN_THREAD_ENTRIES:
            return True
        for entry in given:
            parts = entry.values() if type(entry) is dict else (entry,)
            waiting += [part for part in parts if type(part) is list]
    return False


def as_stream(asked: Asked, *, stream: bool) -> Asked:
    """The same request, with or without a stream."""
    if isinstance(asked, DialectTurn):
        return msgspec.structs.replace(asked, request=msgspec.structs.replace(asked.request, stream=stream))
    return {**asked, "stream": stream}


def as_dialect(asked: Asked) -> DialectTurn | None:
    """What another dialect asked for; None for a body of the Responses API."""
    return asked if isinstance(asked, DialectTurn) else None


def wants_store(asked: Asked) -> bool:
    """Whether the client itself asked for its turn to be kept."""
    return asked.request.store if isinstance(asked, DialectTurn) else asked.get("store") is True


def deed_of(asked: Asked) -> Deed:
    """What asking for a turn is in the audit trail, before anything of it was checked."""
    if isinstance(asked, DialectTurn):
        return "response.create", ""
    for name in ("previous_response_id", "conversation"):
        given = asked.get(name)
        named = given.get("id") if isinstance(given, dict) else given
        if isinstance(named, str):
            return "response.continue", named
    return "response.create", ""


def with_private(resolved: ResolvedTurn, private: Mapping[int, Private]) -> ResolvedTurn:
    """
    A turn whose input has what its client brought back of a provider's own.

    Args:
        private: By the place of its item in the input. Whether it goes back is the provider's affair.
    """
    if not private:
        return resolved
    entries = tuple(_with_private(entry, private.get(index)) for index, entry in enumerate(resolved.input))
    return msgspec.structs.replace(resolved, input=entries)


def _with_private(entry: InputItem, private: Private | None) -> InputItem:
    if private is None or entry.stored:
        return entry
    return msgspec.structs.replace(entry, item=msgspec.structs.replace(entry.item, private=private))
