"""
Replies of the Responses API, as events. No I/O.

A reply is whole when its terminal event was seen; anything else is a broken reply, never a short one. What the response
says of its own life is swallowed, because the gateway says it; what it says of its items is :mod:`.reply_items`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import orjson

from antiphon.hub.errors import UpstreamBroken
from antiphon.hub.ids import Family, IdFactory
from antiphon.hub.items import JsonObject
from antiphon.hub.turn import ModelCall
from antiphon.hub.upstream import ReplyEvent
from antiphon.hub.usage import Usage
from antiphon.providers.openai_responses.reply import read_end, read_output, read_usage
from antiphon.providers.openai_responses.reply_items import ReplyItems
from antiphon.providers.openai_responses.stream_error import translate_stream_error
from antiphon.streams.sse import DEFAULT_MAX_EVENT_BYTES, SseParser
from antiphon.streams.stream_decoder import StreamDecoder

__all__ = ["ResponsesReplyDecoder"]

_TEXT: Final = "response.output_text.delta"
_SWALLOWED: Final = frozenset({"response.created", "response.queued", "response.in_progress"})
# The status that a terminal event stands for, where its response has none.
_TERMINAL: Final = {
    "response.completed": "completed",
    "response.incomplete": "incomplete",
    "response.failed": "failed",
    "response.cancelled": "cancelled",
}
_ERRORS: Final = frozenset({"error", "response.error"})


class ResponsesReplyDecoder(StreamDecoder):
    """
    The :class:`~antiphon.hub.upstream.ReplyDecoder` of the Responses API.

    Args:
        ids: Mints the ids of items and calls.
        family: The family of the items.
        call: The call that is answered.
        max_event_bytes: The longest event of a stream.
    """

    def __init__(
        self, ids: IdFactory, family: Family, call: ModelCall, *, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES
    ) -> None:
        super().__init__()
        self._account = call.account
        self._sse = SseParser(max_event_bytes=max_event_bytes)
        self._items = ReplyItems(ids, family, call)
        self._end: list[ReplyEvent] = []
        self._usage: Usage | None = None

    @property
    def usage(self) -> Usage | None:
        """See :class:`antiphon.hub.upstream.Metered`. Counts come at the end, also at that of a reply that failed."""
        return self._usage

    def _read(self, block: bytes) -> None:
        for name, data in self._sse.feed(block):
            self._take(name, data)
            if self._ended:
                break

    def whole(self, body: bytes) -> Sequence[ReplyEvent]:
        response = self._object(body)
        if response.get("error") and response.get("status") != "failed":
            raise translate_stream_error(response["error"], upstream=self._account)
        self._finish_with(response, None)
        return self._made()

    def _made(self) -> list[ReplyEvent]:
        events = [*self._items.take(), *self._end]
        self._end = []
        return events

    def _read_end(self) -> None:
        """What follows the last blank line: some proxies drop the one after the last event."""
        for name, data in self._sse.pending():
            if data.rstrip().endswith(b"}"):
                self._take(name, data)
        if not self._ended:
            raise UpstreamBroken(f"The stream of upstream '{self._account}' ended without its terminal event.")

    def _take(self, name: str, data: bytes) -> None:
        if name == _TEXT and data[:1] == b"{" and (event := self._object(data)).get("type") == _TEXT:
            self._items.feed(_TEXT, event)  # most events of most streams: there is nothing else to be found out
            return
        stripped = data.strip()
        if name in _SWALLOWED or not stripped:
            return
        if name in _ERRORS and not stripped.startswith(b"{"):
            raise translate_stream_error(data.decode(errors="replace"), upstream=self._account)
        if stripped == b"[DONE]":
            raise UpstreamBroken(f"The stream of upstream '{self._account}' ended without its terminal event.")
        event = self._object(data)
        kind = event.get("type")
        self._take_event(kind if isinstance(kind, str) else name, event)

    def _take_event(self, kind: str, event: JsonObject) -> None:
        if kind in _TERMINAL:
            response = event.get("response")
            self._finish_with(response if isinstance(response, dict) else {}, _TERMINAL[kind])
        elif kind in _ERRORS or (event.get("error") and not kind.startswith("response.")):
            # Flat as it is documented, nested as it has been seen, or OpenAI's envelope without a type.
            raise translate_stream_error(event.get("error") or _flat_error(event), upstream=self._account)
        elif kind not in _SWALLOWED:
            self._items.feed(kind, event)

    def _finish_with(self, response: JsonObject, default_status: str | None) -> None:
        self._usage = read_usage(response)
        end = read_end(response, default_status, upstream=self._account)
        self._items.end(read_output(response), end.status)
        self._end = [end]
        self._ended = True

    def _object(self, data: bytes) -> JsonObject:
        try:
            document = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise UpstreamBroken(f"The reply of upstream '{self._account}' is not valid JSON.") from error
        if not isinstance(document, dict):
            raise UpstreamBroken(f"The reply of upstream '{self._account}' is not a JSON object.")
        return document


def _flat_error(event: JsonObject) -> JsonObject:
    """The fields of an ``error`` event that are the error's own: its type only says that it is one."""
    return {name: event[name] for name in ("code", "message", "param", "status") if name in event}
