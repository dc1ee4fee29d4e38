"""
The Messages API, as Anthropic's clients speak it: a codec without I/O.

One file for each thing: the request (:mod:`.request`) with its blocks (:mod:`.blocks`, :mod:`.transcript`), tools
(:mod:`.tools`) and settings (:mod:`.settings`); the answer, whole (:mod:`.answer`) or as a stream (:mod:`.stream`);
either in the upstream's own words (:mod:`.verbatim`); errors (:mod:`.errors`); and what goes both ways: thinking
(:mod:`.thoughts`), the arguments of calls (:mod:`.arguments`), ids (:mod:`.ids`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec
import orjson

from antiphon.formats.messages.answer import encode_message
from antiphon.formats.messages.errors import encode_error, shown_status, shown_type, status_of
from antiphon.formats.messages.ids import message_id_of, response_id_of
from antiphon.formats.messages.published import published_schemas
from antiphon.formats.messages.request import COUNT_FIELDS, FIELDS, REQUEST, MessagesTurn, decode, decode_count
from antiphon.formats.messages.stream import MessageStreamEncoder
from antiphon.formats.messages.thoughts import DIALECT, has_bundles
from antiphon.formats.messages.verbatim import EventWords, own_message
from antiphon.formats.verbatim.reading import read_verbatim
from antiphon.formats.verbatim.stream import VerbatimEncoder
from antiphon.hub.errors import AntiphonError, InvalidRequest
from antiphon.hub.format import NOTHING_PRIVATE, DialectTurn, StreamEncoder
from antiphon.hub.items import JsonObject, Private

__all__ = ["MessagesFormat", "MessagesTurn", "message_id_of", "response_id_of", "status_of"]

_PING: Final = b'event: ping\ndata: {"type":"ping"}\n\n'


class MessagesFormat:
    """
    The client dialect ``anthropic``: implements :class:`~antiphon.hub.format.ClientDialect`. It has no state of its
    own; one instance serves everybody.

    Args:
        max_items: The most items that the messages of one request may make.
        max_tools: The most tools in one request.
        unknown_parameters: What to do with a field of a request that the API does not know, where the upstream is not
            given the client's own words. One that is ignored is among the turn's ``not_applied``.
    """

    error_schema: Final = "MessagesError"
    id_header: Final = "request-id"
    keep_alive: Final = _PING

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
        turn = read_verbatim(body, self._decode, dialect=DIALECT, schema=REQUEST)
        if turn.verbatim is None or not has_bundles(body["messages"]):
            return turn
        turn.verbatim.require_sayable()
        return msgspec.structs.replace(turn, verbatim=None)

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
        self, response: JsonObject, turn: DialectTurn, *, private: Mapping[str, Private] = NOTHING_PRIVATE
    ) -> bytes:
        """
        The JSON body of a whole answer.

        Args:
            response: The hub's, completed or incomplete.
            private: What belongs beside its output, by the item's id. Without it thinking is shown unsigned.
        """
        own = turn.verbatim
        if own is not None and own.heard.has_begun:
            return own_message(own.heard.whole(), response)
        return encode_message(response, _as_ours(turn).shown, private)

    def stream_encoder(self, turn: DialectTurn) -> StreamEncoder:
        ours = _as_ours(turn)
        encoder = MessageStreamEncoder(ours.shown, ours.eager_tools)
        return encoder if turn.verbatim is None else VerbatimEncoder(turn.verbatim.heard, EventWords(), encoder)

    def encode_error(self, error: AntiphonError, *, request_id: str) -> bytes:
        return encode_error(error, request_id=request_id)

    def shown_status(self, status: int) -> int:
        return shown_status(status)

    def shown_type(self, error_type: str, status: int) -> str:
        return shown_type(shown_status(status))

    def encode_count(self, input_tokens: int) -> bytes:
        """The JSON body of a count."""
        return orjson.dumps({"input_tokens": input_tokens})

    def schemas(self) -> Mapping[str, JsonObject]:
        return published_schemas(max_tools=self._max_tools, refuse_unknown=self._unknown_parameters == "reject")

    def _decode(self, body: JsonObject) -> MessagesTurn:
        known, unknown = self._split(body, FIELDS)
        return self._finished(decode(known), unknown)

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
