"""The Responses and Conversations API, as OpenAI's clients speak it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from antiphon.formats.responses.context import decode_compaction, decode_count
from antiphon.formats.responses.encode import encode_response
from antiphon.formats.responses.frames import decode_frame, encode_error
from antiphon.formats.responses.library import decode_fork, decode_import, decode_prompt, decode_rewind
from antiphon.formats.responses.parameters import (
    decode_audit,
    decode_conversation_list,
    decode_deletion,
    decode_delivery_list,
    decode_erasure,
    decode_page,
    decode_prompt_list,
    decode_prompt_version,
    decode_response_list,
    decode_retrieval,
    decode_shown,
)
from antiphon.formats.responses.published import published_schemas
from antiphon.formats.responses.request import FIELDS, decode
from antiphon.formats.responses.state import decode_conversation, decode_items, decode_metadata, show_item
from antiphon.formats.responses.stream import ResponsesStreamEncoder
from antiphon.hub.errors import AntiphonError, InvalidRequest
from antiphon.hub.format import ConversationDraft, CreateFrame, PageRequest, RefusedFrame, RetrievalRequest
from antiphon.hub.items import JsonObject
from antiphon.hub.library import AuditRequest, CursorPage, Deletion, ForkDraft, ItemLine, ListRequest
from antiphon.hub.prompt import Prompt
from antiphon.hub.turn import TurnRequest

__all__ = ["ResponsesFormat"]


class ResponsesFormat:
    """
    The client dialect ``responses``: implements :class:`~antiphon.hub.format.Format` and
    :class:`~antiphon.hub.format.StateFormat`. It has no state of its own; one instance serves everybody.

    Args:
        max_items: The most input items in one request.
        max_tools: The most tools in one request.
        unknown_parameters: What to do with a field of ``POST /v1/responses`` that the API does not know. One that is
            ignored is named in the answer's ``x-antiphon-not-applied`` header.
    """

    def __init__(
        self,
        *,
        max_items: int = 2000,
        max_tools: int = 128,
        unknown_parameters: Literal["reject", "ignore"] = "reject",
    ) -> None:
        self._max_items = max_items
        self._max_tools = max_tools
        self._unknown_parameters = unknown_parameters

    def decode(self, body: JsonObject, *, generate: bool = True, keeps_unknown: bool = False) -> TurnRequest:
        ignores = self._unknown_parameters == "ignore"
        unknown: JsonObject = {}
        if ignores or keeps_unknown:
            unknown = {name: value for name, value in body.items() if name not in FIELDS}
            body = {name: value for name, value in body.items() if name in FIELDS}
        request = decode(body, generate=generate)
        _check_length("input", request.input, "max_items", self._max_items)
        _check_length("tools", request.tools, "max_tools", self._max_tools)
        if unknown and ignores:
            return msgspec.structs.replace(request, not_applied=(*request.not_applied, *unknown))
        return msgspec.structs.replace(request, unknown=unknown) if unknown else request

    def decode_compaction(self, body: JsonObject) -> TurnRequest:
        return decode_compaction(body)

    def decode_count(self, body: JsonObject) -> TurnRequest:
        return decode_count(body)

    def stream_encoder(self, *, obfuscate: bool, start: int = 0) -> ResponsesStreamEncoder:
        return ResponsesStreamEncoder(obfuscate=obfuscate, start=start)

    def encode_response(self, response: JsonObject) -> bytes:
        return encode_response(response)

    def decode_frame(self, frame: JsonObject) -> CreateFrame | RefusedFrame:
        return decode_frame(frame)

    def encode_error(self, error: AntiphonError, stream_id: str | None = None) -> bytes:
        return encode_error(error, stream_id)

    def decode_conversation(self, body: JsonObject) -> ConversationDraft:
        return decode_conversation(body)

    def decode_metadata(self, body: JsonObject) -> dict[str, str]:
        return decode_metadata(body)

    def decode_items(self, body: JsonObject) -> tuple[JsonObject, ...]:
        return decode_items(body)

    def decode_page(self, query: Mapping[str, Sequence[str]]) -> PageRequest:
        return decode_page(query)

    def decode_retrieval(self, query: Mapping[str, Sequence[str]]) -> RetrievalRequest:
        return decode_retrieval(query)

    def show_item(self, body: JsonObject, include: frozenset[str]) -> JsonObject:
        return show_item(body, include)

    def schemas(self) -> Mapping[str, JsonObject]:
        return published_schemas(
            max_items=self._max_items,
            max_tools=self._max_tools,
            refuse_unknown=self._unknown_parameters == "reject",
        )

    def decode_shown(self, query: Mapping[str, Sequence[str]]) -> frozenset[str]:
        return decode_shown(query)

    def decode_deletion(self, query: Mapping[str, Sequence[str]]) -> Deletion:
        return decode_deletion(query)

    def decode_erasure(self, query: Mapping[str, Sequence[str]]) -> bool:
        return decode_erasure(query)

    def decode_audit(self, query: Mapping[str, Sequence[str]]) -> AuditRequest:
        return decode_audit(query)

    def decode_response_list(self, query: Mapping[str, Sequence[str]]) -> ListRequest:
        return decode_response_list(query)

    def decode_conversation_list(self, query: Mapping[str, Sequence[str]]) -> ListRequest:
        return decode_conversation_list(query)

    def decode_fork(self, body: JsonObject) -> ForkDraft:
        return decode_fork(body)

    def decode_rewind(self, body: JsonObject) -> str:
        return decode_rewind(body)

    def decode_import(self, lines: Iterable[ItemLine]) -> ConversationDraft:
        return decode_import(lines)

    def decode_prompt(self, body: JsonObject) -> Prompt:
        return decode_prompt(body, self._max_items)

    def decode_delivery_list(self, query: Mapping[str, Sequence[str]]) -> CursorPage:
        return decode_delivery_list(query)

    def decode_prompt_list(self, query: Mapping[str, Sequence[str]]) -> CursorPage:
        return decode_prompt_list(query)

    def decode_prompt_version(self, query: Mapping[str, Sequence[str]]) -> str | None:
        return decode_prompt_version(query)


def _check_length(param: str, given: Sequence[object], limit: str, longest: int) -> None:
    if len(given) > longest:
        raise InvalidRequest(
            f"Invalid '{param}': array too long. Expected an array with maximum length {longest} ({limit}), but got an "
            f"array with length {len(given)} instead.",
            param=param,
            code="array_above_max_length",
        )
