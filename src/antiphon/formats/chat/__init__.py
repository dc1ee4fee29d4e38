"""
The dialect of ``POST /v1/chat/completions``, as OpenAI's clients speak it: requests to turns, answers back to chat.

One file for each thing: the request's fields (:mod:`.request`, :mod:`.settings`), messages (:mod:`.messages`,
:mod:`.content`) and what they become (:mod:`.transcript`), tools (:mod:`.tools`), whole answers (:mod:`.answer`) and
streams (:mod:`.stream`), errors (:mod:`.errors`), ids (:mod:`.ids`). Beside it stand the two older requests of the same
API, :mod:`.completions` and :mod:`.embeddings`.
"""

from __future__ import annotations

from typing import Final, Literal

from antiphon.formats.chat.answer import encode_completion
from antiphon.formats.chat.errors import encode_envelope
from antiphon.formats.chat.ids import read_id, shown_id
from antiphon.formats.chat.limits import check_length, ignoring
from antiphon.formats.chat.request import FIELDS, decode
from antiphon.formats.chat.settings import LOGPROBS
from antiphon.formats.chat.stream import ChatStreamEncoder
from antiphon.hub.errors import AntiphonError
from antiphon.hub.format import DialectTurn
from antiphon.hub.items import JsonObject

__all__ = ["ChatFormat", "read_id", "shown_id"]


class ChatFormat:
    """
    The client dialect ``openai_chat``: implements :class:`~antiphon.hub.format.ClientDialect`. It has no state of its
    own; one instance serves everybody.

    Args:
        max_items: The most items that the messages of one request may become.
        max_tools: The most tools in one request.
        unknown_parameters: What to do with a field of the body that the API does not know. One that is ignored is named
            among those that were not applied.
    """

    dialect: Final = "openai_chat"

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
        turn = ignoring(body, FIELDS, decode) if self._ignores_unknown else decode(body)
        check_length("messages", turn.request.input, "max_items", self._max_items)
        check_length("tools", turn.request.tools, "max_tools", self._max_tools)
        return turn

    def encode_response(self, response: JsonObject, turn: DialectTurn) -> bytes:
        return encode_completion(response, logprobs=LOGPROBS in turn.request.include)

    def stream_encoder(self, turn: DialectTurn) -> ChatStreamEncoder:
        return ChatStreamEncoder(turn)

    def encode_error(self, error: AntiphonError, *, request_id: str) -> bytes:
        return encode_envelope(error)
