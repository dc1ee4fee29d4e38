"""A client and an upstream of the same dialect: what each says reaches the other as it was said."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI
from tests.gateway.conftest import serving
from tests.gateway.verbatim_kit import (
    ANSWER,
    ANSWERED_MESSAGE,
    ASKED,
    ASKED_MESSAGE,
    BARE,
    CHAT,
    CHUNKS,
    COUNT,
    EVENTS,
    FUNCTION,
    MESSAGES,
    ONCE,
    chat_frames,
    chunk_of,
    event_frames,
    read_frames,
    streamed,
    talking,
    under,
)
from tests.support.scripted_upstream import (
    MODEL,
    ScriptedUpstream,
    Wait,
    chunk,
    http_json,
    http_stream,
    http_stream_head,
)

from antiphon import Gateway, Target, upstream
from antiphon.engine.attempts import Retries
from antiphon.engine.turn import TurnPolicy
from antiphon.formats.chat import ChatFormat
from antiphon.formats.chat.completions import CompletionsFormat
from antiphon.formats.messages import MessagesFormat
from antiphon.hub.format import ClientDialects
from antiphon.hub.items import JsonObject

# Chat.


@pytest.mark.parametrize("kept", [False, True], ids=["unstored", "stored"])
async def test_a_completion_goes_through_as_it_was_said(scripted: ScriptedUpstream, kept: bool) -> None:
    """Unknown fields reach the upstream and the client, at any depth; only what concerns our state stays here."""
    scripted.then(http_json(ANSWER))
    own = {"store": True, "metadata": {"a": "b"}} if kept else {}

    async with talking(scripted, stored=kept) as client:
        status, answer, headers = await client.full("POST", CHAT, {**ASKED, **own})

    assert (status, headers["x-antiphon-verbatim"]) == (200, "true")
    assert scripted.turns[0].body == ASKED
    assert list(ASKED) == list(scripted.turns[0].body)
    assert under(answer["id"], ANSWER) == answer
    assert answer["id"].startswith("chatcmpl-")
    assert answer["id"] != ANSWER["id"]
    assert "x-antiphon-not-applied" not in headers


async def test_numbers_arrive_as_they_were_written(scripted: ScriptedUpstream) -> None:
    """Nobody rounds what is too long for a float, or makes 1 of 1.0."""
    long = b"[1.0,1e5,123456789012345678901234567890.5]"
    frames = chat_frames([chunk_of({"content": "a"}, x="there"), chunk_of({}, "stop")])
    scripted.then(http_stream(frames.replace(b'"there"', long)))

    async with talking(scripted) as client:
        raw, _ = await streamed(client, CHAT, ASKED)

    assert long in raw


@pytest.mark.parametrize("wanted", [False, True], ids=["unasked", "asked"])
async def test_chunks_go_through_as_they_were_said(scripted: ScriptedUpstream, wanted: bool) -> None:
    """A stream has the upstream's own chunks; the count that was asked for here is shown only if it was wanted."""
    scripted.then(http_stream(chat_frames([*CHUNKS, COUNT])))
    options = {"include_usage": True, "x_every": 1} if wanted else {}
    bare = {"stream_options": {"include_obfuscation": False, **options}}

    async with talking(scripted) as client:
        raw, headers = await streamed(client, CHAT, {**ASKED, **bare})
    *said, mark = read_frames(raw)

    shown = [*CHUNKS, COUNT] if wanted else [{k: v for k, v in each.items() if k != "usage"} for each in CHUNKS]
    assert [under(said[0]["id"], each) for each in shown] == said
    assert (mark, headers["x-antiphon-verbatim"]) == ("[DONE]", "true")
    sent = {**ASKED, "stream": True, "stream_options": {**options, "include_usage": True}}
    assert sent == scripted.turns[0].body


async def test_a_stored_completion_is_metered_and_kept(scripted: ScriptedUpstream) -> None:
    """What went through is a response like any other, with what it used."""
    scripted.then(http_stream(chat_frames([*CHUNKS, COUNT])))

    async with talking(scripted) as client:
        raw, _ = await streamed(client, CHAT, {**ASKED, "store": True})
        shown_id = read_frames(raw)[0]["id"]
        response_id = shown_id.replace("chatcmpl-", "resp_")
        _, kept = await client.call("GET", f"/v1/responses/{response_id}")

    assert (kept["status"], kept["usage"]["input_tokens"], kept["usage"]["output_tokens"]) == ("completed", 7, 3)
    assert [item["type"] for item in kept["output"]] == ["reasoning", "message", "function_call"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_call_can_be_answered_by_the_id_that_was_shown(scripted: ScriptedUpstream, stream: bool) -> None:
    """Over the Responses API as well: a stored turn knows its calls as its client does, each by an id of its own."""
    ids = ["call_theirs", "call_theirs", "x" * 65]
    calls = [{"index": at, "id": ids[at], "type": "function", "function": FUNCTION} for at in range(3)]
    message = {"role": "assistant", "content": None, "tool_calls": calls}
    whole = {**ANSWER, "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    pieces = [*(chunk_of({"tool_calls": [call]}) for call in calls), chunk_of({}, "tool_calls")]
    scripted.then(http_stream(chat_frames(pieces)) if stream else http_json(whole))

    async with talking(scripted) as client:
        asked = {**BARE, "store": True, "stream": stream, "tools": [{"type": "function", "function": {"name": "look"}}]}
        async with client.http.post(client.base_url + CHAT, json=asked) as answer:
            raw = await answer.read()
        shown = read_frames(raw)[0] if stream else json.loads(raw)
        completion, parent = shown["id"], shown["id"].replace("chatcmpl-", "resp_")
        _, kept = await client.call("GET", f"/v1/responses/{parent}")
        _, again = await client.call("GET", f"{CHAT}/{completion}")
        named = [item["call_id"] for item in kept["output"]]
        outputs = [{"type": "function_call_output", "call_id": each, "output": "Blue."} for each in named]
        status, answered = await client.call(
            "POST", "/v1/responses", {"model": MODEL, "input": outputs, "previous_response_id": parent}
        )

    assert named[0] == "call_theirs"
    assert len({*named, *ids}) == 4
    assert [call["id"] for call in again["choices"][0]["message"]["tool_calls"]] == named
    assert status == 200, answered


BROKEN = {
    "cut off": chat_frames(CHUNKS[:4], done=False),
    "no mark": chat_frames(CHUNKS, done=False),
    "no reason": chat_frames(CHUNKS[:4]),
    "an error": chat_frames(CHUNKS[:4], done=False) + b'data: {"error": {"message": "gone", "code": 500}}\n\n',
    "no JSON": chat_frames(CHUNKS[:4], done=False) + b"data: {x\n\n",
    "two choices": chat_frames(CHUNKS[:4], done=False)
    + b'data: {"choices": [{"index": 0, "delta": {}}, {"index": 1, "delta": {}}]}\n\n',
}


@pytest.mark.parametrize("apart", [False, True], ids=["together", "apart"])
async def test_a_broken_stream_is_an_error(scripted: ScriptedUpstream, apart: bool) -> None:
    """What was said before is shown, nothing that says the end, and the last frame is the error."""
    plain = [{name: value for name, value in each.items() if name != "usage"} for each in CHUNKS]
    async with talking(scripted) as client:
        for name, broken in BROKEN.items():
            frames = [frame + b"\n\n" for frame in broken.split(b"\n\n") if frame]
            scripted.then(http_stream_head(), *map(chunk, frames if apart else [broken]), b"0\r\n\r\n")
            raw, _ = await streamed(client, CHAT, {**ASKED, "stream_options": {"include_obfuscation": False}})
            *said, last = read_frames(raw)

            told = 6 if name == "no mark" else 4
            assert [under(said[0]["id"], each) for each in plain[:told]] == said, name
            assert "error" in last
            assert not raw.endswith(b"data: [DONE]\n\n")


async def test_the_end_is_said_when_the_turn_is_stored(scripted: ScriptedUpstream) -> None:
    """The chunk with the reason waits for the upstream's own end, behind which the turn is committed."""
    gate = asyncio.Event()
    waiting = Wait(gate)
    held = chat_frames(CHUNKS, done=False)
    scripted.then(http_stream_head(), chunk(held), waiting, chunk(b"data: [DONE]\n\n"), b"0\r\n\r\n")

    async with (
        talking(scripted) as client,
        client.http.post(client.base_url + CHAT, json={**ASKED, "stream": True}) as answer,
    ):
        begun = b""
        while b'"arguments"' not in begun:
            begun += await answer.content.readany()
        await waiting.reached.wait()
        gate.set()
        rest = await answer.read()

    assert b"x_last" not in begun
    assert b"x_last" in rest


async def test_a_client_that_hangs_up_stops_the_upstream(scripted: ScriptedUpstream) -> None:
    """Nobody pays for what nobody reads."""
    scripted.then(http_stream_head(), chunk(chat_frames(CHUNKS[:3], done=False)), Wait(asyncio.Event()))

    async with talking(scripted) as client:
        async with client.http.post(client.base_url + CHAT, json={**ASKED, "stream": True}) as answer:
            await answer.content.readany()
        await asyncio.wait_for(scripted.disconnected.wait(), 10)


async def test_a_stored_stream_that_nobody_reads_is_kept_as_far_as_it_came(scripted: ScriptedUpstream) -> None:
    """It is cancelled, with what was said; its end can be followed and its completion is none that was whole."""
    scripted.then(http_stream_head(), chunk(chat_frames(CHUNKS[:4], done=False)), Wait(asyncio.Event()))

    async with talking(scripted) as client:
        body = {**ASKED, "stream": True, "store": True}
        async with client.http.post(client.base_url + CHAT, json=body) as answer:
            raw = b""
            while b"lo." not in raw:
                raw += await answer.content.readany()
        await asyncio.wait_for(scripted.disconnected.wait(), 10)  # who follows before that keeps it running
        response_id = read_frames(raw)[0]["id"].replace("chatcmpl-", "resp_")
        async with client.http.get(f"{client.base_url}/v1/responses/{response_id}?stream=true") as following:
            *_, end, mark = read_frames(await following.read())

    assert (end["response"]["status"], mark) == ("cancelled", "[DONE]")
    assert end["response"]["output"][1]["content"][0]["text"] == "Hello."


async def test_an_answer_in_the_other_form_is_what_its_events_say(scripted: ScriptedUpstream) -> None:
    """An upstream that answers a stream with a body gives a stream all the same."""
    scripted.then(http_json(ANSWER))

    async with talking(scripted) as client:
        raw, headers = await streamed(client, CHAT, ASKED)
    *said, mark = read_frames(raw)

    assert "".join(each["choices"][0]["delta"].get("content") or "" for each in said) == "Hello."
    assert mark == "[DONE]"
    assert "x-antiphon-verbatim" not in headers


async def test_a_request_may_be_asked_again(scripted: ScriptedUpstream) -> None:
    """Each time it is answered with what was said then, also if that is told by its events."""
    for each in (ANSWER, {**ANSWER, "x_timings": None}):
        scripted.then(http_json(each))
    scripted.then(http_stream(chat_frames([chunk_of({"content": "Bye."}), chunk_of({}, "stop")])))
    chat, turn = ChatFormat(), ChatFormat().decode(ASKED)

    answers = []
    async with Gateway([upstream(scripted.url, name="own", models=[MODEL])]) as gateway:
        for _ in range(3):
            response = await gateway.respond(turn)
            answers.append(json.loads(chat.encode_response(response, turn)))
            assert json.loads(chat.encode_response(response, turn)) == answers[-1]

    assert [answer.get("x_timings", "none") for answer in answers] == [ANSWER["x_timings"], None, "none"]
    assert answers[2]["choices"][0]["message"]["content"] == "Bye."


# Messages.


async def test_a_message_goes_through_as_it_was_said(scripted: ScriptedUpstream) -> None:
    """Signed thoughts, calls, cache marks and unknown fields go both ways; no further marks are set."""
    scripted.then(http_json(ANSWERED_MESSAGE))

    async with talking(scripted, "anthropic") as client:
        status, answer, headers = await client.full("POST", MESSAGES, ASKED_MESSAGE)

    assert (status, headers["x-antiphon-verbatim"]) == (200, "true")
    assert scripted.requests[0].body == ASKED_MESSAGE
    assert under(answer["id"], ANSWERED_MESSAGE) == answer
    assert answer["id"].startswith("msg_")
    assert answer["id"] != ANSWERED_MESSAGE["id"]


@pytest.mark.parametrize("early", [False, True], ids=["in time", "before the upstream"])
async def test_events_go_through_as_they_were_said(scripted: ScriptedUpstream, early: bool) -> None:
    """A stream has the upstream's own events; it begins once, also if it had to begin before the upstream did."""
    gate = asyncio.Event()
    waiting = Wait(gate)
    scripted.then(waiting, http_stream(event_frames(EVENTS)))
    policy = TurnPolicy(retries=Retries(per_target=0), open_after_s=0.0 if early else 10.0)

    async with talking(scripted, "anthropic", policy=policy) as client:
        asking = asyncio.create_task(streamed(client, MESSAGES, ASKED_MESSAGE))
        await waiting.reached.wait()
        gate.set()
        raw, _ = await asking
    start, *said = read_frames(raw)

    assert scripted.requests[0].body == {**ASKED_MESSAGE, "stream": True}
    assert start["message"]["id"].startswith("msg_")
    assert start["message"]["id"] != "msg_theirs"
    if not early:
        assert start == {**EVENTS[0], "message": under(start["message"]["id"], EVENTS[0]["message"])}
    assert [each for each in said if each["type"] != "ping"] == [each for each in EVENTS[1:] if each["type"] != "ping"]


async def test_a_message_that_is_cut_off_is_an_error(scripted: ScriptedUpstream) -> None:
    """Wherever a stream breaks off, its client is told, and never that the message had ended."""
    async with talking(scripted, "anthropic") as client:
        for end in range(1, len(EVENTS)):
            scripted.then(http_stream(event_frames(EVENTS[:end])))
            said = read_frames((await streamed(client, MESSAGES, ASKED_MESSAGE))[0])

            assert said[-1]["type"] == "error", end
            assert {"message_delta", "message_stop"}.isdisjoint(each["type"] for each in said)


# Where it cannot go through.


@pytest.mark.parametrize(
    ("path", "body", "provider", "param"),
    [
        (CHAT, {**BARE, "tools": ASKED["tools"]}, "anthropic", "tools[0].x_tool"),
        (CHAT, {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], "min_p": 1}, "anthropic", "min_p"),
        (
            MESSAGES,
            {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "a"}], "x": 1},
            "openai_chat",
            "x",
        ),
        (
            MESSAGES,
            {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "a", "x": 1}]},
            "gemini",
            "messages[0].x",
        ),
    ],
    ids=["nested", "chat", "messages", "message"],
)
async def test_another_dialect_cannot_be_told(
    scripted: ScriptedUpstream, path: str, body: JsonObject, provider: str, param: str
) -> None:
    """A field that no other dialect has is refused by name, and nobody is asked."""
    async with talking(scripted, provider) as client:
        status, answer = await client.call("POST", path, body)

    assert status == 400
    assert f"Unknown parameter: '{param}'." in answer["error"]["message"]
    if path == CHAT:
        assert (param, "unknown_parameter") == (answer["error"]["param"], answer["error"]["code"])
    assert scripted.requests == []


async def test_a_target_of_the_same_dialect_is_found_behind_another(scripted: ScriptedUpstream) -> None:
    """Of several targets the request goes to the one that can be told all of it."""
    scripted.then(http_json(ANSWER))
    other = upstream(scripted.url, name="other", provider="anthropic", models=[MODEL])
    own = upstream(scripted.url, name="own", models=[MODEL])
    gateway = Gateway([other, own], aliases={"both": [Target(other, MODEL), Target(own, MODEL)]}, policy=ONCE)

    async with serving(gateway, scripted) as client:
        status, _, headers = await client.full("POST", CHAT, {**ASKED, "model": "both"})

    assert (status, headers["x-antiphon-upstream"], headers["x-antiphon-verbatim"]) == (200, "own", "true")
    assert "other=unsupported" in headers["x-antiphon-attempts"]
    assert scripted.turns[0].body == ASKED


async def test_the_way_out_is_closed_for_what_it_cannot_say(scripted: ScriptedUpstream) -> None:
    """When the upstream of the same dialect is down, another one answers only what it can be told."""
    down = http_json({"error": {"message": "down"}}, status=500)
    own = upstream(scripted.url, name="own", models=[MODEL])
    other = upstream(scripted.url, name="other", provider="anthropic", models=[MODEL])
    gateway = Gateway([own, other], aliases={"both": [Target(own, MODEL), Target(other, MODEL)]}, policy=ONCE)
    plain = {"model": "both", "messages": [{"role": "user", "content": "hi"}]}
    scripted.then(down)
    scripted.then(down)
    scripted.then(http_json(ANSWERED_MESSAGE))

    async with serving(gateway, scripted) as client:
        refused, _, _ = await client.full("POST", CHAT, {**plain, "min_p": 0.1})
        answered, _, headers = await client.full("POST", CHAT, plain)

    assert (refused, answered, headers["x-antiphon-upstream"]) == (503, 200, "other")
    assert "x-antiphon-verbatim" not in headers
    assert len(scripted.requests) == 3


async def test_with_a_key_a_turn_is_one_that_can_be_told_again(scripted: ScriptedUpstream) -> None:
    """What may be replayed from the store goes the hub's way, and so has no unknown fields."""
    plain = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], "store": True}

    async with talking(scripted) as client:
        refused, error, _ = await client.full("POST", CHAT, {**plain, "min_p": 0.1}, **{"idempotency-key": "k1"})
        status, first, headers = await client.full("POST", CHAT, plain, **{"idempotency-key": "k2"})
        _, again, _ = await client.full("POST", CHAT, plain, **{"idempotency-key": "k2"})

    assert (refused, error["error"]["code"], status) == (400, "unknown_parameter", 200)
    assert "x-antiphon-verbatim" not in headers
    assert first == again
    assert len(scripted.turns) == 1


async def test_what_a_quirk_asks_for_is_done(scripted: ScriptedUpstream) -> None:
    """A field with another name up there, one that is not taken, and a role that few models know."""
    scripted.then(http_json(ANSWER))
    asked = {
        **ASKED,
        "messages": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "hi"}],
        "max_completion_tokens": 9,
        "user": "u1",
        "stop": ["x"],
    }

    async with talking(scripted, drop=["user"], rename={"stop": "stop_words"}) as client:
        status, _, headers = await client.full("POST", CHAT, asked)

    sent = {**asked, "max_tokens": 9, "stop_words": ["x"]}
    sent["messages"] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]
    assert (status, headers["x-antiphon-not-applied"]) == (200, "user")
    gone = ("user", "stop", "max_completion_tokens")
    assert {name: value for name, value in sent.items() if name not in gone} == scripted.turns[0].body


async def test_what_needs_other_words_goes_the_hubs_way(scripted: ScriptedUpstream) -> None:
    """A named choice is made by what is offered, where the upstream takes none; unknown fields are refused then."""
    tools = [{"type": "function", "function": {"name": name}} for name in ("a", "b")]
    choice = {"type": "function", "function": {"name": "a"}}
    asked = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], "tools": tools, "tool_choice": choice}

    async with talking(scripted) as client:
        status, _, headers = await client.full("POST", CHAT, asked)
        refused, error, _ = await client.full("POST", CHAT, {**asked, "min_p": 0.1})

    assert (status, refused, error["error"]["param"]) == (200, 400, "min_p")
    assert "x-antiphon-verbatim" not in headers
    assert [[tool["function"]["name"] for tool in turn.body["tools"]] for turn in scripted.turns] == [["a"]]


@pytest.mark.parametrize("provider", ["openai_chat", "anthropic"])
async def test_an_operator_may_want_nothing_to_go_through(scripted: ScriptedUpstream, provider: str) -> None:
    """With the quirk, what the hub cannot say is refused, whoever could be told; the rest is answered."""
    path, answer = (CHAT, ANSWER) if provider == "openai_chat" else (MESSAGES, ANSWERED_MESSAGE)
    plain = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9}
    scripted.then(http_json(answer))

    async with talking(scripted, provider, verbatim=False) as client:
        refused, error = await client.call("POST", path, {**plain, "min_p": 0.1})
        status, _, headers = await client.full("POST", path, plain)

    assert (refused, status, len(scripted.requests)) == (400, 200, 1)
    assert "min_p" in error["error"]["message"]
    assert "x-antiphon-verbatim" not in headers


async def test_what_is_ignored_elsewhere_goes_through_here(scripted: ScriptedUpstream) -> None:
    """A gateway that ignores unknown fields still gives them to an upstream of the same dialect."""
    scripted.then(http_json(ANSWER))
    scripted.then(http_json(ANSWERED_MESSAGE))
    plain = {"messages": [{"role": "user", "content": "hi"}], "min_p": 0.1}
    own = upstream(scripted.url, name="own", models=[MODEL])
    other = upstream(scripted.url, name="other", provider="anthropic", models=["claude"])
    lenient = ClientDialects(
        chat=ChatFormat(unknown_parameters="ignore"), completions=CompletionsFormat(), messages=MessagesFormat()
    )
    gateway = Gateway([own, other], policy=ONCE, dialects=lenient)

    async with serving(gateway, scripted) as client:
        _, _, through = await client.full("POST", CHAT, {**plain, "model": MODEL})
        _, _, ignored = await client.full("POST", CHAT, {**plain, "model": "claude"})

    assert [request.body.get("min_p") for request in scripted.requests] == [0.1, None]
    assert "x-antiphon-not-applied" not in through
    assert "min_p" in ignored["x-antiphon-not-applied"]


# The official clients.


async def test_openais_client_reads_what_went_through(scripted: ScriptedUpstream) -> None:
    """It finds the fields that it knows, and those that it does not."""
    scripted.then(http_stream(chat_frames([*CHUNKS, COUNT])))
    scripted.then(http_json(ANSWER))
    messages: Any = [{"role": "user", "content": "hi"}]

    async with talking(scripted) as client:
        openai = AsyncOpenAI(base_url=client.base_url + "/v1", api_key="test-key", max_retries=0)
        async with openai:
            async with openai.chat.completions.stream(model=MODEL, messages=messages) as stream:
                streamed_completion = await stream.get_final_completion()
            whole = await openai.chat.completions.create(model=MODEL, messages=messages, extra_body={"min_p": 0.1})

    message = streamed_completion.choices[0].message
    assert message.content == "Hello."
    assert message.tool_calls is not None
    assert (message.tool_calls[0].function.name, message.tool_calls[0].function.arguments) == ("look", "{}")
    assert whole.model_extra == {"x_timings": ANSWER["x_timings"]}
    assert scripted.turns[1].body["min_p"] == 0.1


async def test_anthropics_client_reads_what_went_through(scripted: ScriptedUpstream) -> None:
    """It has the thought with its signature, and the call with what it is called with."""
    scripted.then(http_stream(event_frames(EVENTS)))
    messages: Any = [{"role": "user", "content": "Look."}]

    async with (
        talking(scripted, "anthropic") as client,
        AsyncAnthropic(base_url=client.base_url, api_key="test-key", max_retries=0) as anthropic,
        anthropic.messages.stream(model=MODEL, max_tokens=99, messages=messages) as stream,
    ):
        message = await stream.get_final_message()

    thought, text, call = message.content
    assert (thought.type, getattr(thought, "signature", None)) == ("thinking", "c2lnbmVk")
    assert (getattr(text, "text", None), getattr(call, "input", None)) == ("Blue.", {"at": "sky"})
    assert (message.stop_reason, message.usage.output_tokens) == ("tool_use", 3)
