"""
The Messages API, as Anthropic's clients speak it: a codec without I/O.

One file for each thing: the request (:mod:`.request`) with its blocks (:mod:`.blocks`, :mod:`.transcript`), tools
(:mod:`.tools`) and settings (:mod:`.settings`); the answer, whole (:mod:`.answer`) or as a stream (:mod:`.stream`);
errors (:mod:`.errors`); and what goes both ways: thinking (:mod:`.thoughts`), the arguments of calls
(:mod:`.arguments`), ids (:mod:`.ids`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal

import msgspec
import orjson

from antiphon.formats.messages.answer import encode_message
from antiphon.formats.messages.errors import encode_error, status_of
from antiphon.formats.messages.ids import message_id_of, response_id_of
from antiphon.formats.messages.request import COUNT_FIELDS, FIELDS, MessagesTurn, decode, decode_count
from antiphon.formats.messages.stream import MessageStreamEncoder
from antiphon.formats.messages.thoughts import DIALECT
from antiphon.hub.errors import AntiphonError, InvalidRequest
from antiphon.hub.format import DialectTurn
from antiphon.hub.items import JsonObject, Private

__all__ = ["MessagesFormat", "MessagesTurn", "message_id_of", "response_id_of", "status_of"]

_NOTHING_PRIVATE: Mapping[str, Private] = MappingProxyType({})


class MessagesFormat:
    """
    The client dialect ``anthropic``: implements :class:`~antiphon.hub.format.ClientDialect`. It has no state of its
    own; one instance serves everybody.

    Args:
        max_items: The most items that the messages of one request may make.
        max_tools: The most tools in one request.
        unknown_parameters: What to do with a field of a request that the API does not know. One that is ignored is
            among the turn's ``not_applied``.
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

    @property
    def dialect(self) -> str:
        return DIALECT

    def decode(self, body: JsonObject) -> MessagesTurn:
        known, unknown = self._split(body, FIELDS)
        return self._finished(decode(known), unknown)

    def decode_count(self, body: JsonObject) -> MessagesTurn:
        """
        Read ``POST /v1/messages/count_tokens``.

        Raises:
            InvalidRequest: Names the first field that is wrong.
            UnsupportedParameter: Names a field that is known and cannot be served.
        """
        known, unknown = self._split(body, COUNT_FIELDS)
        return self._finished(decode_count(known), unknown)

    def encode_response(
        self, response: JsonObject, turn: DialectTurn, *, private: Mapping[str, Private] = _NOTHING_PRIVATE
    ) -> bytes:
        """
        The JSON body of a whole answer.

        Args:
            response: The hub's, completed or incomplete.
            private: What belongs beside its output, by the item's id. Without it thinking is shown unsigned.
        """
        return encode_message(response, _as_ours(turn).shown, private)

    def stream_encoder(self, turn: DialectTurn) -> MessageStreamEncoder:
        ours = _as_ours(turn)
        return MessageStreamEncoder(ours.shown, ours.eager_tools)

    def encode_error(self, error: AntiphonError, *, request_id: str) -> bytes:
        return encode_error(error, request_id=request_id)

    def encode_count(self, input_tokens: int) -> bytes:
        """The JSON body of a count."""
        return orjson.dumps({"input_tokens": input_tokens})

    def _split(self, body: JsonObject, fields: Mapping[str, object]) -> tuple[JsonObject, tuple[str, ...]]:
        """What is read of a body, and the names of what is ignored."""
        if self._unknown_parameters == "reject":
            return body, ()
        known = {name: value for name, value in body.items() if name in fields}
        return known, tuple(name for name in body if name not in fields)

    def _finished(self, turn: MessagesTurn, unknown: tuple[str, ...]) -> MessagesTurn:
        _check_length("messages", turn.request.input, "max_items", self._max_items)
        _check_length("tools", turn.request.tools, "max_tools", self._max_tools)
        if not unknown:
            return turn
        request = msgspec.structs.replace(turn.request, not_applied=(*turn.request.not_applied, *unknown))
        return msgspec.structs.replace(turn, request=request)


def _check_length(param: str, given: Sequence[object], limit: str, longest: int) -> None:
    if len(given) > longest:
        raise InvalidRequest(
            f"Invalid '{param}': there are {len(given)} of what may be {longest} ({limit}).", param=param
        )


def _as_ours(turn: DialectTurn) -> MessagesTurn:
    """The turn with what this dialect knows of it; the defaults for one that it did not decode."""
    return turn if isinstance(turn, MessagesTurn) else MessagesTurn(request=turn.request)
