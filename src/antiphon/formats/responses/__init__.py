"""The Responses and Conversations API, as OpenAI's clients speak it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from antiphon.formats.responses.encode import encode_response
from antiphon.formats.responses.query import decode_include, decode_page
from antiphon.formats.responses.request import FIELDS, decode
from antiphon.formats.responses.state import decode_conversation, decode_items, decode_metadata, show_item
from antiphon.formats.responses.stream import ResponsesStreamEncoder
from antiphon.hub.errors import InvalidRequest
from antiphon.hub.format import ConversationDraft, PageRequest
from antiphon.hub.items import JsonObject
from antiphon.hub.turn import TurnRequest

__all__ = ["ResponsesFormat"]


class ResponsesFormat:
    """
    The client dialect ``responses``: implements :class:`~antiphon.hub.format.Format` and
    :class:`~antiphon.hub.format.StateFormat`. It has no state of its own; one instance serves everybody.

    Args:
        max_items: The most input items in one request.
        unknown_parameters: What to do with a field of ``POST /v1/responses`` that the API does not know. One that is
            ignored is named in the answer's ``x-antiphon-not-applied`` header.
    """

    def __init__(self, *, max_items: int = 2000, unknown_parameters: Literal["reject", "ignore"] = "reject") -> None:
        self._max_items = max_items
        self._unknown_parameters = unknown_parameters

    def decode(self, body: JsonObject) -> TurnRequest:
        unknown: tuple[str, ...] = ()
        if self._unknown_parameters == "ignore":
            unknown = tuple(name for name in body if name not in FIELDS)
            body = {name: value for name, value in body.items() if name in FIELDS}
        request = decode(body)
        if len(request.input) > self._max_items:
            raise InvalidRequest(
                f"Invalid 'input': array too long. Expected an array with maximum length {self._max_items} "
                f"(max_items), but got an array with length {len(request.input)} instead.",
                param="input",
                code="array_above_max_length",
            )
        if unknown:
            request = msgspec.structs.replace(request, not_applied=(*request.not_applied, *unknown))
        return request

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
