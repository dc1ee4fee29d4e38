"""
Replies of Converse, as events of items and parts. No I/O.

A stream is whole when its ``messageStop`` was seen; the ``metadata`` behind it ends it, and brings the usage. A service
that leaves that out has still said everything, so the end of the connection does as well. Anything else is a broken
reply, never a short one. The wire's types are in :mod:`.reply`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from antiphon.hub.errors import UpstreamBroken
from antiphon.hub.ids import Family, IdFactory
from antiphon.hub.redaction import clean_text
from antiphon.hub.upstream import ReplyEvent
from antiphon.providers.bedrock.errors import translate_exception
from antiphon.providers.bedrock.reasoning import Thoughts
from antiphon.providers.bedrock.reply import (
    Block,
    Chunk,
    Delta,
    Reply,
    ServiceTier,
    TokenUsage,
    Trace,
    decode_chunk,
    decode_reply,
    read_arguments,
    read_citation,
    read_usage,
)
from antiphon.providers.bedrock.tools import Tool
from antiphon.streams.assembler import Assembler
from antiphon.streams.aws_event_stream import DEFAULT_MAX_MESSAGE_BYTES, EventStreamMessage, EventStreamParser
from antiphon.streams.stream_decoder import StreamDecoder

__all__ = ["ConverseReplyDecoder"]

_Outcome = tuple[Literal["completed", "incomplete"], str | None]
_COMPLETED: Final[_Outcome] = ("completed", None)
_CUT_SHORT: Final[_Outcome] = ("incomplete", "max_output_tokens")
_FILTERED: Final[_Outcome] = ("incomplete", "content_filter")

_OUTCOMES: Mapping[str, _Outcome] = {
    "end_turn": _COMPLETED,
    "tool_use": _COMPLETED,
    "stop_sequence": _COMPLETED,
    "max_tokens": _CUT_SHORT,
    "model_context_window_exceeded": _CUT_SHORT,
    "guardrail_intervened": _FILTERED,
    "content_filtered": _FILTERED,
}
_MALFORMED = frozenset({"malformed_model_output", "malformed_tool_use"})

# The API's tiers; "reserved" is none of them.
_SERVICE_TIERS = frozenset({"default", "flex", "priority"})
_SHOWN_CHARS = 64
_NO_TOOLS: Mapping[str, Tool] = MappingProxyType({})


class _Wrapped(msgspec.Struct, forbid_unknown_fields=True):
    """The arguments with which a custom tool, offered as a function, is called."""

    input: str


_wrapped_decoder = msgspec.json.Decoder(_Wrapped)


class _Call:
    """The call that is open."""

    __slots__ = ("key", "pieces", "said", "wrapped")

    def __init__(self, key: int, *, wrapped: bool) -> None:
        self.key = key
        self.wrapped = wrapped
        self.said = False
        self.pieces: list[str] = []  # of a custom tool's arguments, which are read when they are whole


class ConverseReplyDecoder(StreamDecoder):
    """
    The :class:`~antiphon.hub.upstream.ReplyDecoder` of Converse.

    Args:
        ids: Mints the ids of items and calls.
        family: The family of the items.
        account: The configured name of the upstream: to whom private data goes back, and who is named in errors.
        tools: The tools that were offered, by the upstream's names of them.
        allowed_tools: The upstream's names of the only tools that may be called; None for any.
        max_message_bytes: The longest message of a stream.
    """

    def __init__(
        self,
        ids: IdFactory,
        family: Family,
        account: str,
        *,
        tools: Mapping[str, Tool] = _NO_TOOLS,
        allowed_tools: frozenset[str] | None = None,
        max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES,
    ) -> None:
        super().__init__()
        self._account = account
        self._tools = tools
        self._allowed = allowed_tools
        self._frames = EventStreamParser(max_message_bytes=max_message_bytes)
        self._assembler = Assembler(ids, family)
        self._thoughts = Thoughts(account)
        self._call: _Call | None = None
        self._stop_reason: str | None = None
        self._stop_sequence: str | None = None
        self._usage: TokenUsage | None = None
        self._model: str | None = None
        self._service_tier: str | None = None

    def _read(self, block: bytes) -> None:
        for message in self._frames.feed(block):
            self._take_message(message)
            if self._ended:
                break

    def _read_end(self) -> None:
        self._frames.finish()
        if self._stop_reason is None:
            raise UpstreamBroken(f"The stream of upstream '{self._account}' ended without its 'messageStop'.")
        self._end()

    def _made(self) -> Sequence[ReplyEvent]:
        return self._assembler.take()

    def whole(self, body: bytes) -> Sequence[ReplyEvent]:
        reply = decode_reply(body)
        message = reply.output.message if reply.output is not None else None
        if message is None or message.content is None or reply.stop_reason is None:
            missing = "message" if reply.stop_reason is not None else "stopReason"
            raise UpstreamBroken(f"The reply of upstream '{self._account}' has no {missing}.")
        for place, block in enumerate(message.content):
            self._take_block(place, block)
        self._take_stop(reply)
        self._take_metadata(reply)
        self._end()
        return self._assembler.take()

    # Messages of a stream.

    def _take_message(self, message: EventStreamMessage) -> None:
        match message.headers.get(":message-type"):
            case "event":
                self._take_event(str(message.headers.get(":event-type")), message.payload)
            case "exception":
                kind = str(message.headers.get(":exception-type", ""))
                raise translate_exception(kind, message.payload, upstream=self._account)
            case "error":
                kind, said = (str(message.headers.get(name, "")) for name in (":error-code", ":error-message"))
                raise translate_exception(kind, msgspec.json.encode({"message": said}), upstream=self._account)
            case _:
                pass  # the specification has no other; one that comes to it later is not for us

    def _take_event(self, kind: str, payload: bytes) -> None:
        match kind:
            case "contentBlockDelta":
                chunk = decode_chunk(payload)
                if chunk.delta is not None:
                    self._check_running()
                    self._take_delta(chunk.content_block_index, chunk.delta)
            case "contentBlockStart":
                chunk = decode_chunk(payload)
                if chunk.start is not None:
                    self._check_running()
                    self._take_start(chunk)
            case "messageStop":
                self._take_stop(decode_chunk(payload))
            case "metadata":
                self._take_metadata(decode_chunk(payload))
                if self._stop_reason is not None:
                    self._end()
            case _:
                pass  # messageStart and contentBlockStop say nothing that the others do not; unknown ones are skipped

    def _check_running(self) -> None:
        if self._stop_reason is not None:
            raise UpstreamBroken(f"Upstream '{self._account}' sent content after its 'messageStop'.")

    def _take_start(self, chunk: Chunk) -> None:
        start = chunk.start
        assert start is not None
        self._refuse_unsayable(start.image, start.tool_result)
        if start.tool_use is not None:
            self._open_call(chunk.content_block_index, start.tool_use.name, start.tool_use.type)

    def _take_delta(self, place: int, delta: Delta) -> None:
        if delta.text:
            self._text(delta.text)
        elif delta.tool_use is not None:
            self._add_arguments(place, delta.tool_use.input)
        elif delta.reasoning_content is not None:
            reasoning = delta.reasoning_content
            self._reason(
                place,
                text=reasoning.text or "",
                signature=reasoning.signature or "",
                redacted=reasoning.redacted_content or "",
            )
        elif delta.citation is not None:
            self._cite(delta.citation)
        else:
            self._refuse_unsayable(delta.image, delta.tool_result)

    def _take_stop(self, stop: Chunk | Reply) -> None:
        self._stop_reason = stop.stop_reason or ""
        fields = stop.additional_model_response_fields
        self._stop_sequence = None if fields is None else fields.stop_sequence
        self._outcome()

    def _take_metadata(self, metadata: Chunk | Reply) -> None:
        self._usage = metadata.usage or self._usage
        self._model = _routed_model(metadata.trace) or self._model
        self._service_tier = _tier(metadata.service_tier) or self._service_tier

    # Blocks of a whole reply.

    def _take_block(self, place: int, block: Block) -> None:
        self._refuse_unsayable(block.image, block.tool_result)
        if block.text:
            self._text(block.text)
        if block.tool_use is not None:
            self._open_call(place, block.tool_use.name, block.tool_use.type)
            self._add_arguments(place, read_arguments(block.tool_use))
        if block.reasoning_content is not None:
            reasoning = block.reasoning_content
            said = reasoning.reasoning_text
            self._reason(
                place,
                text=(said and said.text) or "",
                signature=(said and said.signature) or "",
                redacted=reasoning.redacted_content or "",
            )
        if block.citations_content is not None:
            for cited in block.citations_content.content or ():
                self._text(cited.text or "")
            for citation in block.citations_content.citations or ():
                self._cite(citation)

    # Content.

    def _text(self, text: str) -> None:
        if self._assembler.open_item != "message":
            self._leave()
        self._assembler.text(text)

    def _cite(self, citation: dict[str, object]) -> None:
        annotation = read_citation(citation)
        if annotation is not None:
            if self._assembler.open_item != "message":
                self._leave()
            self._assembler.annotation(annotation)

    def _reason(self, place: int, *, text: str, signature: str, redacted: str) -> None:
        if not (text or signature or redacted):
            return
        self._leave_call()
        if self._thoughts.begins(place):
            self._assembler.end_thought()
        self._thoughts.add(place, text=text, signature=signature, redacted=redacted)
        if text:
            self._assembler.reasoning_text(text)
        else:
            self._assembler.reasoning_private(self._thoughts.private())

    def _refuse_unsayable(self, image: object, tool_result: object) -> None:
        for kind, value in (("image", image), ("toolResult", tool_result)):
            if value is not None:
                raise UpstreamBroken(
                    f"Upstream '{self._account}' sent content of kind '{kind}', which was not asked for."
                )

    # Calls.

    def _open_call(self, place: int, wire_name: str | None, kind: str | None) -> None:
        if not wire_name or kind is not None:
            what = "a tool call without a name" if not wire_name else "a call of a tool that it runs itself"
            raise UpstreamBroken(f"Upstream '{self._account}' sent {what}.")
        if self._allowed is not None and wire_name not in self._allowed:
            named = clean_text(wire_name[:_SHOWN_CHARS])
            raise UpstreamBroken(
                f"The model of upstream '{self._account}' called '{named}', which 'tool_choice' does not allow."
            )
        self._leave()
        tool = self._tools.get(wire_name)
        wrapped = tool is not None and tool.kind == "custom"
        begin = self._assembler.open_custom_call if wrapped else self._assembler.open_function_call
        begin(place, tool.name if tool else wire_name, namespace=tool.namespace if tool else None)
        self._call = _Call(place, wrapped=wrapped)

    def _add_arguments(self, place: int, piece: str) -> None:
        call = self._call
        if call is None or call.key != place:
            raise UpstreamBroken(f"Upstream '{self._account}' sent a piece of a tool call that is not open.")
        if call.wrapped:
            call.pieces.append(piece)
        elif piece:
            self._assembler.call_delta(place, piece)
            call.said = True

    # Leaving one item for another.

    def _leave(self) -> None:
        """Another item begins: say what was held back for the one that is left."""
        self._leave_call()
        if self._thoughts:
            self._assembler.reasoning_private(self._thoughts.take())

    def _leave_call(self, *, cut_short: bool = False) -> None:
        call, self._call = self._call, None
        if call is None:
            return
        if call.wrapped:
            self._assembler.call_delta(call.key, _unwrapped("".join(call.pieces)))
        elif not call.said and not cut_short:
            self._assembler.call_delta(call.key, "{}")  # a call without arguments comes without a piece of them

    # The end.

    def _outcome(self) -> _Outcome:
        reason = self._stop_reason or ""
        if reason in _MALFORMED:
            raise UpstreamBroken(f"The model of upstream '{self._account}' gave output that is none: {reason}.")
        outcome = _OUTCOMES.get(reason)
        if outcome is None:
            named = clean_text(reason[:_SHOWN_CHARS])
            raise UpstreamBroken(f"Upstream '{self._account}' ended its reply with stopReason '{named}'.")
        return outcome

    def _end(self) -> None:
        status, incomplete_reason = self._outcome()
        self._leave_call(cut_short=status == "incomplete")
        self._leave()
        self._assembler.end(
            status=status,
            incomplete_reason=incomplete_reason,
            usage=None if self._usage is None else read_usage(self._usage),
            model=self._model,
            service_tier=self._service_tier,
            stop_sequence=self._stop_sequence,
        )
        self._ended = True


def _unwrapped(arguments: str) -> str:
    """The input in a custom tool's arguments, or the arguments as they are if they do not hold just that."""
    try:
        return _wrapped_decoder.decode(arguments).input
    except (msgspec.DecodeError, RecursionError):
        return arguments


def _routed_model(trace: Trace | None) -> str | None:
    """The model that a prompt router chose; no other reply says which model it is of."""
    return trace.prompt_router.invoked_model_id if trace is not None and trace.prompt_router is not None else None


def _tier(tier: ServiceTier | None) -> str | None:
    return tier.type if tier is not None and tier.type in _SERVICE_TIERS else None
