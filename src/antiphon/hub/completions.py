"""
Stored completions: responses as the dialect shows them that they were asked for in; and that dialect's protocol.

None of it runs a turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from antiphon.hub.format import PageRequest
from antiphon.hub.items import JsonObject
from antiphon.hub.library import ListRequest
from antiphon.hub.origin import Origin

__all__ = ["CompletionFormat", "StoredCompletion"]

Query = Mapping[str, Sequence[str]]


class StoredCompletion(msgspec.Struct, frozen=True, kw_only=True):
    """
    A response that was asked for in another dialect.

    Attributes:
        response: The hub's, with its output.
        input: The input items of its own turn; empty where nobody asked for them.
    """

    response: JsonObject
    origin: Origin
    input: tuple[JsonObject, ...] = ()


class CompletionFormat(Protocol):
    """
    The requests and answers about stored completions. Every ``decode`` raises InvalidRequest and names what is wrong.

    Attributes:
        dialect: The dialect of the completions that it shows.
    """

    @property
    def dialect(self) -> str: ...

    def response_id(self, completion_id: str) -> str | None:
        """The id of the response that clients call *completion_id*; None if it is no id of a completion."""
        ...

    def decode_list(self, query: Query) -> ListRequest:
        """The query of a list of completions; ``after`` is a completion's id, as the client wrote it."""
        ...

    def decode_messages(self, query: Query) -> PageRequest:
        """The query of a list of a completion's messages; ``after`` is a message's id."""
        ...

    def decode_update(self, body: JsonObject) -> dict[str, str]:
        """The metadata that a completion is to have from now on."""
        ...

    def show(self, completion: StoredCompletion) -> JsonObject:
        """
        The completion as its client saw it, with the settings of its request.

        Raises:
            UpstreamBroken: The model said something that the dialect has no words for.
        """
        ...

    def show_messages(self, completion: StoredCompletion, page: PageRequest) -> tuple[list[JsonObject], bool]:
        """
        One page of the request's messages, each with an id, and whether there is more.

        Raises:
            ItemNotFound: The cursor is not among them.
        """
        ...

    def show_deleted(self, completion_id: str) -> JsonObject:
        """What is said of a completion that was deleted."""
        ...

    def schemas(self) -> Mapping[str, JsonObject]:
        """JSON Schemas of all that it reads and answers, by name; as of :meth:`StateFormat.schemas`."""
        ...
