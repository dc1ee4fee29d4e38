"""
The dialect of ``POST /v1/chat/completions``, as OpenAI's clients speak it: requests to turns, answers back to chat.

One file for each thing: the request's fields (:mod:`.request`, :mod:`.settings`), messages (:mod:`.messages`,
:mod:`.content`) and what they become (:mod:`.transcript`), tools (:mod:`.tools`), whole answers (:mod:`.answer`) and
streams (:mod:`.stream`), either in the upstream's own words (:mod:`.verbatim`), errors (:mod:`.errors`), ids
(:mod:`.ids`), and completions that are stored (:mod:`.stored`). Beside it stand the two older requests of the same API,
:mod:`.completions` and :mod:`.embeddings`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final, Literal

from antiphon.formats.chat.answer import encode_completion
from antiphon.formats.chat.answer_schemas import CHAT_ANSWERS
from antiphon.formats.chat.errors import ChatErrors
from antiphon.formats.chat.frames import KEEP_ALIVE
from antiphon.formats.chat.ids import read_id, shown_id
from antiphon.formats.chat.limits import check_length, ignoring
from antiphon.formats.chat.published import request_schemas
from antiphon.formats.chat.request import FIELDS, REQUEST, decode
from antiphon.formats.chat.settings import LOGPROBS
from antiphon.formats.chat.stream import ChatStreamEncoder
from antiphon.formats.chat.verbatim import ChunkWords, own_completion
from antiphon.formats.verbatim.reading import read_verbatim
from antiphon.formats.verbatim.stream import VerbatimEncoder
from antiphon.hub.format import NOTHING_PRIVATE, DialectTurn, StreamEncoder
from antiphon.hub.items import JsonObject, Private

__all__ = ["ChatFormat", "read_id", "shown_id"]


class ChatFormat(ChatErrors):
    """
    The client dialect ``openai_chat``: implements :class:`~antiphon.hub.format.ClientDialect`. It has no state of its
    own; one instance serves everybody.

    Args:
        max_items: The most items that the messages of one request may become.
        max_tools: The most tools in one request.
        unknown_parameters: What to do with a field of the body that the API does not know, where the upstream is not
            given the client's own words. One that is ignored is named among those that were not applied.
    """

    dialect: Final = "openai_chat"
    keep_alive: Final = KEEP_ALIVE

    def __init__(
        self,
        *,
        max_items: int = 2000,
        max_tools: int = 128,
        unknown_parameters: Literal["reject", "ignore"] = "reject",
    ) -> None:
        self._max_items = max_items
        self._max_tools = max_tools
        self._ignores_unknown = unknown_parameters == "ignore"

    def decode(self, body: JsonObject) -> DialectTurn:
        turn = read_verbatim(body, partial(self._decode, as_sent=body), dialect=self.dialect, schema=REQUEST)
        check_length("messages", turn.request.input, "max_items", self._max_items)
        check_length("tools", turn.request.tools, "max_tools", self._max_tools)
        return turn

    def encode_response(
        self, response: JsonObject, turn: DialectTurn, *, private: Mapping[str, Private] = NOTHING_PRIVATE
    ) -> bytes:
        own = turn.verbatim
        if own is not None and own.heard.has_begun:
            return own_completion(own.heard.whole(), response)
        return encode_completion(response, logprobs=LOGPROBS in turn.request.include)

    def stream_encoder(self, turn: DialectTurn) -> StreamEncoder:
        encoder = ChatStreamEncoder(turn)
        if turn.verbatim is None:
            return encoder
        words = ChunkWords(wants_usage=turn.usage_in_stream, pads=turn.request.include_obfuscation)
        return VerbatimEncoder(turn.verbatim.heard, words, encoder)

    def _decode(self, body: JsonObject, as_sent: JsonObject) -> DialectTurn:
        read = partial(decode, as_sent=as_sent)
        return ignoring(body, FIELDS, read) if self._ignores_unknown else read(body)

    def schemas(self) -> Mapping[str, JsonObject]:
        requests = request_schemas(max_tools=self._max_tools, refuse_unknown=not self._ignores_unknown)
        return {**requests, **CHAT_ANSWERS}
