"""
Replies of the Messages API, as events of items and parts. No I/O.

A reply is whole when its ``message_stop`` was seen and a ``stop_reason`` before it. Anything else is a broken reply,
never a short one. The wire's types are in :mod:`.reply`, what becomes of the content in :mod:`.blocks`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from antiphon.hub.errors import UpstreamBroken, UpstreamError
from antiphon.hub.ids import Family, IdFactory
from antiphon.hub.redaction import clean_text
from antiphon.hub.upstream import Hear, ReplyEvent
from antiphon.hub.usage import Usage
from antiphon.providers.anthropic.blocks import Blocks
from antiphon.providers.anthropic.errors import translate_stream_error
from antiphon.providers.anthropic.frames import Frames, SseFrames
from antiphon.providers.anthropic.reply import (
    StopDetails,
    StreamEvent,
    TokenUsage,
    decode_event,
    decode_message,
)
from antiphon.providers.anthropic.tools import Origin
from antiphon.streams.assembler import Assembler
from antiphon.streams.stream_decoder import StreamDecoder

__all__ = ["MessageDecoder"]

_Outcome = tuple[Literal["completed", "incomplete"], str | None]
_COMPLETED: Final[_Outcome] = ("completed", None)
_CUT_SHORT: Final[_Outcome] = ("incomplete", "max_output_tokens")
_FILTERED: Final[_Outcome] = ("incomplete", "content_filter")

_OUTCOMES: Final[Mapping[str, _Outcome]] = {
    "end_turn": _COMPLETED,
    "tool_use": _COMPLETED,
    "stop_sequence": _COMPLETED,
    "max_tokens": _CUT_SHORT,
    "model_context_window_exceeded": _CUT_SHORT,
    "pause_turn": _CUT_SHORT,  # a tool of the API's own took too long: there would be more to say
    "refusal": _FILTERED,
}
# The API's tiers, by the names that clients know. One of its own ("batch") is left out: clients refuse it.
_SERVICE_TIERS = {"standard": "default", "priority": "priority"}
_SHOWN_CHARS = 64


class MessageDecoder(StreamDecoder):
    """
    The :class:`~antiphon.hub.upstream.ReplyDecoder` of the Messages API.

    Args:
        ids: Mints the ids of items and calls.
        family: The family of the items.
        account: The configured name of the upstream: to whom thinking goes back, and who is named in errors.
        origins: The upstream's names of the tools, and what each stands for.
        allowed: The upstream's names of the only tools that may be called; None for any.
        frames: How the events of a stream are wrapped; server-sent events if left out.
    """

    def __init__(
        self,
        ids: IdFactory,
        family: Family,
        account: str,
        *,
        origins: Mapping[str, Origin],
        allowed: frozenset[str] | None = None,
        frames: Frames | None = None,
    ) -> None:
        super().__init__()
        self._account = account
        self._frames = frames or SseFrames()
        self._assembler = Assembler(ids, family)
        self._blocks = Blocks(self._assembler, account, origins, allowed)
        self._stop_reason: str | None = None
        self._stop_sequence: str | None = None
        self._stop_details: StopDetails | None = None
        self._usage: TokenUsage | None = None
        self._has_counted = False  # a stream begins with a count of output that stands for nothing
        self._model: str | None = None
        self._hear: Hear | None = None

    def overhear(self, hear: Hear) -> None:
        """See :class:`antiphon.hub.upstream.Overheard`."""
        self._hear = hear

    @property
    def usage(self) -> Usage | None:
        """See :class:`antiphon.hub.upstream.Metered`. The input is counted at the beginning, the output at the end."""
        if self._usage is None:
            return None
        counted = self._usage.counted()
        return counted if self._has_counted else msgspec.structs.replace(counted, output_tokens=0)

    def _read(self, block: bytes) -> None:
        for data in self._frames.feed(block):
            if self._take(data):
                break

    def _read_end(self) -> None:
        if not any(self._take(data) for data in self._frames.finish()):
            raise UpstreamBroken(f"The stream of upstream '{self._account}' ended without its 'message_stop'.")

    def _made(self) -> Sequence[ReplyEvent]:
        return self._blocks.take()

    def whole(self, body: bytes) -> Sequence[ReplyEvent]:
        message = decode_message(body)
        if message.error is not None or message.type == "error":
            raise self._error(message.error)
        if message.content is None:
            raise UpstreamBroken(f"The reply of upstream '{self._account}' has no content.")
        self._model, self._usage, self._has_counted = message.model, message.usage, True
        self._stop_reason, self._stop_details = message.stop_reason, message.stop_details
        self._stop_sequence = message.stop_sequence
        for raw in message.content:
            self._blocks.start(raw)
            self._blocks.stop()
        self._end()
        if self._hear is not None:
            self._hear(body, ends=True)
        return self._blocks.take()

    def _take(self, data: bytes) -> bool:
        """Take an event; whether it is the last. One of a kind that nobody knows is passed over, and so are pings."""
        if data[:1] != b"{" and data.strip() in (b"", b"[DONE]"):
            return False  # said by proxies that think of another API
        event = decode_event(data)
        match event.type:
            case "content_block_delta" if event.delta is not None:
                self._blocks.feed(event.delta, event.index)
            case "content_block_start":
                self._blocks.start(event.content_block, event.index)
            case "content_block_stop":
                self._blocks.stop(event.index)
            case "message_start" if event.message is not None:
                self._model, self._usage = event.message.model, event.message.usage
            case "message_delta":
                self._take_message_delta(event)
            case "message_stop":
                self._end()
            case "error":
                raise self._error(event.error)
            case "" if event.error is not None:
                raise self._error(event.error)
        if self._hear is not None:
            self._hear(data, ends=self._stop_reason is not None)
        return self._ended

    def _take_message_delta(self, event: StreamEvent) -> None:
        if event.usage is not None:
            self._has_counted = True
            self._usage = event.usage if self._usage is None else self._usage.updated(event.usage)
        if event.delta is not None:
            self._stop_reason = event.delta.stop_reason or self._stop_reason
            self._stop_sequence = event.delta.stop_sequence or self._stop_sequence
            self._stop_details = event.delta.stop_details or self._stop_details

    def _end(self) -> None:
        status, reason = self._outcome()
        if self._blocks.is_open:
            raise UpstreamBroken(f"The reply of upstream '{self._account}' ended within a content block.")
        if status == "completed":
            self._blocks.close()
        if reason == "content_filter" and self._stop_details is not None:
            self._assembler.refusal(self._stop_details.explanation or "")
        usage = self._usage or TokenUsage()
        self._assembler.end(
            status=status,
            incomplete_reason=reason,
            usage=None if self._usage is None else usage.counted(),
            model=self._model,
            service_tier=_SERVICE_TIERS.get(usage.service_tier or ""),
            stop_sequence=self._stop_sequence,
        )
        self._ended = True

    def _outcome(self) -> _Outcome:
        if not self._stop_reason:
            raise UpstreamBroken(f"The reply of upstream '{self._account}' ended without a stop_reason.")
        outcome = _OUTCOMES.get(self._stop_reason)
        if outcome is None:
            named = clean_text(self._stop_reason[:_SHOWN_CHARS])
            raise UpstreamBroken(f"Upstream '{self._account}' ended its reply with stop_reason '{named}'.")
        return outcome

    def _error(self, error: Any) -> UpstreamError:
        return translate_stream_error(error if isinstance(error, dict) else {"error": error}, upstream=self._account)
