"""
The protocol of a client dialect: bytes to a turn's request, events to bytes. No I/O.

The server and the engine know formats only through this.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, Protocol

import msgspec

from antiphon.hub.errors import AntiphonError
from antiphon.hub.events import Event, OtherEvent
from antiphon.hub.items import JsonObject, Private
from antiphon.hub.library import ConversationDraft, LibraryFormat
from antiphon.hub.turn import TurnRequest
from antiphon.hub.verbatim import Verbatim

__all__ = [
    "NOTHING_PRIVATE",
    "ClientDialect",
    "ClientDialects",
    "ConversationDraft",
    "CountingDialect",
    "CreateFrame",
    "DialectTurn",
    "ErrorForm",
    "Format",
    "PageRequest",
    "RefusedFrame",
    "RetrievalRequest",
    "SocketFormat",
    "StateFormat",
    "StreamEncoder",
]


NOTHING_PRIVATE: Mapping[str, Private] = MappingProxyType({})


class PageRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Decoded query parameters of a list: ``limit`` 1 to 100, ``order``, ``after`` (an item id), ``include``."""

    limit: int = 20
    order: Literal["asc", "desc"] = "desc"
    after: str | None = None
    include: frozenset[str] = frozenset()


class RetrievalRequest(msgspec.Struct, frozen=True, kw_only=True):
    """
    Decoded query parameters of ``GET /v1/responses/{id}``.

    Attributes:
        starting_after: The sequence number of the last event that the client has; -1 for none.
        include_obfuscation: Only if the client asks for it: what was sent before is sent again without.
    """

    include: frozenset[str] = frozenset()
    stream: bool = False
    starting_after: int = -1
    include_obfuscation: bool = False


class StreamEncoder(Protocol):
    """Writes one stream for one reader."""

    def encode(self, events: Iterable[Event | OtherEvent]) -> bytes:
        """Server-sent events, each with its sequence number; whole events only."""
        ...

    def encode_each(self, events: Iterable[Event | OtherEvent]) -> list[bytes]:
        """The JSON object of each event, as :meth:`encode` would write it."""
        ...


class CreateFrame(msgspec.Struct, frozen=True, kw_only=True):
    """
    A WebSocket's frame that asks for a turn.

    Attributes:
        stream_id: The lane; None for the one without a name.
        generate: False if the turn only keeps its input.
        body: As of ``POST /v1/responses``.
    """

    stream_id: str | None
    generate: bool
    body: JsonObject


class RefusedFrame(msgspec.Struct, frozen=True, kw_only=True):
    """A WebSocket's frame that asks for nothing that can be done, with the frame that says so."""

    answer: bytes


class SocketFormat(Protocol):
    """The frames of the API's WebSocket that are no events of a response."""

    def decode_frame(self, frame: JsonObject) -> CreateFrame | RefusedFrame:
        """What a client's frame asks for; its body is not looked at."""
        ...

    def encode_error(self, error: AntiphonError, stream_id: str | None = None) -> bytes:
        """The frame that tells of an error; *stream_id* of the request that it belongs to."""
        ...


class Format(SocketFormat, Protocol):
    """A dialect that clients speak."""

    def decode(self, body: JsonObject, *, generate: bool = True, keeps_unknown: bool = False) -> TurnRequest:
        """
        Read a request, checked field by field.

        Args:
            generate: False for a turn that only keeps its input, which may be empty.
            keeps_unknown: Keep fields of the body that are unknown (:attr:`TurnRequest.unknown`) instead of refusing
                them.

        Raises:
            InvalidRequest: Names the first field that is wrong, in the API's own order of checks.
        """
        ...

    def decode_compaction(self, body: JsonObject) -> TurnRequest:
        """
        Read ``POST /v1/responses/compact``.

        Raises:
            InvalidRequest: Names the first field that is wrong.
        """
        ...

    def decode_count(self, body: JsonObject) -> TurnRequest:
        """
        Read ``POST /v1/responses/input_tokens``.

        Raises:
            InvalidRequest: Names the first field that is wrong.
        """
        ...

    def stream_encoder(self, *, obfuscate: bool, start: int = 0) -> StreamEncoder:
        """
        A new encoder.

        Args:
            obfuscate: Pad the deltas so that their length says little. Without, the same events give the same bytes.
            start: The sequence number of the first event that it will be given.
        """
        ...

    def encode_response(self, response: JsonObject) -> bytes:
        """The JSON body of a whole response."""
        ...


class DialectTurn(msgspec.Struct, frozen=True, kw_only=True):
    """
    A turn that was asked for in a dialect other than the Responses API's own.

    Attributes:
        request: What it asks for, in the hub's words. ``store`` is False unless the client asked to keep it.
        usage_in_stream: Whether a stream ends with what it used (``stream_options.include_usage`` of chat).
        private: What the client brings back of a provider's own, by the place of its item in ``request.input``. An
            empty account means that it cannot be told whose it is.
        verbatim: The request as it came, for an upstream of the same dialect; None where it never goes up so.
    """

    request: TurnRequest
    usage_in_stream: bool = True
    private: Mapping[int, Private] = msgspec.field(default_factory=dict)
    verbatim: Verbatim | None = None


class ErrorForm(Protocol):
    """
    How a dialect says that something went wrong, whatever it was.

    Attributes:
        error_schema: The name of the schema of an error's body.
        id_header: A header of its own that names the request, in every answer; None if it has none.
    """

    @property
    def error_schema(self) -> str: ...

    @property
    def id_header(self) -> str | None: ...

    def encode_error(self, error: AntiphonError, *, request_id: str) -> bytes:
        """The JSON body of an error, in the dialect's own envelope."""
        ...

    def shown_status(self, status: int) -> int:
        """The HTTP status of an error of *status*."""
        ...

    def shown_type(self, error_type: str, status: int) -> str:
        """The ``type`` of an error of this type and status, as its body has it."""
        ...


class ClientDialect(ErrorForm, Protocol):
    """
    A dialect that clients speak besides the Responses API: one request, one answer, and the errors in its own form.

    Attributes:
        dialect: Its name; the same as a provider's that speaks it towards an upstream.
        keep_alive: What is written into a stream that is silent for long: whole events, or a comment.
    """

    @property
    def dialect(self) -> str: ...

    @property
    def keep_alive(self) -> bytes: ...

    def decode(self, body: JsonObject) -> DialectTurn:
        """
        Read a request, checked field by field.

        Raises:
            InvalidRequest: Names the first field that is wrong.
            UnsupportedParameter: Names a field that is known and cannot be served.
        """
        ...

    def encode_response(
        self, response: JsonObject, turn: DialectTurn, *, private: Mapping[str, Private] = NOTHING_PRIVATE
    ) -> bytes:
        """
        The JSON body of a whole answer.

        Args:
            response: The hub's, completed or incomplete.
            private: What belongs beside its output, by the item's id.

        Raises:
            UpstreamBroken: There is something in it that the dialect has no words for and that cannot be left out.
        """
        ...

    def stream_encoder(self, turn: DialectTurn) -> StreamEncoder:
        """
        A new encoder for one stream; the terminal event gives the dialect's own end.

        It raises as :meth:`encode_response`, and can be given a ``response.failed`` after that.
        """
        ...

    def schemas(self) -> Mapping[str, JsonObject]:
        """JSON Schemas of all that it reads and answers, errors too, by name; as of :meth:`StateFormat.schemas`."""
        ...


class CountingDialect(ClientDialect, Protocol):
    """A dialect in which a client can ask how many tokens a request would be."""

    def decode_count(self, body: JsonObject) -> DialectTurn:
        """
        Read a request, checked field by field.

        Raises:
            InvalidRequest: Names the first field that is wrong.
            UnsupportedParameter: Names a field that is known and cannot be served.
        """
        ...

    def encode_count(self, input_tokens: int) -> bytes:
        """The JSON body of the answer."""
        ...


class ClientDialects(msgspec.Struct, frozen=True, kw_only=True):
    """
    The dialects that a gateway serves besides the Responses API.

    Attributes:
        chat: Of ``/v1/chat/completions``.
        completions: Of ``/v1/completions``.
        messages: Of ``/v1/messages``.
    """

    chat: ClientDialect
    completions: ClientDialect
    messages: CountingDialect

    def schemas(self) -> dict[str, JsonObject]:
        """The schemas of all of them."""
        return {**self.chat.schemas(), **self.completions.schemas(), **self.messages.schemas()}


class StateFormat(LibraryFormat, Protocol):
    """The requests and answers of the API's state: responses' items, conversations, and the library of both."""

    def decode_conversation(self, body: JsonObject) -> ConversationDraft:
        """
        Read ``POST /v1/conversations``.

        Raises:
            InvalidRequest: Names the first field that is wrong.
        """
        ...

    def decode_metadata(self, body: JsonObject) -> dict[str, str]:
        """
        Read ``POST /v1/conversations/{id}``; ``metadata: null`` clears.

        Raises:
            InvalidRequest: ``metadata`` is missing or wrong.
        """
        ...

    def decode_items(self, body: JsonObject) -> tuple[JsonObject, ...]:
        """
        Read ``POST /v1/conversations/{id}/items``: 1 to 20 items in their full form.

        Raises:
            InvalidRequest: Names the first field that is wrong.
        """
        ...

    def decode_page(self, query: Mapping[str, Sequence[str]]) -> PageRequest:
        """
        Read the query of a list.

        Raises:
            InvalidRequest: Names the first parameter that is wrong or unknown.
        """
        ...

    def decode_retrieval(self, query: Mapping[str, Sequence[str]]) -> RetrievalRequest:
        """
        Read the query of a response's retrieval.

        Raises:
            InvalidRequest: Names the first parameter that is wrong or unknown, or that needs ``stream=true``.
        """
        ...

    def show_item(self, body: JsonObject, include: frozenset[str]) -> JsonObject:
        """An item as a list shows it: image URLs and other bulky fields only if *include* asks for them."""
        ...

    def schemas(self) -> Mapping[str, JsonObject]:
        """
        JSON Schemas of everything that this dialect reads and answers, by name, as components of an OpenAPI document.

        Bodies and queries are generated from what the decoders check; a body's schema carries its ``examples``.
        """
        ...
