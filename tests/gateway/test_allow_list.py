"""A caller that may ask for some models only: every other one is as unknown to it as one that there is not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.gateway.conftest import Client
from tests.support.scripted_upstream import MODEL, ScriptedUpstream, http_json

from antiphon import Gateway, InMemorySessionStore, upstream
from antiphon.engine.routing import Target
from antiphon.hub.errors import ModelNotFound
from antiphon.hub.ids import TenantId
from antiphon.hub.principal import Principal
from antiphon.hub.prompt import Prompt

TENANT = TenantId("acme")
ANYBODY = Principal(tenant=TENANT)
ALLOWED = Principal(tenant=TENANT, actor="allowed", models=frozenset({MODEL}))
FAST_ONLY = Principal(tenant=TENANT, actor="fast", models=frozenset({"fast"}))
NOBODY = Principal(tenant=TENANT, actor="nobody", models=frozenset())

Ask = Callable[[Gateway, str, Principal], Awaitable[Any]]


@pytest.fixture
async def gateway(scripted: ScriptedUpstream) -> Any:
    scripted.models = http_json({"object": "list", "data": [{"id": MODEL}, {"id": "another"}]})
    behind = upstream(scripted.url)
    aliases = {"fast": [Target(behind, MODEL)]}
    async with Gateway([behind], aliases=aliases).with_session_store(InMemorySessionStore()) as gateway:
        yield gateway


async def respond(gateway: Gateway, model: str, principal: Principal) -> Any:
    return await gateway.respond({"model": model, "input": "hi"}, principal)


async def stream(gateway: Gateway, model: str, principal: Principal) -> Any:
    return [event async for event in gateway.stream({"model": model, "input": "hi"}, principal)]


async def background(gateway: Gateway, model: str, principal: Principal) -> Any:
    return await gateway.respond({"model": model, "input": "hi", "background": True}, principal)


async def prompted(gateway: Gateway, model: str, principal: Principal) -> Any:
    prompt = await gateway.library.create_prompt(Prompt(model=model, instructions="Be kind."), ANYBODY)
    return await gateway.respond({"prompt": {"id": prompt["id"]}, "input": "hi"}, principal)


async def compact(gateway: Gateway, model: str, principal: Principal) -> Any:
    return await gateway.compact({"model": model, "input": "hi"}, principal)


async def count(gateway: Gateway, model: str, principal: Principal) -> Any:
    return await gateway.count_input({"model": model, "input": "hi"}, principal)


ASKING: list[Ask] = [respond, stream, background, prompted, compact, count]


@pytest.mark.parametrize("ask", ASKING)
async def test_a_model_that_may_not_be_asked_for_is_unknown(gateway: Gateway, ask: Ask) -> None:
    """The same error as for a model that there is not, whichever way it is asked for, and no upstream is asked."""
    with pytest.raises(ModelNotFound) as refused:
        await ask(gateway, "another", ALLOWED)
    with pytest.raises(ModelNotFound) as unknown:
        await ask(gateway, "never-was", ALLOWED)
    assert refused.value.message.replace("another", "never-was") == unknown.value.message
    assert refused.value.envelope().keys() == unknown.value.envelope().keys()


@pytest.mark.parametrize("ask", ASKING)
async def test_a_model_that_may_be_asked_for_answers(gateway: Gateway, ask: Ask) -> None:
    """The list takes nothing away from what is on it."""
    assert await ask(gateway, MODEL, ALLOWED)


async def test_the_name_is_what_is_allowed_and_not_what_stands_behind_it(gateway: Gateway) -> None:
    """Who may ask for an alias cannot ask for its target, and the other way round."""
    assert (await respond(gateway, "fast", FAST_ONLY))["status"] == "completed"
    with pytest.raises(ModelNotFound):
        await respond(gateway, MODEL, FAST_ONLY)
    with pytest.raises(ModelNotFound):
        await respond(gateway, "fast", ALLOWED)


@pytest.mark.parametrize(
    ("principal", "expected"),
    [(ANYBODY, ["fast", MODEL, "another"]), (ALLOWED, [MODEL]), (FAST_ONLY, ["fast"]), (NOBODY, [])],
    ids=["all", "one", "an alias", "none"],
)
async def test_the_list_of_models_has_what_may_be_asked_for(
    gateway: Gateway, principal: Principal, expected: list[str]
) -> None:
    """Nobody is told of a model that he cannot use."""
    assert [model["id"] for model in await gateway.models(principal)] == expected


async def test_a_tenants_turn_can_be_continued_with_another_allowed_model(gateway: Gateway) -> None:
    """The list is about who asks now, not about who asked before."""
    first = await respond(gateway, "another", ANYBODY)
    body = {"model": MODEL, "input": "more", "previous_response_id": first["id"]}
    assert (await gateway.respond(body, ALLOWED))["status"] == "completed"


async def test_over_http_everybody_is_shown_every_model_without_a_list(client: Client) -> None:
    """A caller without a list asks for what it likes."""
    _, models = await client.call("GET", "/v1/models")
    assert [model["id"] for model in models["data"]] == [MODEL]
    assert (await client.call("GET", f"/v1/models/{MODEL}"))[0] == 200
