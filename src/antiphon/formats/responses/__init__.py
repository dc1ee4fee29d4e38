"""The Responses and Conversations API, as OpenAI's clients speak it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from antiphon.formats.responses.encode import encode_response
from antiphon.formats.responses.query import decode_include, decode_page
from antiphon.formats.responses.request import decode
from antiphon.formats.responses.state import decode_conversation, decode_items, decode_metadata, show_item
from antiphon.formats.responses.stream import ResponsesStreamEncoder
from antiphon.hub.format import ConversationDraft, PageRequest
from antiphon.hub.items import JsonObject
from antiphon.hub.turn import TurnRequest

__all__ = ["ResponsesFormat"]


class ResponsesFormat:
    """
    The client dialect ``responses``: implements :class:`~antiphon.hub.format.Format` and
    :class:`~antiphon.hub.format.StateFormat`. It has no state of its own; one instance serves everybody.
    """

    def decode(self, body: JsonObject) -> TurnRequest:
        return decode(body)

    def stream_encoder(self, *, obfuscate: bool) -> ResponsesStreamEncoder:
        return ResponsesStreamEncoder(obfuscate=obfuscate)

    def encode_response(self, response: JsonObject) -> bytes:
        return encode_response(response)

    def decode_conversation(self, body: JsonObject) -> ConversationDraft:
        return decode_conversation(body)

    def decode_metadata(self, body: JsonObject) -> dict[str, str]:
        return decode_metadata(body)

    def decode_items(self, body: JsonObject) -> tuple[JsonObject, ...]:
        return decode_items(body)

    def decode_page(self, query: Mapping[str, Sequence[str]]) -> PageRequest:
        return decode_page(query)

    def decode_include(self, query: Mapping[str, Sequence[str]]) -> frozenset[str]:
        return decode_include(query)

    def show_item(self, body: JsonObject, include: frozenset[str]) -> JsonObject:
        return show_item(body, include)
