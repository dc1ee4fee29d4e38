"""Several upstreams behind one name: who is asked, what the client is told, and what is never done."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any, cast

import orjson
import pytest
from tests.gateway.conftest import Client, parse, serving
from tests.support.scripted_upstream import (
    MODEL,
    Drop,
    ScriptedUpstream,
    Wait,
    chunk,
    delta,
    finish,
    http_json,
    http_stream_head,
    sse,
    usage_body,
    whole,
)

from antiphon import Gateway, InMemorySessionStore, Target, Upstream, upstream
from antiphon.engine.attempts import Retries
from antiphon.engine.deadlines import Deadlines
from antiphon.engine.gates import Capacity
from antiphon.engine.health import HealthPolicy
from antiphon.engine.run import Run
from antiphon.engine.turn import TurnPolicy
from antiphon.hub.events import OutputTextDelta, ResponseCreated
from antiphon.hub.principal import LOCAL
from antiphon.telemetry import Log

NAMES = ("a", "b", "c")
POLICY = TurnPolicy(retries=Retries(per_target=0), health=HealthPolicy(failures=2, ejection_s=60))
DOWN = http_json({"error": {"message": "down"}}, status=500)


class Stage:
    """Three scripted upstreams behind one gateway; ``both`` tries them in order, ``any`` has them as equals."""

    def __init__(self, client: Client, upstreams: Sequence[ScriptedUpstream], log: io.StringIO) -> None:
        self.client = client
        self.log = log
        self.a, self.b, self.c = self.all = tuple(upstreams)

    @property
    def asked(self) -> list[int]:
        """How many turns each upstream was asked for."""
        return [len(each.turns) for each in self.all]

    async def turn(self, model: str, **fields: object) -> tuple[int, Any, dict[str, str]]:
        """A turn as JSON: status, body, headers."""
        return await self.client.full("POST", "/v1/responses", {"model": model, "input": "hi", **fields})


@contextlib.asynccontextmanager
async def staged(
    *, policy: TurnPolicy = POLICY, options: Callable[[str], dict[str, Any]] = lambda _: {}, **of_upstream: Any
) -> AsyncIterator[Stage]:
    """The stage, with what each target and each upstream is configured with."""
    log = io.StringIO()
    async with contextlib.AsyncExitStack() as stack:
        scripted = [await stack.enter_async_context(ScriptedUpstream.serve()) for _ in NAMES]
        made: list[Upstream] = [
            upstream(each.url, name=name, models=[MODEL], **of_upstream)
            for name, each in zip(NAMES, scripted, strict=True)
        ]
        gateway = Gateway(
            made,
            aliases={
                "both": [Target(each, MODEL, **options(each.name)) for each in made],
                "any": [Target(each, MODEL, order=0, **options(each.name)) for each in made],
            },
            policy=policy,
            log=Log("info", stream=log),
        ).with_session_store(InMemorySessionStore())
        client = await stack.enter_async_context(serving(gateway, scripted[0]))
        yield Stage(client, scripted, log)


async def test_the_answer_says_who_was_asked() -> None:
    """The upstream that answered, how many requests it took, and why the others were left; the log says it too."""
    async with staged() as stage:
        stage.a.then(DOWN)
        stage.b.then(Drop())
        status, _, headers = await stage.turn("both")
        assert (status, headers["x-antiphon-upstream"]) == (200, "c")
        assert headers["x-antiphon-attempts"] == "count=3; a=unavailable; b=unreachable"
        assert "attempts=3 left=a:unavailable,b:unreachable" in stage.log.getvalue()


async def test_a_turn_without_trouble_says_so() -> None:
    """One request, nobody left; a stream's answer has the header as well."""
    async with staged() as stage:
        _, _, headers = await stage.turn("both")
        assert headers["x-antiphon-attempts"] == "count=1"
        body = {"model": "both", "input": "hi", "stream": True}
        async with stage.client.http.post(stage.client.base_url + "/v1/responses", json=body) as answer:
            assert answer.headers["x-antiphon-attempts"] == "count=1"


@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_says_who_was_asked(stream: bool) -> None:
    """Where nobody answers, the error has the header too."""
    async with staged() as stage:
        for each in stage.all:
            each.then(DOWN)
        status, _, headers = await stage.turn("both", stream=stream)
        assert (status, headers["x-antiphon-attempts"]) == (
            503,
            "count=3; a=unavailable; b=unavailable; c=unavailable",
        )


async def test_a_turn_that_runs_in_the_background_says_so_when_it_is_asked_for() -> None:
    """Its first answer has none of it yet; while it runs, who retrieves or follows it is told."""
    async with staged() as stage:
        held = Wait(asyncio.Event())
        stage.a.then(DOWN)
        stage.b.then(http_stream_head() + chunk(delta(content="Half")), held, Drop())
        _, queued, first = await stage.turn("both", background=True)
        assert "x-antiphon-attempts" not in first
        await held.reached.wait()
        path = f"/v1/responses/{queued['id']}"
        async with stage.client.http.get(f"{stage.client.base_url}{path}?stream=true") as followed:
            async for line in followed.content:
                if b"output_text.delta" in line:
                    break
            _, _, retrieved = await stage.client.full("GET", path)
        assert retrieved["x-antiphon-attempts"] == "count=2; a=unavailable"
        assert retrieved["x-antiphon-upstream"] == "b"
        held.event.set()


BROKEN_STREAMS: dict[str, bytes] = {
    "before a byte of the body": b"",
    "after the role": chunk(delta(role="assistant")),
    "after a word": chunk(delta(role="assistant") + delta(content="Half")),
    "after all words": chunk(delta(content="Half") + delta(content=" a word")),
    "with an error": chunk(delta(content="Half") + sse({"error": {"message": "no", "code": 500}})),
}


@pytest.mark.parametrize("said", BROKEN_STREAMS.values(), ids=BROKEN_STREAMS.keys())
@pytest.mark.parametrize("model", ["both", "any"])
async def test_a_stream_that_broke_is_continued_nowhere(model: str, said: bytes) -> None:
    """Once an answer has begun nobody else is asked: no word comes twice, and the turn fails with what was said."""
    async with staged() as stage:
        for each in stage.all:
            each.then(http_stream_head() + said, Drop())
        body = {"model": model, "input": "hi", "stream": True}
        async with stage.client.http.post(stage.client.base_url + "/v1/responses", json=body) as answer:
            events = parse(await answer.read())
        words = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
        assert events[-1]["type"] == "response.failed"
        assert len(words) == len(set(words))
        assert sum(stage.asked) == 1


async def test_a_first_token_may_be_waited_for() -> None:
    """With a limit for it, an answer whose body does not begin is left for the next target, and is said once."""
    async with staged(
        options=lambda name: {"deadlines": Deadlines(first_token_s=0.05)} if name == "a" else {}
    ) as stage:
        stage.a.then(http_stream_head(), Wait(asyncio.Event()))
        body = {"model": "both", "input": "hi", "stream": True}
        async with stage.client.http.post(stage.client.base_url + "/v1/responses", json=body) as answer:
            events = parse(await answer.read())
            assert answer.headers["x-antiphon-attempts"] == "count=2; a=timeout"
        assert [event["delta"] for event in events if event["type"] == "response.output_text.delta"] == [
            "Hello",
            " there.",
        ]
        await stage.a.disconnected.wait()


async def test_an_answer_that_takes_too_long_fails() -> None:
    """The total ends a stream that goes on; it has begun, so nobody else is asked."""
    async with staged(options=lambda _: {"deadlines": Deadlines(total_s=1)}) as stage:
        stage.a.then(http_stream_head() + chunk(delta(content="Half")), Wait(asyncio.Event()))
        body = {"model": "both", "input": "hi", "stream": True}
        async with stage.client.http.post(stage.client.base_url + "/v1/responses", json=body) as answer:
            events = parse(await answer.read())
        assert events[-1]["type"] == "response.failed"
        assert "did not end its answer within 1 s" in events[-1]["response"]["error"]["message"]
        assert stage.asked == [1, 0, 0]


async def test_one_that_fails_is_passed_over() -> None:
    """After two faults in a row the first target is not asked any more; the log says since when."""
    async with staged() as stage:
        stage.a.then(DOWN)
        stage.a.then(DOWN)
        told = [(await stage.turn("both"))[2]["x-antiphon-attempts"] for _ in range(4)]
        assert told == ["count=2; a=unavailable"] * 2 + ["count=1; a=ejected"] * 2
        assert "target_ejected level=warning" in stage.log.getvalue()


async def test_a_full_upstream_is_left_and_in_the_end_said() -> None:
    """Who finds all targets full is told 503 and when to come back; who can be answered elsewhere is."""
    one = {"capacity": Capacity(max_parallel=1, max_queued=0)}
    async with staged(options=lambda _: one) as stage:
        held = [Wait(asyncio.Event()) for _ in NAMES]
        for each, wait in zip(stage.all, held, strict=True):
            each.then(wait, http_json(whole("late")))
        running = []
        for wait in held:
            running.append(asyncio.create_task(stage.turn("both")))
            await wait.reached.wait()
        status, body, headers = await stage.turn("both")
        assert (status, body["error"]["code"], headers["retry-after"]) == (503, "upstream_busy", "1")
        assert headers["x-antiphon-attempts"] == "count=0; a=busy; b=busy; c=busy"
        for wait in held:
            wait.event.set()
        assert [(await turn)[0] for turn in running] == [200] * 3


# Affinity.


async def test_a_chain_stays_with_its_replica() -> None:
    """All turns of a chain and of its forks go to one of the equal targets; new chains go to more than one of them."""
    async with staged() as stage:
        owners = set()
        for _ in range(12):
            first = await _respond(stage)
            before = stage.asked
            second = await _respond(stage, previous_response_id=first)
            for parent in (second, first):
                await _respond(stage, previous_response_id=parent)
            asked = [now - then for now, then in zip(stage.asked, before, strict=True)]
            assert sorted(asked) == [0, 0, 3]
            owners.add(asked.index(3))
        assert len(owners) > 1


async def _respond(stage: Stage, **fields: object) -> str:
    """The id of a turn's response."""
    response = await stage.client.gateway.respond({"model": "any", "input": "hi", **fields})
    return str(response["id"])


async def test_a_conversation_stays_with_its_replica() -> None:
    """The conversation's log is what counts, not the turn."""
    async with staged() as stage:
        _, conversation = await stage.client.call("POST", "/v1/conversations", {})
        asked = [(await stage.turn("any", conversation=conversation["id"]))[2] for _ in range(4)]
        assert len({headers["x-antiphon-upstream"] for headers in asked}) == 1


async def test_a_chain_moves_while_its_replica_is_down() -> None:
    """Its turns go to the next one, always the same, and come back when theirs is well again."""
    async with staged(policy=TurnPolicy(retries=Retries(per_target=0))) as stage:
        _, first, headers = await stage.turn("any")
        owner = stage.all[NAMES.index(headers["x-antiphon-upstream"])]
        moved = set()
        for _ in range(3):
            owner.then(DOWN)
            _, _, headers = await stage.turn("any", previous_response_id=first["id"])
            moved.add(headers["x-antiphon-upstream"])
        _, _, headers = await stage.turn("any", previous_response_id=first["id"])
        assert len(moved) == 1
        assert headers["x-antiphon-upstream"] not in moved


async def test_the_upstream_is_given_a_key_for_its_cache() -> None:
    """The same for all turns of a log, another for each log; it is no id, and a client's own key goes first."""
    async with staged(cache_key=True) as stage:
        _, first, _ = await stage.turn("both")
        await stage.turn("both", previous_response_id=first["id"])
        await stage.turn("both")
        await stage.turn("both", prompt_cache_key="mine")
        keys = [turn.body["prompt_cache_key"] for turn in stage.a.turns]
        assert (keys[0], keys[3]) == (keys[1], "mine")
        assert len(set(keys)) == 3
        assert len(keys[0]) == 32
        assert keys[0] not in first["id"]
        assert first["id"][5:21] not in keys[0]
        assert first["prompt_cache_key"] is None


async def test_no_key_that_never_comes_again() -> None:
    """A turn that is not kept and stands on nothing has no log; nor is a key sent where the upstream knows none."""
    async with staged(cache_key=True) as stage:
        await stage.turn("both", store=False)
        assert "prompt_cache_key" not in stage.a.turns[0].body
    async with staged() as stage:
        await stage.turn("both")
        assert "prompt_cache_key" not in stage.a.turns[0].body


async def test_replicas_of_one_account_share_what_is_private() -> None:
    """Reasoning that one replica wrote goes back to another one of its account, and to no other upstream's."""
    reasoned = {**whole("4"), "choices": [_reasoned_call()]}
    for account, expected in (("ours", True), (None, False)):
        async with staged(account=account) as stage:
            stage.a.then(http_json(reasoned))
            tools = [{"type": "function", "name": "add", "parameters": {"type": "object"}, "strict": False}]
            _, first, _ = await stage.turn("both", tools=tools)
            call_id = next(item["call_id"] for item in first["output"] if item["type"] == "function_call")
            stage.a.then(DOWN)
            output = [{"type": "function_call_output", "call_id": call_id, "output": "4"}]
            await stage.turn("both", previous_response_id=first["id"], input=output, tools=tools)
            sent = orjson.dumps(stage.b.last_messages)
            assert (b"reasoning_details" in sent) == expected


def _reasoned_call() -> dict[str, Any]:
    detail = {"type": "reasoning.encrypted", "data": "sealed by the vendor", "index": 0}
    call = {"id": "up_0", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "reasoning_details": [detail], "tool_calls": [call]}
    return {"index": 0, "finish_reason": "tool_calls", "message": message}


# What is used by a turn whose reader leaves.


async def _left(stage: Stage, *said: bytes) -> Any:
    """A streamed turn whose reader goes after the model has said this; as it is stored then."""
    wait = Wait(asyncio.Event())
    stage.a.then(http_stream_head(), *map(chunk, said), wait)
    gateway = stage.client.gateway
    stream = gateway.stream({"model": "both", "input": "Count to ten, please."})
    run: Run | None = None
    async for event in stream:
        if isinstance(event, ResponseCreated):
            run = gateway.turns.running(event.response["id"], LOCAL)
        if isinstance(event, OutputTextDelta) and event.delta.endswith("two"):
            break
    await cast(AsyncGenerator[object, None], stream).aclose()
    assert run is not None
    told = await run.finished
    assert await gateway.retrieve(run.response_id) == told
    return told


async def test_what_the_upstream_counted_is_kept() -> None:
    """A reader who leaves ends the turn; what had been reported by then is its usage, as it was reported."""
    async with staged() as stage:
        counted = sse({"choices": [], "usage": usage_body(2), "object": "chat.completion.chunk"})
        response = await _left(stage, delta(content="one"), counted, delta(content=" two"))
        assert response["status"] == "cancelled"
        assert (response["usage"]["input_tokens"], response["usage"]["output_tokens"]) == (7, 2)
        assert "estimated" not in response["usage"]


async def test_what_nobody_counted_is_estimated_and_says_so() -> None:
    """Without a report the usage is an estimate of what was sent and said, and marked as one."""
    async with staged() as stage:
        response = await _left(stage, delta(content="one"), delta(content=" two"))
        usage = response["usage"]
        assert (response["status"], usage["estimated"]) == ("cancelled", True)
        assert usage["input_tokens"] > 0
        assert usage["output_tokens"] > 0
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
        assert await stage.client.call("GET", f"/v1/responses/{response['id']}") == (200, response)


async def test_a_turn_that_was_not_answered_has_used_nothing() -> None:
    """Who leaves before the upstream has answered leaves a turn of which nobody knows what it cost."""
    async with staged() as stage:
        wait = Wait(asyncio.Event())
        stage.a.then(wait)
        begun = await stage.client.gateway.begin({"model": "both", "input": "hi", "stream": True})
        await wait.reached.wait()
        begun.run.open()
        stage.client.gateway.turns.reader_left(begun.run)
        response = await begun.run.finished
        assert (response["status"], response["usage"]) == ("cancelled", None)


async def test_a_whole_answer_is_not_estimated() -> None:
    """The end's own count stands."""
    async with staged() as stage:
        stage.a.then(http_stream_head() + chunk(delta(content="one two") + finish()) + b"0\r\n\r\n")
        body = {"model": "both", "input": "hi", "stream": True}
        async with stage.client.http.post(stage.client.base_url + "/v1/responses", json=body) as answer:
            events = parse(await answer.read())
        assert events[-1]["response"]["usage"]["output_tokens"] == 3
        assert "estimated" not in events[-1]["response"]["usage"]
