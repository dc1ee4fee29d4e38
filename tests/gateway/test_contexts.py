"""Long contexts over HTTP: truncation, compaction in its three ways, and counting."""

from __future__ import annotations

from typing import Any

import pytest
from tests.gateway.conftest import Client, parse
from tests.gateway.test_background import eventually
from tests.gateway.test_resume import frames, resumed
from tests.support.scripted_upstream import MODEL, http_json, whole

_TOO_LONG = http_json(
    {
        "error": {
            "code": 400,
            "type": "exceed_context_size_error",
            "message": "the request exceeds the available context size",
            "n_prompt_tokens": 200,
            "n_ctx": 100,
        }
    },
    status=400,
)
_USAGE = {"prompt_tokens": 1200, "completion_tokens": 10, "total_tokens": 1210}


def _texts(client: Client) -> list[str]:
    return [message["content"] for message in client.upstream.last_messages]


async def _chain(client: Client, turns: int) -> Any:
    response = await client.respond("turn 0 " + "word " * 40)
    for number in range(1, turns):
        response = await client.respond(f"turn {number} " + "word " * 40, previous_response_id=response["id"])
    return response


async def test_a_context_that_is_too_long_is_an_error_of_the_api(client: Client) -> None:
    """400 with OpenAI's code, message and param; nothing is left out in silence."""
    client.upstream.then(_TOO_LONG)
    status, body = await client.call("POST", "/v1/responses", {"model": MODEL, "input": "hi"})
    assert status == 400
    assert body["error"] == {
        "message": "Your input exceeds the context window of this model. Please adjust your input and try again.",
        "type": "invalid_request_error",
        "param": "input",
        "code": "context_length_exceeded",
    }


async def test_truncation_auto_asks_again_with_less(client: Client) -> None:
    """The oldest items go; the header says how many; the stored history is whole."""
    last = await _chain(client, 4)
    client.upstream.then(_TOO_LONG)
    turn = {"model": MODEL, "input": "last", "previous_response_id": last["id"], "truncation": "auto"}
    status, body, headers = await client.full("POST", "/v1/responses", turn)
    assert (status, body["truncation"]) == (200, "auto")
    said = _texts(client)
    assert said[-1] == "last"
    assert not any(text.startswith("turn 0") for text in said)
    assert headers["x-antiphon-history"].endswith(f"truncated={9 - len(said)}")
    _, items = await client.call("GET", f"/v1/responses/{body['id']}/input_items?limit=100")
    assert len(items["data"]) == 9


async def test_compact_gives_what_the_next_turn_stands_on(client: Client) -> None:
    """The users' messages with their ids and a compaction item; the model is given them and the summary."""
    last = await _chain(client, 2)
    client.upstream.then(http_json(whole("They said words.")))
    status, compacted = await client.call(
        "POST", "/v1/responses/compact", {"model": MODEL, "previous_response_id": last["id"]}
    )
    assert (status, compacted["object"]) == (200, "response.compaction")
    assert [item["type"] for item in compacted["output"]] == ["message", "message", "compaction"]
    assert set(compacted["output"][-1]) == {"id", "type", "encrypted_content"}
    assert "They said words." not in compacted["output"][-1]["encrypted_content"]
    assert compacted["usage"]["total_tokens"] > 0
    _, items = await client.call("GET", f"/v1/responses/{last['id']}/input_items?order=asc")
    assert [item["id"] for item in compacted["output"][:2]] == [
        item["id"] for item in items["data"] if item["role"] == "user"
    ]
    question = {"role": "user", "content": "and now?"}
    response = await client.respond([*compacted["output"], question])
    said = _texts(client)
    assert [text[:6] for text in said[:2]] == ["turn 0", "turn 1"]
    assert "They said words." in said[2]
    assert said[3] == "and now?"
    again = await client.respond("go on", previous_response_id=response["id"])
    assert again["status"] == "completed"
    assert "They said words." in _texts(client)[2]
    assert (await client.call("GET", f"/v1/responses/{compacted['id']}"))[0] == 404


async def test_compaction_needs_something_to_compact(client: Client) -> None:
    """Neither an input nor a previous response, an unknown one, a missing model: each as in any request."""
    for body, status, param in [
        ({"model": MODEL}, 400, None),
        ({"input": "hi"}, 400, "model"),
        ({"model": MODEL, "previous_response_id": "resp_x"}, 400, "previous_response_id"),
        ({"model": MODEL, "input": "hi", "stream": True}, 400, "stream"),
    ]:
        code, answer = await client.call("POST", "/v1/responses/compact", body)
        assert (code, answer["error"]["param"]) == (status, param), body


async def test_a_compaction_item_of_somebody_else_is_refused(client: Client) -> None:
    """400 before any upstream is asked."""
    item = {"type": "compaction", "encrypted_content": "gAAAAABfake"}
    status, body = await client.call("POST", "/v1/responses", {"model": MODEL, "input": [item]})
    assert (status, body["error"]["code"]) == (400, "invalid_encrypted_content")
    assert not client.upstream.turns


@pytest.mark.parametrize("stream", [False, True])
async def test_a_trigger_compacts_and_the_chain_goes_on_from_there(client: Client, *, stream: bool) -> None:
    """The turn's only output is a compaction item; what follows it stands on the summary alone."""
    last = await _chain(client, 2)
    client.upstream.then(http_json(whole("Words were said.")))
    fields = {"previous_response_id": last["id"]}
    if stream:
        events, raw = await client.raw_stream([{"type": "compaction_trigger"}], **fields)
        response = events[-1]["response"]
        assert "response.compaction.compacting" in [event["type"] for event in events]
        assert frames(await resumed(client, response["id"])) == frames(raw)
    else:
        response = await client.respond([{"type": "compaction_trigger"}], **fields)
    assert [item["type"] for item in response["output"]] == ["compaction"]
    assert await client.call("GET", f"/v1/responses/{response['id']}") == (200, response)
    await client.respond("and now?", previous_response_id=response["id"])
    said = _texts(client)
    assert len(said) == 2
    assert "Words were said." in said[0]
    # What was said before is still there for whoever goes back to it.
    await client.respond("from before", previous_response_id=last["id"])
    assert _texts(client)[0].startswith("turn 0")


async def test_a_threshold_compacts_behind_the_answer(client: Client) -> None:
    """The answer comes first, then the compaction item; usage counts both calls; the next turn stands on it."""
    client.upstream.then(http_json({**whole("A long story."), "usage": _USAGE}))
    client.upstream.then(http_json(whole("A story was told.")))
    managed = [{"type": "compaction", "compact_threshold": 1000}]
    response = await client.respond("tell me", context_management=managed)
    assert [item["type"] for item in response["output"]] == ["message", "compaction"]
    assert response["usage"]["total_tokens"] == 1210 + 10
    assert "context_management" not in response
    await client.respond("and then?", previous_response_id=response["id"], context_management=managed)
    said = _texts(client)
    assert len(said) == 2
    assert "A story was told." in said[0]


async def test_below_the_threshold_nothing_is_compacted(client: Client) -> None:
    """One call, one item."""
    response = await client.respond("hi", context_management=[{"type": "compaction", "compact_threshold": 1000}])
    assert [item["type"] for item in response["output"]] == ["message"]
    assert len(client.upstream.turns) == 1


async def test_an_answer_stands_if_its_compaction_fails(client: Client) -> None:
    """The turn is completed without the item."""
    client.upstream.then(http_json({**whole("A long story."), "usage": _USAGE}))
    client.upstream.then(http_json({"error": {"message": "no", "type": "x"}}, status=400))
    response = await client.respond("hi", context_management=[{"type": "compaction", "compact_threshold": 1000}])
    assert (response["status"], len(response["output"])) == ("completed", 1)


async def test_a_background_turn_may_compact(client: Client) -> None:
    """As any other; its stream is resumed with the compaction in it."""
    client.upstream.then(http_json({**whole("A long story."), "usage": _USAGE}))
    client.upstream.then(http_json(whole("A story was told.")))
    managed = [{"type": "compaction", "compact_threshold": 1000}]
    queued = await client.respond("hi", background=True, context_management=managed)
    done = await eventually(client, queued["id"], "completed")
    assert [item["type"] for item in done["output"]] == ["message", "compaction"]
    assert parse(await resumed(client, queued["id"]))[-1]["response"] == done


async def test_a_trigger_must_come_last_and_have_something_to_compact(client: Client) -> None:
    """400 that names its place."""
    trigger = {"type": "compaction_trigger"}
    message = {"role": "user", "content": "hi"}
    status, body = await client.call("POST", "/v1/responses", {"model": MODEL, "input": [trigger, message]})
    assert (status, body["error"]["param"]) == (400, "input[0]")
    status, body = await client.call("POST", "/v1/responses", {"model": MODEL, "input": [trigger]})
    assert (status, body["error"]["param"]) == (400, "input")


async def test_input_tokens_are_counted_or_estimated(client: Client) -> None:
    """The header says which; history counts, and nothing is stored or asked of the model."""
    first = await client.respond("hi")
    asked = len(client.upstream.turns)
    status, short, headers = await client.full("POST", "/v1/responses/input_tokens", {"model": MODEL, "input": "hi"})
    assert (status, short["object"], headers["x-antiphon-token-count"]) == (200, "response.input_tokens", "estimate")
    body = {"model": MODEL, "input": "hi", "previous_response_id": first["id"], "instructions": "Be brief."}
    _, long = await client.call("POST", "/v1/responses/input_tokens", body)
    assert long["input_tokens"] > short["input_tokens"] > 0
    assert len(client.upstream.turns) == asked


async def test_a_compaction_is_repeated_with_its_key(client: Client) -> None:
    """One summary, the same answer."""
    body = {"model": MODEL, "input": "a long context"}
    answers = [await client.full("POST", "/v1/responses/compact", body, **{"idempotency-key": "k"}) for _ in range(2)]
    assert answers[0][1] == answers[1][1]
    assert answers[1][2]["idempotent-replayed"] == "true"
    assert len(client.upstream.turns) == 1
