"""Chat Completions, Completions and Messages: what a turn says, whole and as a stream, through the whole gateway."""

from __future__ import annotations

from typing import Any

import anthropic
import httpx2
import openai
import orjson
import pytest
from tests.gateway.dialect_stage import (
    CHAT,
    DIALECTS,
    MESSAGES,
    MODEL,
    Dialect,
    Stage,
    call,
    events_of,
    hello,
)

from antiphon.formats.chat import ChatFormat
from antiphon.hub.events import ResponseCompleted
from antiphon.hub.format import DialectTurn
from antiphon.providers.openai_responses import provider
from antiphon.transport.replay import PreparedReply

TOOL = {"name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}}
TOOLS: dict[str, Any] = {
    "chat": [{"type": "function", "function": TOOL}],
    "messages": [{"name": "look", "input_schema": TOOL["parameters"]}],
}
# How each dialect says why an answer ended, by what the upstream said.
REASONS = {
    "chat": {"completed": "stop", "max_output_tokens": "length", "content_filter": "content_filter"},
    "completions": {"completed": "stop", "max_output_tokens": "length", "content_filter": "content_filter"},
    "messages": {"completed": "end_turn", "max_output_tokens": "max_tokens", "content_filter": "refusal"},
}

each_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=str)
each_mode = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@each_dialect
@each_mode
@pytest.mark.parametrize("end", ["completed", "max_output_tokens", "content_filter"])
async def test_a_text_arrives_with_its_end(dialect: Dialect, stream: bool, end: str) -> None:
    """The text is whole, the reason is in the dialect's words, and every part is as it is published."""
    stage = Stage()
    how: Any = {} if end == "completed" else {"status": "incomplete", "reason": end}
    stage.will_say(hello("Hello there, you."), stream=stream, **how)
    async with stage.gateway:
        answer = await stage.post(dialect, stream=stream)
        document = await stage.document()

    assert answer.status == 200
    if stream:
        events = events_of(answer.body)
        assert dialect.streamed_text(events) == "Hello there, you."
        assert dialect.streamed_reason(events) == REASONS[dialect.name][end]
        assert [flaw for event in events for flaw in document.schema_violations(dialect.schemas[1], event)] == []
    else:
        assert dialect.text(answer.json) == "Hello there, you."
        assert dialect.reason(answer.json) == REASONS[dialect.name][end]
        assert document.schema_violations(dialect.schemas[0], answer.json) == []


@each_dialect
async def test_the_end_of_a_stream_is_the_dialects_own(dialect: Dialect) -> None:
    """OpenAI's dialects end with ``[DONE]``, once; Messages with ``message_stop``."""
    stage = Stage()
    stage.will_say(hello(), stream=True)
    async with stage.gateway:
        body = (await stage.post(dialect, stream=True)).body

    assert body.count(b"[DONE]") == (0 if dialect is MESSAGES else 1)
    assert body.endswith(b'data: {"type":"message_stop"}\n\n' if dialect is MESSAGES else b"data: [DONE]\n\n")


@each_dialect
async def test_an_answer_says_how_the_turn_went(dialect: Dialect) -> None:
    """The gateway's headers are those of the Responses API; the request is named, for Messages twice."""
    stage = Stage()
    stage.will_say(hello(), stream=False)
    async with stage.gateway:
        headers = (await stage.post(dialect)).headers

    assert headers["x-antiphon-history"] == "items=0; source=none; left_out=0"
    assert (headers["x-antiphon-model"], headers["x-antiphon-upstream"]) == (MODEL, "far")
    assert headers["x-antiphon-attempts"] == "count=1"
    assert headers.get("request-id") == (headers["x-request-id"] if dialect is MESSAGES else None)


async def test_what_has_no_effect_is_named() -> None:
    """A hint that no upstream gets is accepted, and told."""
    stage = Stage()
    stage.will_say(hello(), stream=False)
    async with stage.gateway:
        answer = await stage.post(CHAT, seed=7)

    assert (answer.status, answer.headers["x-antiphon-not-applied"]) == (200, "seed")


@pytest.mark.parametrize("padded", [True, False])
async def test_chunks_are_padded_as_the_client_wishes(padded: bool) -> None:
    """A stream of chat is padded unless the request says no."""
    stage = Stage()
    stage.will_say(hello(), stream=True)
    options = {} if padded else {"stream_options": {"include_obfuscation": False}}
    async with stage.gateway:
        body = (await stage.post(CHAT, stream=True, **options)).body

    assert (b'"obfuscation"' in body) is padded


@pytest.mark.parametrize("dialect", [CHAT, MESSAGES], ids=str)
@each_mode
async def test_a_call_arrives_and_its_result_goes_back(dialect: Dialect, stream: bool) -> None:
    """The client is given the call with its id, and the upstream the call and the result that the client sends."""
    stage = Stage()
    stage.will_say(call(), stream=stream)
    stage.will_say(hello("Blue."), stream=False)
    async with stage.gateway:
        answer = await stage.post(dialect, stream=stream, tools=TOOLS[dialect.name])
        made = _streamed_call(dialect, events_of(answer.body)) if stream else _call(dialect, answer.json)
        said = _with_result(dialect, made, "blue")
        again = await stage.post(dialect, messages=[*dialect.asks["messages"], *said], tools=TOOLS[dialect.name])

    assert (made["name"], made["arguments"]) == ("look", {"at": "sky"})
    assert dialect.text(again.json) == "Blue."
    _, sent_call, sent_result = stage.asked[1]["input"]
    assert (sent_call["type"], sent_call["call_id"]) == ("function_call", made["id"])
    assert (sent_result["call_id"], sent_result["type"]) == (made["id"], "function_call_output")


def _call(dialect: Dialect, answer: Any) -> dict[str, Any]:
    if dialect is MESSAGES:
        assert answer["stop_reason"] == "tool_use"
        (block,) = answer["content"]
        return {"id": block["id"], "name": block["name"], "arguments": block["input"]}
    assert answer["choices"][0]["finish_reason"] == "tool_calls"
    (made,) = answer["choices"][0]["message"]["tool_calls"]
    return {"id": made["id"], "name": made["function"]["name"], "arguments": _json(made["function"]["arguments"])}


def _streamed_call(dialect: Dialect, events: list[Any]) -> dict[str, Any]:
    if dialect is MESSAGES:
        (start,) = [event["content_block"] for event in events if event["type"] == "content_block_start"]
        pieces = [event["delta"]["partial_json"] for event in events if event["type"] == "content_block_delta"]
        return {"id": start["id"], "name": start["name"], "arguments": _json("".join(pieces))}
    deltas = [choice["delta"] for event in events for choice in event["choices"]]
    first, *rest = [piece for delta in deltas for piece in delta.get("tool_calls", ())]
    arguments = "".join(piece["function"]["arguments"] for piece in (first, *rest))
    return {"id": first["id"], "name": first["function"]["name"], "arguments": _json(arguments)}


def _json(text: str) -> Any:
    return orjson.loads(text)


def _with_result(dialect: Dialect, made: dict[str, Any], result: str) -> list[Any]:
    if dialect is MESSAGES:
        use = {"type": "tool_use", "id": made["id"], "name": made["name"], "input": made["arguments"]}
        given = {"type": "tool_result", "tool_use_id": made["id"], "content": result}
        return [{"role": "assistant", "content": [use]}, {"role": "user", "content": [given]}]
    function = {"name": made["name"], "arguments": '{"at":"sky"}'}
    return [
        {"role": "assistant", "tool_calls": [{"id": made["id"], "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": made["id"], "content": result},
    ]


@each_mode
async def test_a_refusal_is_one_in_every_dialect(stream: bool) -> None:
    """Chat has a field for it, Messages a reason, and text completions only text."""
    for dialect in DIALECTS:
        stage = Stage()
        stage.will_say(lambda said: said.refusal("I will not."), stream=stream)
        async with stage.gateway:
            answer = await stage.post(dialect, stream=stream)
        events = events_of(answer.body) if stream else []
        if dialect is CHAT:
            deltas = [choice["delta"] for event in events for choice in event["choices"]]
            whole = "" if stream else answer.json["choices"][0]["message"]["refusal"]
            said = "".join(delta.get("refusal") or "" for delta in deltas) if stream else whole
        else:
            said = dialect.streamed_text(events) if stream else dialect.text(answer.json)
        assert said == "I will not.", dialect
        reason = dialect.streamed_reason(events) if stream else dialect.reason(answer.json)
        assert reason == ("refusal" if dialect is MESSAGES else "stop"), dialect


# Counting.


async def test_tokens_are_counted_by_whoever_can() -> None:
    """The upstream's own count is exact, and told to be."""
    stage = Stage(upstream=provider({"counting": "input_tokens"}))
    stage.transport.prepare(_counted(41))
    async with stage.gateway:
        answer = await stage.send("POST", "/v1/messages/count_tokens?beta=true", {"model": MODEL, **_ASKED})

    assert (answer.status, answer.json) == (200, {"input_tokens": 41})
    assert answer.headers["x-antiphon-token-count"] == "exact"


_ASKED = {"messages": [{"role": "user", "content": "How long is this?"}]}


def _counted(tokens: int) -> PreparedReply:
    return PreparedReply(blocks=[b'{"object":"response.input_tokens","input_tokens":%d}' % tokens])


# Official clients.


async def test_openais_client_reads_all_of_chat_and_completions() -> None:
    """Answers and streams are of the types that the client declares, strictly."""
    stage = Stage()
    for streamed in (False, True, False, True):
        stage.will_say(hello("Hi you."), stream=streamed)
    transport = httpx2.ASGITransport(app=stage.app)  # type: ignore[arg-type]  # its protocol has looser messages
    async with stage.gateway, httpx2.AsyncClient(transport=transport) as http:
        sdk = openai.AsyncOpenAI(
            api_key="none", base_url="http://localhost/v1", max_retries=0, http_client=http,
            _strict_response_validation=True,
        )  # fmt: skip
        hi: Any = [{"role": "user", "content": "Hi"}]
        whole = await sdk.chat.completions.create(model=MODEL, messages=hi)
        chunks = await sdk.chat.completions.create(
            model=MODEL, messages=hi, stream=True, stream_options={"include_usage": True}
        )
        usages = [chunk.usage async for chunk in chunks]
        text = await sdk.completions.create(model=MODEL, prompt="Hi")
        # Its type of a piece is that of a whole answer, which has a reason; OpenAI's own pieces have none either.
        lenient = openai.AsyncOpenAI(api_key="none", base_url="http://localhost/v1", max_retries=0, http_client=http)
        texts = [piece async for piece in await lenient.completions.create(model=MODEL, prompt="Hi", stream=True)]

    assert whole.choices[0].message.content == "Hi you."
    assert usages[-1] is not None
    assert usages[-1].completion_tokens == 7
    assert text.choices[0].text == "Hi you."
    assert "".join(piece.choices[0].text for piece in texts) == "Hi you."


async def test_anthropics_client_reads_all_of_messages() -> None:
    """A whole message, a stream folded into one, a count, and errors as the client's own classes."""
    stage = Stage(upstream=provider({"counting": "input_tokens"}))
    stage.will_say(hello("Hi you."), stream=False)
    stage.will_say(call(), stream=True)
    stage.transport.prepare(_counted(9))
    transport = httpx2.ASGITransport(app=stage.app)  # type: ignore[arg-type]  # its protocol has looser messages
    async with stage.gateway, httpx2.AsyncClient(transport=transport) as http:
        sdk = anthropic.AsyncAnthropic(
            api_key="none", base_url="http://localhost", max_retries=0, http_client=http,
            _strict_response_validation=True,
        )  # fmt: skip
        hi: Any = [{"role": "user", "content": "Hi"}]
        whole = await sdk.messages.create(model=MODEL, max_tokens=9, messages=hi)
        tools: Any = TOOLS["messages"]
        async with sdk.messages.stream(model=MODEL, max_tokens=9, messages=hi, tools=tools) as stream:
            streamed = await stream.get_final_message()
        count = await sdk.messages.count_tokens(model=MODEL, messages=hi)
        with pytest.raises(anthropic.NotFoundError) as unknown:
            await sdk.messages.create(model="nope", max_tokens=9, messages=hi)

    assert whole.content[0].type == "text"
    assert whole.content[0].text == "Hi you."
    assert streamed.content[0].type == "tool_use"
    assert (streamed.content[0].input, streamed.stop_reason) == ({"at": "sky"}, "tool_use")
    assert count.input_tokens == 9
    assert unknown.value.request_id == unknown.value.response.headers["x-request-id"]


# Programs that embed the gateway.


async def test_a_program_can_ask_in_another_dialect() -> None:
    """What a dialect has decoded is begun like a body of the Responses API; ``stream`` in it has no effect."""
    stage = Stage()
    stage.will_say(hello("One."), stream=False)
    stage.will_say(hello("Two."), stream=True)
    async with stage.gateway:
        turn: DialectTurn = await stage.gateway.decode(ChatFormat().decode, CHAT.body(stream=True))
        response = await stage.gateway.respond(turn)
        events = [event async for event in stage.gateway.stream(turn)]

    assert response["output"][0]["content"][0]["text"] == "One."
    assert isinstance(events[-1], ResponseCompleted)
