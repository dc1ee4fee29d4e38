"""Unknown fields of the Responses API itself, between a client and an upstream that speak it."""

from __future__ import annotations

import pytest
from tests.gateway.conftest import serving
from tests.gateway.verbatim_kit import (
    ONCE,
    talking,
)
from tests.support.scripted_upstream import (
    MODEL,
    ScriptedUpstream,
    http_json,
)

from antiphon import Gateway, Target, upstream
from antiphon.hub.items import JsonObject

SAID: JsonObject = {
    "id": "msg_theirs",
    "type": "message",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "Blue.", "annotations": [], "x_tone": "calm"}],
    "x_item": [1],
}
RESPONDED: JsonObject = {
    "id": "resp_theirs",
    "object": "response",
    "status": "completed",
    "model": MODEL,
    "output": [SAID],
    "usage": {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10},
}


async def test_unknown_fields_of_a_responses_request_go_up(scripted: ScriptedUpstream) -> None:
    """Those of the body and of its items reach an upstream of the same API, and those of its items come back."""
    scripted.then(http_json(RESPONDED))
    part = {"type": "input_text", "text": "Look.", "x_part": 1}
    item = {"type": "message", "role": "user", "content": [part], "x_item": 2}

    async with talking(scripted, "openai_responses") as client:
        status, answer = await client.call(
            "POST", "/v1/responses", {"model": MODEL, "input": [item], "x_novel": {"a": 1}}
        )
    sent = scripted.requests[0].body

    assert (status, sent["x_novel"], sent["store"]) == (200, {"a": 1}, False)
    assert [item] == [{name: value for name, value in each.items() if name != "status"} for each in sent["input"]]
    (message,) = answer["output"]
    assert message["x_item"] == SAID["x_item"]
    assert message["content"][0]["x_tone"] == "calm"


@pytest.mark.parametrize("background", [False, True], ids=["waiting", "background"])
async def test_another_dialect_cannot_be_told_a_responses_field(scripted: ScriptedUpstream, background: bool) -> None:
    """Without an upstream of the same API an unknown field is refused at once, with the hint to what was meant."""
    asked = {"model": MODEL, "input": "hi", "temprature": 1, "background": background}

    async with talking(scripted) as client:
        status, answer = await client.call("POST", "/v1/responses", asked)

    assert (status, answer["error"]["code"], answer["error"]["param"]) == (400, "unknown_parameter", "temprature")
    assert "Did you mean 'temperature'?" in answer["error"]["message"]
    assert scripted.requests == []


async def test_a_responses_field_finds_the_target_that_knows_it(scripted: ScriptedUpstream) -> None:
    """A target of another dialect is passed over, and what only keeps or compacts is refused as ever."""
    scripted.then(http_json(RESPONDED))
    chat = upstream(scripted.url, name="chat", models=[MODEL])
    own = upstream(scripted.url, name="own", provider="openai_responses", models=[MODEL])
    gateway = Gateway([chat, own], aliases={"both": [Target(chat, MODEL), Target(own, MODEL)]}, policy=ONCE)
    trigger = [{"type": "message", "role": "user", "content": "hi"}, {"type": "compaction_trigger"}]

    async with serving(gateway, scripted) as client:
        status, _, headers = await client.full("POST", "/v1/responses", {"model": "both", "input": "hi", "x": 1})
        refused, error = await client.call("POST", "/v1/responses", {"model": "both", "input": trigger, "x": 1})

    assert (status, headers["x-antiphon-upstream"]) == (200, "own")
    assert "chat=unsupported" in headers["x-antiphon-attempts"]
    assert (refused, error["error"]["param"]) == (400, "x")


async def test_a_responses_field_of_the_operators_is_refused(scripted: ScriptedUpstream) -> None:
    """Where unknown fields go up, this one does not: it says whose cached prompts are shared."""
    async with talking(scripted, "openai_responses") as client:
        status, error = await client.call(
            "POST", "/v1/responses", {"model": MODEL, "input": "hi", "cache_salt": "theirs"}
        )

    assert (status, error["error"]["param"], scripted.requests) == (400, "cache_salt", [])
