"""
Gemini's replies, as events of items and parts. No I/O.

A stream has no mark for its end: it is whole when the connection has ended and a ``finishReason`` was seen, or the
prompt was blocked. Not earlier, because some models put a ``finishReason`` on every chunk. Anything else is a broken
reply, never a short one.

A message is made of the pieces of text, a reasoning item of the summaries of thoughts, and each call, which always
comes whole, is an item of its own. A signature is kept with the item that its part became (:mod:`.signatures`); one
that comes alone, with no message open, becomes a reasoning item without text. The wire's types are in :mod:`.reply`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from antiphon.hub.errors import UpstreamBroken
from antiphon.hub.ids import Family, IdFactory
from antiphon.hub.items import JsonObject
from antiphon.hub.redaction import clean_text
from antiphon.hub.upstream import ReplyEvent
from antiphon.hub.usage import Usage
from antiphon.providers.gemini.arguments import arguments_text, input_text
from antiphon.providers.gemini.citations import grounding_annotations, recitation_annotations
from antiphon.providers.gemini.errors import translate_stream_error
from antiphon.providers.gemini.frames import Frames
from antiphon.providers.gemini.outcomes import BLOCKED, NOT_FINISHED, Outcome, read_outcome
from antiphon.providers.gemini.reply import (
    Candidate,
    Chunk,
    CitationMetadata,
    FunctionCall,
    GroundingMetadata,
    Part,
    TokenCounts,
    decode_chunk,
    read_logprobs,
    read_usage,
)
from antiphon.providers.gemini.signatures import SignedText, private_call, private_parts
from antiphon.providers.gemini.tools import Tool
from antiphon.streams.assembler import Assembler
from antiphon.streams.sse import DEFAULT_MAX_EVENT_BYTES
from antiphon.streams.stream_decoder import StreamDecoder

__all__ = ["GeminiReplyDecoder"]

# What a model makes only where it is asked to, and the gateway does not ask.
_MEDIA = {
    "inline_data": "inlineData",
    "file_data": "fileData",
    "executable_code": "executableCode",
    "code_execution_result": "codeExecutionResult",
}


class GeminiReplyDecoder(StreamDecoder):
    """
    The :class:`~antiphon.hub.upstream.ReplyDecoder` of Gemini.

    Args:
        ids: Mints the ids of items and calls.
        family: The family of the items.
        account: The configured name of the upstream: to whom signatures go back, and who is named in errors.
        tools: The tools that were offered, by their names on the wire.
        allowed_tools: The names on the wire of the only tools that may be called; None for any.
        max_event_bytes: The longest event of a stream.
    """

    def __init__(
        self,
        ids: IdFactory,
        family: Family,
        account: str,
        *,
        tools: Mapping[str, Tool],
        allowed_tools: frozenset[str] | None = None,
        max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES,
    ) -> None:
        super().__init__()
        self._account = account
        self._tools = tools
        self._allowed = allowed_tools
        self._frames = Frames(max_bytes=max_event_bytes)
        self._assembler = Assembler(ids, family)
        self._calls = 0
        # Of the open item: a message's signatures and text, the signed parts of a reasoning item.
        self._signed = SignedText()
        self._text: list[str] = []
        self._parts: list[JsonObject] = []
        self._grounding: GroundingMetadata | None = None
        self._citations: CitationMetadata | None = None
        self._outcome: Outcome | None = None
        self._counts: TokenCounts | None = None
        self._model: str | None = None

    @property
    def usage(self) -> Usage | None:
        """What was counted so far: every chunk says it anew."""
        return None if self._counts is None else read_usage(self._counts)

    def _read(self, block: bytes) -> None:
        for data in self._frames.feed(block):
            self._take(data)

    def _read_end(self) -> None:
        for data in self._frames.finish():
            self._take(data)
        self._end()

    def _made(self) -> Sequence[ReplyEvent]:
        return self._assembler.take()

    def whole(self, body: bytes) -> Sequence[ReplyEvent]:
        self._take(body)
        self._end()
        return self._assembler.take()

    # Chunks.

    def _take(self, data: bytes | msgspec.Raw) -> None:
        chunk = decode_chunk(data)
        if chunk.error:
            raise translate_stream_error(chunk.error, upstream=self._account)
        if chunk.model_version:
            self._model = chunk.model_version
        if chunk.usage_metadata is not None:
            self._counts = chunk.usage_metadata
        if chunk.prompt_feedback is not None and chunk.prompt_feedback.block_reason:
            self._outcome = BLOCKED
        for candidate in chunk.candidates or ():
            self._take_candidate(candidate, chunk)

    def _take_candidate(self, candidate: Candidate, chunk: Chunk) -> None:
        if candidate.index or len(chunk.candidates or ()) > 1:
            raise UpstreamBroken(f"Upstream '{self._account}' sent several candidates where one was asked for.")
        logprobs = () if candidate.logprobs_result is None else read_logprobs(candidate.logprobs_result)
        for part in (candidate.content and candidate.content.parts) or ():
            logprobs = self._take_part(part, logprobs)
        self._grounding = candidate.grounding_metadata or self._grounding
        self._citations = candidate.citation_metadata or self._citations
        if candidate.finish_reason and candidate.finish_reason != NOT_FINISHED:
            self._outcome = read_outcome(candidate.finish_reason, candidate.finish_message, upstream=self._account)

    def _take_part(self, part: Part, logprobs: tuple[JsonObject, ...]) -> tuple[JsonObject, ...]:
        """Take a part; returns the probabilities that still wait for a text that they belong to."""
        if part.function_call is not None:
            self._call(part.function_call, part.thought_signature)
        elif part.text and not part.thought:
            self._say(part.text, part.thought_signature, logprobs)
            return ()
        elif part.text:
            self._think(part.text, part.thought_signature)
        else:
            self._take_silent(part)
        return logprobs

    def _take_silent(self, part: Part) -> None:
        """A part without text: media, which must not vanish; a signature; or what says nothing and does no harm."""
        for kind, name in _MEDIA.items():
            if getattr(part, kind) is not None:
                raise UpstreamBroken(
                    f"The model of upstream '{self._account}' answered with content of kind '{name}', which has no "
                    "place in a response. Use a model that answers in text."
                )
        if part.thought_signature and part.thought:
            self._think("", part.thought_signature)
        elif part.thought_signature:
            self._seal(part.thought_signature)

    # Items.

    def _say(self, text: str, signature: str | None, logprobs: tuple[JsonObject, ...]) -> None:
        if self._assembler.open_item != "message":
            self._leave()
        self._assembler.text(text, logprobs)
        self._text.append(text)
        if self._signed.feed(text, signature):
            self._assembler.message_private(self._signed.private(self._account))

    def _think(self, text: str, signature: str | None) -> None:
        if self._assembler.open_item != "reasoning":
            self._leave()
        self._assembler.reasoning_summary(text)
        if signature:
            self._keep_part({"text": text, "thought": True, "thoughtSignature": signature})

    def _seal(self, signature: str) -> None:
        """A signature without a text: it belongs to the open message, or stands for itself."""
        if self._assembler.open_item == "message":
            self._signed.feed("", signature)
            self._assembler.message_private(self._signed.private(self._account))
            return
        if self._assembler.open_item != "reasoning":
            self._leave()
        self._keep_part({"text": "", "thoughtSignature": signature})

    def _keep_part(self, part: JsonObject) -> None:
        self._parts.append(part)
        self._assembler.reasoning_private(private_parts(self._parts, self._account))

    def _call(self, call: FunctionCall, signature: str | None) -> None:
        if not call.name:
            raise UpstreamBroken(f"Upstream '{self._account}' sent a tool call without a name.")
        if call.will_continue:
            raise UpstreamBroken(f"Upstream '{self._account}' sent a tool call in pieces, which were not asked for.")
        if self._allowed is not None and call.name not in self._allowed:
            named = clean_text(call.name[:128])
            raise UpstreamBroken(f"The upstream's model called '{named}', which 'tool_choice' does not allow.")
        self._leave()
        key, private = self._calls, private_call(signature, self._account)
        self._calls += 1
        tool = self._tools.get(call.name)
        name, namespace = (call.name, None) if tool is None else (tool.name, tool.namespace)
        if tool is not None and tool.kind == "custom":
            self._assembler.open_custom_call(key, name, namespace=namespace, private=private)
            self._assembler.call_delta(key, input_text(call.args))
        else:
            self._assembler.open_function_call(key, name, namespace=namespace, private=private)
            self._assembler.call_delta(key, arguments_text(call.args))

    def _leave(self) -> None:
        """Another item begins: say what was held back for the open one."""
        if self._assembler.open_item == "message":
            self._annotate("".join(self._text))
        self._signed = SignedText()
        self._text = []
        self._parts = []

    def _annotate(self, text: str) -> None:
        """The sources, which each chunk has anew; said once, behind the text that they are about."""
        if self._grounding is not None:
            for annotation in grounding_annotations(self._grounding, text):
                self._assembler.annotation(annotation)
        if self._citations is not None:
            for annotation in recitation_annotations(self._citations, text):
                self._assembler.annotation(annotation)
        self._grounding = self._citations = None

    # The end.

    def _end(self) -> None:
        if self._outcome is None:
            raise UpstreamBroken(f"The reply of upstream '{self._account}' ended without a finishReason.")
        self._leave()
        status, reason = self._outcome
        self._assembler.end(
            status=status,
            incomplete_reason=reason,
            usage=self.usage,
            model=self._model,
        )
        self._ended = True
