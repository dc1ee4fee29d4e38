"""``x-antiphon-drop``: what an upstream cannot be told is left out where the request or the configuration says so."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from tests.gateway.conftest import Client, serving
from tests.providers.kit.calls import image_data
from tests.support.scripted_upstream import MODEL, ScriptedUpstream

from antiphon import Gateway, InMemorySessionStore, Target, upstream
from antiphon.app import complete
from antiphon.engine.plan import TurnOptions
from antiphon.hub.errors import InvalidRequest
from antiphon.settings import SettingAtFault, UpstreamSettings

SEARCH = {"type": "web_search"}
LOOK = {"type": "input_text", "text": "What is it?"}
SHOWN = [{"type": "message", "role": "user", "content": [LOOK, image_data()]}]
NOT_APPLIED = "x-antiphon-not-applied"


@contextlib.asynccontextmanager
async def behind(scripted: ScriptedUpstream, **options: Any) -> AsyncIterator[Client]:
    """A gateway before an upstream that takes no images, no temperature and no hosted tools."""
    poor = upstream(scripted.url, name="poor", images=False, refuse=["temperature"], models=[MODEL], **options)
    rich = upstream(scripted.url, name="rich", models=[MODEL])
    gateway = Gateway([poor, rich], aliases={"either": [Target(poor, MODEL), Target(rich, MODEL)]})
    async with serving(gateway.with_session_store(InMemorySessionStore()), scripted) as client:
        yield client


def drop(*names: str) -> dict[str, str]:
    return {"x-antiphon-drop": ", ".join(names)}


def asked(given: object = "hi", **fields: object) -> dict[str, object]:
    return {"model": MODEL, "input": given, **fields}


async def test_what_is_named_goes_and_is_told(scripted: ScriptedUpstream) -> None:
    """Without the header it is 400 by name; with it the rest is asked, and the response echoes what was wished."""
    body = asked(SHOWN, temperature=0.5, tools=[SEARCH])
    async with behind(scripted) as client:
        status, refused = await client.call("POST", "/v1/responses", body)
        assert (status, refused["error"]["code"]) == (400, "unsupported_parameter")
        names = drop("temperature", "tools", "image")
        status, response, headers = await client.full("POST", "/v1/responses", body, **names)
    assert status == 200
    assert set(headers[NOT_APPLIED].split(", ")) == {"temperature", "tools.web_search", "input_image"}
    assert (response["temperature"], response["tools"][0]["type"]) == (0.5, "web_search")
    sent = scripted.turns[-1].body
    assert sent["messages"] == [{"role": "user", "content": "What is it?"}]
    assert not {"temperature", "tools"} & set(sent)


async def test_what_is_not_named_is_refused(scripted: ScriptedUpstream) -> None:
    """One name covers just what it names."""
    async with behind(scripted) as client:
        body = asked(temperature=0.5, tools=[SEARCH])
        status, refused = await client.call("POST", "/v1/responses", body, **drop("tools"))
        assert (status, refused["error"]["param"]) == (400, "temperature")
    assert not scripted.turns


@pytest.mark.parametrize("value", ["temprature", "temperature,,tools", ""])
async def test_an_unknown_name_is_refused(scripted: ScriptedUpstream, value: str) -> None:
    """A name that means nothing is 400 that names the header, before anybody is asked."""
    async with behind(scripted) as client:
        status, refused = await client.call("POST", "/v1/responses", asked(), **{"x-antiphon-drop": value})
        assert (status, refused["error"]["param"]) == (400, "x-antiphon-drop")
    assert not scripted.requests


async def test_another_target_gets_all_of_it(scripted: ScriptedUpstream) -> None:
    """What one target could only be asked without, the one that follows it is asked with."""
    async with behind(scripted) as client:
        scripted.then(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nretry-after: 60\r\n\r\n")
        body = {**asked(temperature=0.5), "model": "either"}
        _, _, headers = await client.full("POST", "/v1/responses", body, **drop("all"))
    assert ["temperature" in turn.body for turn in scripted.turns] == [False, True]
    assert (headers["x-antiphon-upstream"], headers.get(NOT_APPLIED)) == ("rich", None)


async def test_a_configuration_may_say_it_for_all(scripted: ScriptedUpstream) -> None:
    """An upstream whose configuration says so is asked without; what it does not name is refused still."""
    async with behind(scripted, may_drop=["temperature"]) as client:
        status, _, headers = await client.full("POST", "/v1/responses", asked(temperature=0.5))
        assert (status, headers[NOT_APPLIED]) == (200, "temperature")
        status, refused = await client.call("POST", "/v1/responses", asked(tools=[SEARCH]))
        assert (status, refused["error"]["param"]) == (400, "tools[0]")


async def test_the_history_is_asked_without(scripted: ScriptedUpstream) -> None:
    """What may go goes of the history too, which keeps it; a turn that does not say so is refused."""
    async with behind(scripted) as client:
        _, first = await client.call("POST", "/v1/responses", asked(SHOWN), **drop("image"))
        follow = asked("And now?", previous_response_id=first["id"])
        status, refused = await client.call("POST", "/v1/responses", follow)
        assert (status, refused["error"]["param"]) == (400, "input")
        status, _, headers = await client.full("POST", "/v1/responses", follow, **drop("image"))
        assert (status, headers[NOT_APPLIED]) == (200, "input_image")
        _, listed = await client.call(
            "GET", f"/v1/responses/{first['id']}/input_items?include=message.input_image.image_url"
        )
        assert [part["type"] for part in listed["data"][0]["content"]] == ["input_text", "input_image"]


@pytest.mark.parametrize(
    ("path", "given"),
    [("/v1/responses/compact", SHOWN), ("/v1/responses", [*SHOWN, {"type": "compaction_trigger"}])],
    ids=["endpoint", "turn"],
)
async def test_a_summary_tells_what_it_was_written_without(
    scripted: ScriptedUpstream, path: str, given: list[object]
) -> None:
    """A compaction stands for all of its context: what its author was not shown is named, and nothing besides."""
    async with behind(scripted) as client:
        status, _, headers = await client.full("POST", path, asked(given), **drop("image"))
    assert (status, headers[NOT_APPLIED]) == (200, "input_image")
    assert not {"temperature"} & set(scripted.turns[-1].body)


async def test_what_was_dropped_for_one_target_does_not_spoil_the_next(scripted: ScriptedUpstream) -> None:
    """A choice among tools that have gone is a fault of that target alone: the next one is asked for all of it."""
    chat = upstream(scripted.url, name="chat", models=[MODEL])
    server = upstream(scripted.url, provider="openai_responses", name="responses", models=[MODEL])
    gateway = Gateway([chat, server], aliases={"either": [Target(chat, MODEL), Target(server, MODEL)]})
    async with serving(gateway, scripted) as client:
        body = {**asked(tools=[SEARCH], tool_choice="required"), "model": "either"}
        await client.call("POST", "/v1/responses", body, **drop("tools"))
    assert [(request.path, request.body["tools"]) for request in scripted.requests] == [("/v1/responses", [SEARCH])]


async def test_a_turn_in_the_background_keeps_the_wish(scripted: ScriptedUpstream) -> None:
    """What may go is written down with a turn that is carried out later."""
    async with behind(scripted) as client:
        body = asked(temperature=0.5, background=True, stream=True)
        async with client.http.post(
            client.base_url + "/v1/responses", json=body, headers=drop("temperature")
        ) as answer:
            raw = await answer.read()
        assert b"response.completed" in raw
    assert "temperature" not in scripted.turns[-1].body


CHAT = {"model": MODEL, "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]}
MESSAGES = {**CHAT, "max_tokens": 100}


@pytest.mark.parametrize(
    ("path", "body"), [("/v1/chat/completions", CHAT), ("/v1/messages", MESSAGES)], ids=["chat", "messages"]
)
async def test_every_dialect_has_it(scripted: ScriptedUpstream, path: str, body: dict[str, Any]) -> None:
    """The header means the same in front of a request of another dialect."""
    async with behind(scripted) as client:
        assert (await client.call("POST", path, {**body, "temperature": 0.5}))[0] == 400
        status, _, headers = await client.full("POST", path, {**body, "temperature": 0.5}, **drop("temperature"))
    assert (status, headers[NOT_APPLIED]) == (200, "temperature")
    assert "temperature" not in scripted.turns[-1].body


async def test_a_program_says_it_too(scripted: ScriptedUpstream) -> None:
    """Who embeds a gateway says it in the turn's options."""
    poor = upstream(scripted.url, refuse=["temperature"])
    async with Gateway([poor]) as gateway:
        options = TurnOptions(drop=["temperature"])
        response = await gateway.respond(asked(temperature=0.5), options=options)
        assert response["status"] == "completed"
        with pytest.raises(InvalidRequest):
            await gateway.respond(asked(), options=TurnOptions(drop=["temprature"]))
    assert "temperature" not in scripted.turns[-1].body


async def test_a_socket_says_it_for_all_its_turns(scripted: ScriptedUpstream) -> None:
    """The header of a WebSocket's handshake holds for each of its turns."""
    async with behind(scripted) as client:
        url = client.base_url.replace("http", "ws", 1) + "/v1/responses"
        async with client.http.ws_connect(url, headers=drop("temperature")) as socket:
            await socket.send_json({"type": "response.create", **asked(temperature=0.5)})
            async for frame in socket:
                event = orjson.loads(frame.data)
                if event["type"] in ("response.completed", "error", "response.failed"):
                    break
    assert event["type"] == "response.completed"


def test_a_configuration_s_name_is_checked() -> None:
    """In a file it is a fault of that key, before anything is served."""
    section = UpstreamSettings(name="u", base_url="http://127.0.0.1:1/v1", may_drop=("imagge",))
    with pytest.raises(SettingAtFault, match=r"may_drop: .*'imagge'"):
        complete(section, {})


@pytest.mark.parametrize("name", ["temperature", "image"])
def test_a_configured_name_is_checked(name: str) -> None:
    """A name that means nothing is an error of the configuration."""
    upstream("http://127.0.0.1:1/v1", may_drop=[name])
    with pytest.raises(ValueError, match="Did you mean"):
        upstream("http://127.0.0.1:1/v1", may_drop=[f"{name}x"])
