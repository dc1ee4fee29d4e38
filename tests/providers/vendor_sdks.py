"""
The vendors' own SDKs as readers of replies: what each of them makes of the bytes that a server answers.

Independent of our decoders: nothing here knows how a dialect is spelt, only what the SDK's objects are called. What
stands where is the vendors' documentation of their SDKs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, NamedTuple

import anthropic
import httpx
import openai
import orjson
from aiohttp import web
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.session import Session
from google import genai
from google.genai import errors as genai_errors
from google.genai import types as genai_types

__all__ = ["MODEL", "Answer", "Call", "Failed", "Sdks", "Seen", "Vendor", "json_of", "without_spaces"]

MODEL = "upstream-model"


class Call(NamedTuple):
    """A tool call; arguments as the object that they are, or as they are written if they are none."""

    name: str
    arguments: Any


@dataclass(frozen=True, kw_only=True)
class Seen:
    """
    What somebody sees in a reply.

    Attributes:
        reasoning: All of it, summaries included, without spaces: whether blocks are paragraphs of one thought is not
            the vendor's to say.
        stop: The vendor's own word for why it stopped.
        input_tokens: The whole prompt, with what was cached.
    """

    text: str = ""
    refusal: str = ""
    reasoning: str = ""
    calls: tuple[Call, ...] = ()
    stop: str | None = None
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0


class Answer(NamedTuple):
    """What the stand-in for a vendor answers with."""

    body: bytes
    content_type: str = "application/json"
    status: int = 200
    headers: Mapping[str, str] = {}


@dataclass
class Vendor:
    """
    A stand-in for every vendor on a loopback port: whatever it is asked, it gives the answer that was set.

    Attributes:
        asked: The path of each request, with its query.
    """

    root: str = ""
    answer: Answer = field(default_factory=lambda: Answer(b""))
    asked: list[str] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def serving(cls) -> AsyncIterator[Vendor]:
        vendor = cls()
        runner = web.ServerRunner(web.Server(vendor._answered))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        vendor.root = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield vendor
        finally:
            await runner.cleanup()

    async def _answered(self, request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        self.asked.append(request.path_qs)
        body, content_type, status, headers = self.answer
        return web.Response(body=body, status=status, headers={**headers, "content-type": content_type})


@dataclass(frozen=True, kw_only=True)
class Failed:
    """
    What an SDK says of an answer that is no reply.

    Attributes:
        kind: The class that it raised, or the vendor's word for the fault where the SDK has one class for all.
        status: None for a fault within a stream.
    """

    kind: str
    status: int | None
    words: str


class HandedOver(Exception):
    """The SDK does not raise a fault of the vendor's: it hands it over as an event, with a code and words."""


Read = Callable[[bool], Awaitable[Seen]]


class Sdks:
    """Every vendor's client, pointed at one :class:`Vendor`; without retries."""

    def __init__(self, root: str) -> None:
        self._openai = openai.AsyncOpenAI(base_url=f"{root}/v1", api_key="test-key", max_retries=0)
        self._anthropic = anthropic.AsyncAnthropic(base_url=root, api_key="test-key", max_retries=0)
        # Without a client of httpx it takes aiohttp, in a way that aiohttp warns of.
        self._http = httpx.AsyncClient(trust_env=False)
        options = genai_types.HttpOptions(
            base_url=root,
            api_version="v1beta",
            retry_options=genai_types.HttpRetryOptions(attempts=1),
            httpx_async_client=self._http,
        )
        self._genai = genai.Client(api_key="test-key", http_options=options)
        self._bedrock = Session().create_client(
            "bedrock-runtime",
            region_name="eu-west-1",
            endpoint_url=root,
            aws_access_key_id="AKIDEXAMPLE",
            aws_secret_access_key="test-secret-key",
            config=Config(retries={"total_max_attempts": 1}, proxies={}),
        )
        self.readers: Mapping[str, Read] = {
            "openai_chat": self._chat,
            "openai_responses": self._responses,
            "anthropic": self._messages,
            "gemini": self._gemini,
            "bedrock": self._converse,
        }

    async def failure(self, dialect: str, *, stream: bool = False) -> Failed:
        """What the client raises; it has to."""
        try:
            seen = await self.readers[dialect](stream)
        except openai.APIError as error:
            words = error.message.removeprefix(f"Error code: {getattr(error, 'status_code', None)} - ")
            return Failed(kind=type(error).__name__, status=getattr(error, "status_code", None), words=words)
        except HandedOver as fault:
            return Failed(kind=fault.args[0], status=None, words=fault.args[1])
        except anthropic.APIStatusError as error:
            body: Any = error.body
            return Failed(kind=type(error).__name__, status=error.status_code, words=body["error"]["message"])
        except genai_errors.APIError as error:
            return Failed(kind=error.status or "", status=error.code, words=error.message or "")
        except ClientError as error:
            said, about = error.response["Error"], error.response.get("ResponseMetadata", {})
            return Failed(kind=said["Code"], status=about.get("HTTPStatusCode"), words=said["Message"])
        raise AssertionError(f"the client takes it for a reply: {seen}")

    async def close(self) -> None:
        await self._openai.close()
        await self._anthropic.close()
        await self._genai.aio.aclose()
        await self._http.aclose()
        self._genai.close()
        self._bedrock.close()

    async def _chat(self, stream: bool) -> Seen:
        question: Any = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}
        if not stream:
            return _seen_in_completion(await self._openai.chat.completions.create(**question))
        chunks = await self._openai.chat.completions.create(stream=True, **question)
        return _seen_in_chunks([chunk async for chunk in chunks])

    async def _responses(self, stream: bool) -> Seen:
        question: Any = {"model": MODEL, "input": "Hi"}
        if not stream:
            return _seen_in_response(await self._openai.responses.create(**question))
        deltas = ""
        async for event in await self._openai.responses.create(stream=True, **question):
            if event.type == "response.output_text.delta":
                deltas += event.delta
            if event.type == "error":
                raise HandedOver(event.code or "", event.message)
            if event.type == "response.failed":
                fault = event.response.error
                raise HandedOver(fault.code, fault.message)
            if event.type in ("response.completed", "response.incomplete"):
                seen = _seen_in_response(event.response)
                assert deltas == seen.text
                return seen
        raise AssertionError("the stream has no end")

    async def _messages(self, stream: bool) -> Seen:
        question: Any = {"model": MODEL, "max_tokens": 64, "messages": [{"role": "user", "content": "Hi"}]}
        if not stream:
            return _seen_in_message(await self._anthropic.messages.create(**question))
        async with self._anthropic.messages.stream(**question) as events:
            return _seen_in_message(await events.get_final_message())

    async def _gemini(self, stream: bool) -> Seen:
        question: Any = {"model": MODEL, "contents": "Hi"}
        if not stream:
            return _seen_by_gemini([await self._genai.aio.models.generate_content(**question)])
        chunks = await self._genai.aio.models.generate_content_stream(**question)
        return _seen_by_gemini([chunk async for chunk in chunks])

    async def _converse(self, stream: bool) -> Seen:
        # botocore blocks: its thread waits, and the stand-in answers from this loop meanwhile.
        return await asyncio.to_thread(self._conversed, stream)

    def _conversed(self, stream: bool) -> Seen:
        question: Any = {"modelId": MODEL, "messages": [{"role": "user", "content": [{"text": "Hi"}]}]}
        if stream:
            return _seen_in_events(self._bedrock.converse_stream(**question)["stream"])
        reply = self._bedrock.converse(**question)
        return _seen_in_blocks(reply["output"]["message"]["content"], reply["stopReason"], reply["usage"])


def _seen_in_completion(completion: Any) -> Seen:
    choice = completion.choices[0]
    message = choice.message
    extra = message.model_extra
    return replace(
        _chat_usage(completion.usage),
        text=message.content or "",
        refusal=message.refusal or "",
        reasoning=_thought(extra),
        calls=tuple(_chat_calls(message)),
        stop=choice.finish_reason,
    )


def _chat_calls(message: Any) -> Iterable[Call]:
    if message.function_call:
        yield Call(message.function_call.name, json_of(message.function_call.arguments))
    for call in message.tool_calls or ():
        if call.type == "custom":
            yield Call(call.custom.name, call.custom.input)
        else:
            yield Call(call.function.name, json_of(call.function.arguments))


def _thought(extra: Mapping[str, str]) -> str:
    """Reasoning has no field in the vendor's types; others put it into one of these."""
    return without_spaces(extra.get("reasoning_content") or extra.get("reasoning") or "")


def _seen_in_chunks(chunks: list[Any]) -> Seen:
    """Put together what a stream says in pieces; the SDK's own helper refuses replies that were cut short."""
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    usage = [chunk.usage for chunk in chunks if chunk.usage]
    return replace(
        _chat_usage(usage[-1] if usage else None),
        text="".join(delta.content or "" for delta in deltas),
        refusal="".join(delta.refusal or "" for delta in deltas),
        reasoning="".join(_thought(delta.model_extra) for delta in deltas),
        calls=tuple(_streamed_calls(deltas)),
        stop=next(reason for chunk in reversed(chunks) for choice in chunk.choices if (reason := choice.finish_reason)),
    )


def _streamed_calls(deltas: Iterable[Any]) -> Iterable[Call]:
    """The calls of a stream by their index."""
    pieces = [(piece.index, *_call_piece(piece)) for delta in deltas for piece in delta.tool_calls or ()]
    pieces += [(0, "function", delta.function_call) for delta in deltas if delta.function_call]
    for index in dict.fromkeys(index for index, _, _ in pieces):
        kinds, said = zip(*((kind, piece) for place, kind, piece in pieces if place == index), strict=True)
        name = "".join(piece.name or "" for piece in said)
        value = "".join(piece.arguments or "" for piece in said)
        yield Call(name, value if "custom" in kinds else json_of(value))


def _call_piece(piece: Any) -> tuple[str, Any]:
    """The SDK has no type for the pieces of a custom call: they are as they came."""
    custom = piece.model_extra.get("custom")
    if custom is None:
        return "function", piece.function
    return "custom", SimpleNamespace(name=custom.get("name"), arguments=custom.get("input"))


def _chat_usage(usage: Any) -> Seen:
    if usage is None:
        return Seen()
    read, spent = usage.prompt_tokens_details, usage.completion_tokens_details
    return Seen(
        input_tokens=usage.prompt_tokens,
        cached_tokens=(read and read.cached_tokens) or 0,
        output_tokens=usage.completion_tokens,
        reasoning_tokens=(spent and spent.reasoning_tokens) or 0,
    )


def _seen_in_response(response: Any) -> Seen:
    usage = response.usage
    return Seen(
        text=response.output_text,
        refusal="".join(
            part.refusal
            for item in response.output
            if item.type == "message"
            for part in item.content
            if part.type == "refusal"
        ),
        reasoning=without_spaces(
            *(
                part.text
                for item in response.output
                if item.type == "reasoning"
                for part in [*item.summary, *(item.content or [])]
            )
        ),
        calls=tuple(_response_calls(response.output)),
        stop=response.incomplete_details.reason if response.incomplete_details else response.status,
        input_tokens=usage.input_tokens if usage else 0,
        cached_tokens=usage.input_tokens_details.cached_tokens if usage else 0,
        output_tokens=usage.output_tokens if usage else 0,
        reasoning_tokens=usage.output_tokens_details.reasoning_tokens if usage else 0,
    )


def _response_calls(output: Iterable[Any]) -> Iterable[Call]:
    for item in output:
        if item.type == "function_call":
            yield Call(item.name, json_of(item.arguments))
        if item.type == "custom_tool_call":
            yield Call(item.name, item.input)


def _seen_in_message(message: anthropic.types.Message) -> Seen:
    usage, stopped = message.usage, message.stop_details
    details = getattr(usage, "output_tokens_details", None)
    read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    return Seen(
        text="".join(block.text for block in message.content if block.type == "text"),
        refusal=(stopped.explanation or "") if stopped else "",
        reasoning=without_spaces(*(block.thinking for block in message.content if block.type == "thinking")),
        calls=tuple(Call(block.name, block.input) for block in message.content if block.type == "tool_use"),
        stop=message.stop_reason,
        input_tokens=usage.input_tokens + read + written,
        cached_tokens=read,
        output_tokens=usage.output_tokens,
        reasoning_tokens=details.thinking_tokens if details else 0,
    )


def _seen_by_gemini(chunks: list[genai_types.GenerateContentResponse]) -> Seen:
    candidates = [chunk.candidates[0] for chunk in chunks if chunk.candidates]
    parts = [part for found in candidates if found.content for part in found.content.parts or ()]
    blocked = next((chunk.prompt_feedback for chunk in chunks if chunk.prompt_feedback), None)
    reason = candidates[-1].finish_reason if candidates else blocked and blocked.block_reason
    usage = next(chunk.usage_metadata for chunk in reversed(chunks) if chunk.usage_metadata)
    return Seen(
        text="".join(part.text for part in parts if part.text and not part.thought),
        reasoning=without_spaces(*(part.text for part in parts if part.text and part.thought)),
        calls=tuple(
            Call(part.function_call.name or "", part.function_call.args or {}) for part in parts if part.function_call
        ),
        stop=reason.value if reason else None,
        input_tokens=(usage.prompt_token_count or 0) + (usage.tool_use_prompt_token_count or 0),
        cached_tokens=usage.cached_content_token_count or 0,
        output_tokens=(usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0),
        reasoning_tokens=usage.thoughts_token_count or 0,
    )


def _seen_in_events(events: Iterable[Mapping[str, Any]]) -> Seen:
    """Put the blocks together that a Converse stream says in pieces."""
    blocks: dict[int, dict[str, Any]] = {}
    stop, usage = "", {}
    for event in events:
        kind, body = next(iter(event.items()))
        if kind == "contentBlockStart":
            blocks.setdefault(body["contentBlockIndex"], {}).update(body["start"])
        elif kind == "contentBlockDelta":
            _add(blocks.setdefault(body["contentBlockIndex"], {}), body["delta"])
        elif kind == "messageStop":
            stop = body["stopReason"]
        elif kind == "metadata":
            usage = body["usage"]
    return _seen_in_blocks(blocks.values(), stop, usage)


def _add(block: dict[str, Any], delta: Mapping[str, Any]) -> None:
    if "text" in delta:
        block["text"] = block.get("text", "") + delta["text"]
    if "toolUse" in delta:
        use = block["toolUse"]
        block["toolUse"] = {**use, "input": use.get("input", "") + delta["toolUse"]["input"]}
    if "text" in delta.get("reasoningContent", {}):
        known = block.get("reasoningContent", {}).get("reasoningText", {}).get("text", "")
        block["reasoningContent"] = {"reasoningText": {"text": known + delta["reasoningContent"]["text"]}}


def _seen_in_blocks(blocks: Iterable[Mapping[str, Any]], stop: str, usage: Mapping[str, int]) -> Seen:
    text, reasoning, calls = "", "", []
    for block in blocks:
        text += block.get("text", "")
        text += "".join(part["text"] for part in block.get("citationsContent", {}).get("content", ()))
        reasoning += block.get("reasoningContent", {}).get("reasoningText", {}).get("text", "")
        if "toolUse" in block:
            calls.append(Call(block["toolUse"]["name"], json_of(block["toolUse"].get("input", ""))))
    read, written = usage.get("cacheReadInputTokens", 0), usage.get("cacheWriteInputTokens", 0)
    return Seen(
        text=text,
        reasoning=without_spaces(reasoning),
        calls=tuple(calls),
        stop=stop,
        input_tokens=usage["inputTokens"] + read + written,
        cached_tokens=read,
        output_tokens=usage["outputTokens"],
    )


def json_of(arguments: Any) -> Any:
    """The object that arguments are, however they came; half of one as it is written."""
    if not isinstance(arguments, str):
        return arguments
    try:
        return orjson.loads(arguments or "{}")
    except orjson.JSONDecodeError:
        return arguments


def without_spaces(*texts: str) -> str:
    """The texts in one, without the white space between their words."""
    return "".join("".join(texts).split())
