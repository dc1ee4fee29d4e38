"""``POST /v1/embeddings``: who is asked, how the vectors come, and what is refused, counted and told."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from struct import pack
from typing import Any

import openai
import pytest
from tests.gateway.conftest import Client, serving
from tests.server.keyring import Keyring, bearer
from tests.support.scripted_upstream import MODEL, ScriptedUpstream, Wait, http_json

from antiphon import Gateway, InMemorySessionStore, Target, Upstream, upstream
from antiphon.app.prices import price_of
from antiphon.engine.attempts import Retries
from antiphon.engine.turn import TurnPolicy
from antiphon.hub.embedding import EmbeddingRequest, Embeddings
from antiphon.hub.errors import ResponseTooLarge
from antiphon.hub.ids import TenantId
from antiphon.hub.principal import Limits
from antiphon.providers.gemini import Gemini
from antiphon.providers.openai_chat import OpenAIChat
from antiphon.settings import PriceSettings

ONCE = TurnPolicy(retries=Retries(per_target=0))
ASKED: dict[str, Any] = {"model": MODEL, "input": ["one", "two"]}


def vectors(*found: Sequence[float], tokens: int | None = 5) -> bytes:
    """An upstream's answer."""
    data = [{"object": "embedding", "index": index, "embedding": list(one)} for index, one in enumerate(found)]
    usage = {} if tokens is None else {"usage": {"prompt_tokens": tokens, "total_tokens": tokens}}
    return http_json({"object": "list", "data": data, "model": "theirs", **usage})


@asynccontextmanager
async def in_front_of(
    scripted: ScriptedUpstream, *upstreams: Upstream, aliases: dict[str, list[Target]] | None = None
) -> AsyncIterator[Client]:
    gateway = Gateway(upstreams, aliases=aliases, store=InMemorySessionStore(), policy=ONCE)
    async with serving(gateway, scripted) as client:
        yield client


@pytest.fixture
async def client(scripted: ScriptedUpstream) -> AsyncIterator[Client]:
    async with in_front_of(scripted, upstream(scripted.url, name="scripted")) as client:
        yield client


async def asked(client: Client, **fields: Any) -> tuple[int, Any, dict[str, str]]:
    return await client.full("POST", "/v1/embeddings", {**ASKED, **fields})


@pytest.mark.parametrize("form", ["float", "base64", None])
async def test_openais_client_reads_the_vectors(client: Client, form: Any) -> None:
    """In the form that it asks for; in the one of its own choice as well."""
    client.upstream.then(vectors([0.5, -1.25], [2.0, 0.0]))
    async with openai.AsyncOpenAI(base_url=f"{client.base_url}/v1", api_key="none") as sdk:
        given = {} if form is None else {"encoding_format": form}
        made = await sdk.embeddings.create(**ASKED, **given)
    got: list[Any] = [one.embedding for one in made.data]
    if form == "base64":  # left as it came by a client that was told so
        assert got == ["AAAAPwAAoL8=", "AAAAQAAAAAA="]
    else:
        assert got == [[0.5, -1.25], [2.0, 0.0]]
    assert [one.index for one in made.data] == [0, 1]
    assert (made.model, made.usage.prompt_tokens, made.usage.total_tokens) == (MODEL, 5, 5)


async def test_headers_tell_who_answered(client: Client) -> None:
    """As of a turn, but for the history, which there is not."""
    client.upstream.then(vectors([1.0], [2.0]))
    status, _, headers = await asked(client)
    assert status == 200
    told = {name: value for name, value in headers.items() if name.startswith("x-antiphon-")}
    assert told.pop("x-antiphon-version")
    assert float(told.pop("x-antiphon-overhead-ms")) >= 0
    assert told == {
        "x-antiphon-model": MODEL,
        "x-antiphon-upstream": "scripted",
        "x-antiphon-attempts": "count=1",
    }


async def test_another_target_is_asked_when_one_fails(scripted: ScriptedUpstream) -> None:
    """All vectors are the second one's, and the headers say so."""
    async with ScriptedUpstream.serve() as other:
        ways = [upstream(scripted.url, name="a"), upstream(other.url, name="b")]
        aliases = {"words": [Target(way, MODEL) for way in ways]}
        async with in_front_of(scripted, *ways, aliases=aliases) as client:
            scripted.then(http_json({"error": {"message": "down"}}, status=500))
            other.then(vectors([1.0], [2.0]))
            status, body, headers = await asked(client, model="words")
    assert (status, body["model"]) == (200, "words")
    assert headers["x-antiphon-upstream"] == "b"
    assert headers["x-antiphon-attempts"] == "count=2; a=unavailable"


async def test_an_answer_that_is_none_is_another_targets_turn(scripted: ScriptedUpstream) -> None:
    """Too few vectors are as bad as none; of a single target that is 502, with the attempts."""
    async with in_front_of(scripted, upstream(scripted.url, name="scripted")) as client:
        scripted.then(vectors([1.0]))
        status, body, headers = await asked(client)
    assert (status, body["error"]["code"]) == (502, "upstream_broken")
    assert "1 vectors to 2 inputs" in body["error"]["message"]
    assert headers["x-antiphon-attempts"] == "count=1; scripted=broken"


async def test_what_the_upstream_refuses_is_the_clients(client: Client) -> None:
    """400 in the upstream's words; nobody else is asked."""
    client.upstream.then(http_json({"error": {"message": "too many dimensions", "param": "dimensions"}}, status=400))
    status, body, _ = await asked(client, dimensions=9)
    assert (status, body["error"]["param"]) == (400, "dimensions")
    assert "too many dimensions" in body["error"]["message"]


@pytest.mark.parametrize(
    "vector", [[], b64encode(pack("<2f", 1.0, float("nan"))).decode(), b64encode(pack("<f", float("-inf"))).decode()]
)
async def test_a_vector_with_what_is_no_number_is_none(client: Client, vector: Any) -> None:
    """JSON has no words for it, and nobody can compare it: it never comes as null."""
    answer = {"data": [{"embedding": [1.0]}, {"embedding": vector}]}
    client.upstream.then(http_json(answer))
    status, body, _ = await asked(client)
    assert (status, body["error"]["code"]) == (502, "upstream_broken")
    assert "answered a vector that is empty, or has what is no number" in body["error"]["message"]


class FewAtATime(OpenAIChat):
    """A server that takes two inputs in a request."""

    def max_inputs(self, model: str) -> int:
        return 2


async def test_more_inputs_than_a_request_takes_are_several_requests(scripted: ScriptedUpstream) -> None:
    """In their order; what all of them used is told."""
    async with in_front_of(scripted, upstream(scripted.url, name="few", provider=FewAtATime())) as client:
        for answer in (vectors([1.0], [2.0]), vectors([3.0], [4.0]), vectors([5.0], tokens=2)):
            scripted.then(answer)
        status, body, headers = await asked(client, input=["a", "b", "c", "d", "e"])
    assert (status, [one["embedding"] for one in body["data"]]) == (200, [[1.0], [2.0], [3.0], [4.0], [5.0]])
    assert (body["usage"]["prompt_tokens"], headers["x-antiphon-attempts"]) == (12, "count=3")
    sent = [request.body["input"] for request in scripted.requests if request.body]
    assert sent == [["a", "b"], ["c", "d"], ["e"]]


async def test_each_request_costs_what_it_costs_wherever_it_was_answered(scripted: ScriptedUpstream) -> None:
    """A target that failed halfway is paid for, too; if nobody knows how much, nor is the whole known."""
    async with ScriptedUpstream.serve() as other:
        ways = [
            upstream(one.url, name=name, provider=FewAtATime(), price=price_of(PriceSettings(input=price)))
            for one, name, price in ((scripted, "a", 2.0), (other, "b", 1.0))
        ]
        costs = []
        async with in_front_of(scripted, *ways, aliases={"w": [Target(way, MODEL) for way in ways]}) as client:
            for tokens in (50, None):
                scripted.then(vectors([1.0], [2.0], tokens=tokens))
                scripted.then(http_json({"error": {"message": "down"}}, status=500))
                other.then(vectors([7.0], [8.0], tokens=20))
                other.then(vectors([9.0], tokens=30))
                _, body, headers = await asked(client, model="w", input=["a", "b", "c"])
                costs.append((body["usage"]["prompt_tokens"], headers.get("x-antiphon-cost")))
    assert costs == [(50, "0.00015"), (50, None)]


async def test_who_leaves_has_used_what_was_answered_and_asks_for_no_more(scripted: ScriptedUpstream) -> None:
    """The other requests are not sent, and leaving before the end is no way around a limit."""
    ring, never = Keyring(InMemorySessionStore()), asyncio.Event()
    way = upstream(scripted.url, name="few", provider=FewAtATime())
    gateway = Gateway([way], policy=ONCE).with_session_store(ring.store)
    async with serving(gateway, scripted, authenticator=ring.real_keys()) as client:
        key = await ring.make(limits=Limits(tokens_per_minute=100))
        scripted.then(vectors([1.0], [2.0], tokens=60))
        scripted.then(wait := Wait(never), vectors([3.0], [4.0]))
        body = {**ASKED, "input": ["a", "b", "c", "d", "e"]}
        leaving = asyncio.create_task(client.full("POST", "/v1/embeddings", body, **bearer(key)))
        await wait.reached.wait()
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        try:
            await left(client)
        finally:
            never.set()
        _, _, headers = await client.full("POST", "/v1/embeddings", {"model": "unknown", "input": "a"}, **bearer(key))
    assert len([request for request in scripted.requests if request.method == "POST"]) == 2
    assert headers["x-ratelimit-remaining-tokens"] == "40"


async def left(client: Client) -> None:
    """Wait until the gateway has noted how its only embedding went."""
    async with asyncio.timeout(10):
        while not any(
            record.entry.action == "embedding.create"
            for record in (await client.gateway.trail.read(TenantId("acme"), after=0, limit=10)).records
        ):
            await asyncio.sleep(0.01)


async def test_vectors_of_two_targets_are_never_mixed(scripted: ScriptedUpstream) -> None:
    """If a target fails halfway, the next one is asked for all inputs."""
    async with ScriptedUpstream.serve() as other:
        ways = [
            upstream(scripted.url, name="a", provider=FewAtATime()),
            upstream(other.url, name="b", provider=FewAtATime()),
        ]
        async with in_front_of(scripted, *ways, aliases={"w": [Target(way, MODEL) for way in ways]}) as client:
            scripted.then(vectors([1.0], [2.0]))
            scripted.then(http_json({"error": {"message": "down"}}, status=500))
            other.then(vectors([7.0], [8.0]))
            other.then(vectors([9.0]))
            _, body, _ = await asked(client, model="w", input=["a", "b", "c"])
    assert [one["embedding"] for one in body["data"]] == [[7.0], [8.0], [9.0]]


async def test_a_dialect_without_embeddings_says_so(scripted: ScriptedUpstream) -> None:
    """400 that names upstream and dialect; it is not asked."""
    way = upstream(scripted.url, name="claude", provider="anthropic", api_key="test-key", models=["m"])
    async with in_front_of(scripted, way) as client:
        status, body, _ = await asked(client, model="m")
    assert (status, body["error"]["code"], body["error"]["param"]) == (400, "unsupported_parameter", "model")
    assert "'claude' has no embeddings" in body["error"]["message"]
    assert not scripted.requests


async def test_a_target_that_cannot_is_passed_over(scripted: ScriptedUpstream) -> None:
    """Token ids mean something to the second one only."""
    ways = [upstream(scripted.url, name="g", provider=Gemini()), upstream(scripted.url, name="o")]
    async with in_front_of(scripted, *ways, aliases={"w": [Target(way, MODEL) for way in ways]}) as client:
        scripted.then(vectors([1.0]))
        status, _, headers = await asked(client, model="w", input=[1, 2])
    assert (status, headers["x-antiphon-attempts"]) == (200, "count=1; g=unsupported")


async def test_what_nobody_counted_is_estimated_and_costs_nobody_knows_what(scripted: ScriptedUpstream) -> None:
    """The answer has to have a count; a price is only applied to what was counted."""
    price = price_of(PriceSettings(input=2.0))
    async with in_front_of(scripted, upstream(scripted.url, name="o", price=price)) as client:
        scripted.then(vectors([1.0], [2.0], tokens=None))
        _, estimated, without = await asked(client, input=["word " * 40, "x"])
        scripted.then(vectors([1.0], [2.0], tokens=50))
        _, _, headers = await asked(client)
    assert estimated["usage"]["prompt_tokens"] == 51
    assert "x-antiphon-cost" not in without
    assert headers["x-antiphon-cost"] == "0.0001"


async def test_requests_and_tokens_count_against_the_callers_limits(scripted: ScriptedUpstream) -> None:
    """What was reserved by an estimate is settled by what was counted; a request too many is 429."""
    ring = Keyring(InMemorySessionStore())
    gateway = Gateway([upstream(scripted.url, name="scripted")], policy=ONCE).with_session_store(ring.store)
    async with serving(gateway, scripted, authenticator=ring.real_keys()) as client:
        key = await ring.make(limits=Limits(requests_per_minute=2, tokens_per_minute=100))
        scripted.then(vectors([1.0], [2.0], tokens=60))
        _, _, first = await client.full("POST", "/v1/embeddings", ASKED, **bearer(key))
        long = {"model": MODEL, "input": "word " * 100}
        status, body, _ = await client.full("POST", "/v1/embeddings", long, **bearer(key))
        third, _, _ = await client.full("POST", "/v1/embeddings", ASKED, **bearer(key))
        _, told, after = await client.full("GET", "/v1/models", **bearer(key))
    assert first["x-ratelimit-remaining-requests"] == "1"
    assert (status, body["error"]["type"]) == (429, "tokens")
    assert third == 429
    assert told["data"]
    assert "x-ratelimit-limit-requests" not in after


async def test_a_model_that_a_key_may_not_ask_for_is_unknown(scripted: ScriptedUpstream) -> None:
    """As one that there is not."""
    ring = Keyring(InMemorySessionStore())
    gateway = Gateway([upstream(scripted.url, name="scripted")]).with_session_store(ring.store)
    async with serving(gateway, scripted, authenticator=ring.real_keys()) as client:
        key = await ring.make(models=("another",))
        status, body, _ = await client.full("POST", "/v1/embeddings", ASKED, **bearer(key))
    assert (status, body["error"]["code"]) == (404, "model_not_found")


async def test_the_audit_trail_has_it_without_content(client: Client) -> None:
    """What was done and how it went."""
    client.upstream.then(vectors([1.0], [2.0]))
    await asked(client)
    await asked(client, input=[])
    await client.gateway.trail.flush()
    _, trail = await client.call("GET", "/v1/audit")
    entries = [(entry["action"], entry["outcome"]) for entry in trail["data"]]
    assert ("embedding.create", "ok") in entries
    assert "one" not in repr(trail)


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"input": []}, "input"), ({"dimension": 3}, "dimension"), ({"encoding_format": "x"}, "encoding_format")],
    ids=["no-input", "unknown", "format"],
)
async def test_requests_that_are_wrong_are_refused_by_name(client: Client, fields: Any, param: str) -> None:
    """Before anybody is asked."""
    status, body, _ = await asked(client, **fields)
    assert (status, body["error"]["param"]) == (400, param)
    assert not [request for request in client.upstream.requests if request.method == "POST"]


async def test_a_program_that_embeds_the_gateway_gets_the_vectors(scripted: ScriptedUpstream) -> None:
    """Without HTTP and without a store."""
    scripted.then(vectors([1.0]))
    async with Gateway([upstream(scripted.url, name="scripted")]) as gateway:
        found = await gateway.embed(EmbeddingRequest(model=MODEL, inputs=("a",)))
    assert ([list(vector) for vector in found.vectors], found.input_tokens) == ([[1.0]], 5)
    assert Embeddings(vectors=found.vectors, input_tokens=5).vectors == found.vectors


async def test_many_requests_bring_no_more_than_one_may(scripted: ScriptedUpstream) -> None:
    """The vectors of all of them are in memory together, and have one bound."""
    answers = [vectors([1.0], [2.0]), vectors([3.0], [4.0])]
    size_bytes = sum(len(answer.partition(b"\r\n\r\n")[2]) for answer in answers)
    for max_bytes in (size_bytes, size_bytes - 1):
        scripted.then(answers[0])
        scripted.then(answers[1])
        policy = TurnPolicy(max_response_bytes=max_bytes)
        async with Gateway([upstream(scripted.url, provider=FewAtATime())], policy=policy) as gateway:
            asking = gateway.embed(EmbeddingRequest(model=MODEL, inputs=("a", "b", "c", "d")))
            if max_bytes == size_bytes:
                assert len((await asking).vectors) == 4
            else:
                with pytest.raises(ResponseTooLarge, match="Ask for fewer inputs at once"):
                    await asking
