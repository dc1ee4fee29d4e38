"""Contexts that become summaries: what the model is asked, what comes of it, and what happens when it fails."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from antiphon.app import upstream
from antiphon.crypto import Sealer
from antiphon.engine.attempts import Attempts, Retries
from antiphon.engine.checkpoints import CheckpointSeal, expand
from antiphon.engine.compaction import (
    Compactor,
    closing_events,
    compact_body,
    opening_events,
    take_trigger,
    wants_compaction,
)
from antiphon.engine.context import Context
from antiphon.engine.cost import Costs
from antiphon.engine.routing import Target
from antiphon.engine.summary import MAX_SUMMARY_TOKENS, Summariser
from antiphon.hub.errors import (
    ContextLengthExceeded,
    InvalidRequest,
    ResponseTooLarge,
    UpstreamBroken,
    UpstreamRefused,
    UpstreamUnavailable,
)
from antiphon.hub.events import ResponseCompleted, ResponseCreated
from antiphon.hub.ids import Family, IdFactory, TenantId
from antiphon.hub.items import Item
from antiphon.hub.turn import TurnRequest
from antiphon.hub.usage import Usage
from antiphon.streams.accumulator import Accumulator
from antiphon.streams.order import OrderCheck
from antiphon.telemetry import Log
from tests.engine.contexts import assistant, call, ids, output, reasoning, text_of, user
from tests.support.scripted_upstream import (
    MODEL,
    Drop,
    ScriptedUpstream,
    Wait,
    chunk,
    http_json,
    http_stream,
    http_stream_head,
    text_stream,
    whole,
)

IDS = IdFactory(time.time)
FAMILY = Family("00112233aabbccdd")
SEAL = CheckpointSeal(Sealer(bytes(range(32))), TenantId("ours"))
REQUEST = TurnRequest(model=MODEL)
CHAT = (
    user("u1", "My name is Ada."),
    assistant("a1", "Hello Ada."),
    user("u2", "I like tea."),
    assistant("a2", "Fine."),
)
CONTEXT = Context(items=CHAT)
SUMMARY = "The user is Ada. She likes tea."


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream.serve() as server:
        server.text = SUMMARY
        yield server


@pytest.fixture
async def target(scripted: ScriptedUpstream) -> AsyncIterator[Target]:
    asked = upstream(scripted.url, name="scripted")
    yield Target(asked, MODEL)
    await asked.transport.close()


def compactor(target: Target, *, max_bytes: int = 100_000) -> Compactor:
    attempts = Attempts(Retries(per_target=0))
    summariser = Summariser([target], ids=IDS, family=FAMILY, attempts=attempts, max_bytes=max_bytes, costs=Costs())
    return Compactor(summariser, SEAL, ids=IDS, family=FAMILY)


def too_long() -> bytes:
    return http_json({"error": {"message": "x", "code": "context_length_exceeded"}}, status=400)


def contents(scripted: ScriptedUpstream) -> list[list[str]]:
    """What the model was shown in each question, without the instruction at its end."""
    return [[message["content"] for message in turn.body["messages"][:-1]] for turn in scripted.turns]


def summary_in(items: Sequence[Item]) -> str:
    return next(text_of(each) for each in items if each.id.startswith("cmp_"))


# What the model is asked.


async def test_the_model_is_shown_the_context_and_asked_for_its_summary(
    scripted: ScriptedUpstream, target: Target
) -> None:
    """All of the context goes up as in a turn, and behind it, as the user's, what is wanted."""
    await compactor(target).compact(CONTEXT, TurnRequest(model=MODEL, instructions="Be kind."))
    messages = scripted.last_messages
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert [message["content"] for message in messages[:-1]] == ["Be kind.", *map(text_of, CHAT)]
    assert "summarise the conversation above" in messages[-1]["content"]


async def test_the_question_is_plain_and_bounded(scripted: ScriptedUpstream, target: Target) -> None:
    """Of the turn's settings only those go along that say on whose behalf it is asked."""
    tool: dict[str, Any] = {"type": "function", "name": "look", "description": None, "parameters": {}, "strict": None}
    request = TurnRequest(
        model=MODEL,
        tools=(tool,),
        tool_choice="required",
        temperature=2.0,
        max_output_tokens=16,
        text={"format": {"type": "json_object"}},
        reasoning={"effort": "high"},
        stream=True,
        user="ada",
        prompt_cache_key="key",
    )
    await compactor(target).compact(CONTEXT, request)
    asked = {name: value for name, value in scripted.turns[0].body.items() if name != "messages"}
    assert asked == {
        "model": MODEL,
        "max_tokens": MAX_SUMMARY_TOKENS,
        "temperature": 0.2,
        "user": "ada",
        "prompt_cache_key": "key",
    }


async def test_a_small_model_writes_less(scripted: ScriptedUpstream) -> None:
    """A summary takes a quarter of the model's window at most."""
    small = upstream(scripted.url, context_window=1000)
    await compactor(Target(small, MODEL)).compact(CONTEXT, REQUEST)
    assert scripted.turns[0].body["max_tokens"] == 250
    await small.transport.close()


async def test_calls_that_wait_are_not_shown(scripted: ScriptedUpstream, target: Target) -> None:
    """A summary in the middle of a tool loop leaves out the calls that no upstream takes without their outputs."""
    items = (*CHAT, call("c1", "1"), output("o1", "1"), reasoning("r"), call("c2", "2"))
    compacted = await compactor(target).compact(Context(items=items), REQUEST)
    assert [message["role"] for message in scripted.last_messages[-3:]] == ["assistant", "tool", "user"]
    later = expand((*items, compacted.item, output("o2", "2")), SEAL)
    assert ids(later.items)[1:] == ["r", "c2", "o2"]


async def test_a_model_that_takes_no_temperature(scripted: ScriptedUpstream, target: Target) -> None:
    """It is asked again without one."""
    scripted.then(http_json({"error": {"message": "Unsupported value", "param": "temperature"}}, status=400))
    compacted = await compactor(target).compact(CONTEXT, REQUEST)
    assert ["temperature" in turn.body for turn in scripted.turns] == [True, False]
    assert SUMMARY in summary_in(expand([compacted.item], SEAL).items)


async def test_a_context_that_is_too_long_is_read_in_parts(scripted: ScriptedUpstream, target: Target) -> None:
    """The older half is summarised first, and its summary is read with the newer half: everything is read."""
    for answer in (too_long(), http_json(whole("first half")), http_json(whole("all of it"))):
        scripted.then(answer)
    compacted = await compactor(target).compact(CONTEXT, REQUEST)
    texts = [text_of(each) for each in CHAT]
    first, second, third = contents(scripted)
    assert (first, second) == (texts, texts[:2])
    assert "first half" in third[0]
    assert third[1:] == texts[2:]
    assert "all of it" in summary_in(expand([compacted.item], SEAL).items)
    assert compacted.spent.usage == Usage(input_tokens=14, output_tokens=6)


async def test_one_item_that_is_too_long_cannot_be_summarised(scripted: ScriptedUpstream, target: Target) -> None:
    """There is an end to cutting, and the client is told."""
    for _ in range(10):
        scripted.then(too_long())
    with pytest.raises(ContextLengthExceeded):
        await compactor(target).compact(CONTEXT, REQUEST)
    assert [len(content) for content in contents(scripted)] == [4, 2, 1]


async def test_cutting_is_bounded(scripted: ScriptedUpstream, target: Target) -> None:
    """An upstream that reads ever smaller parts only is not asked for ever."""
    items = tuple(user(f"u{n}") for n in range(2000))
    for _ in range(50):
        scripted.then(too_long())
        scripted.then(http_json(whole("a part")))
    with pytest.raises(ContextLengthExceeded):
        await compactor(target).compact(Context(items=items), REQUEST)
    assert 8 < len(scripted.turns) <= 17


# What comes of it.


async def test_the_item_is_what_the_next_turn_stands_on(scripted: ScriptedUpstream, target: Target) -> None:
    """It has an id of its family, says nothing by itself, and reads as the summary later."""
    compacted = await compactor(target).compact(CONTEXT, REQUEST)
    assert compacted.output == [compacted.item.body]
    assert compacted.item.id.startswith(f"cmp_{FAMILY}")
    context = expand((*CHAT, compacted.item, user("u3")), SEAL)
    assert SUMMARY in text_of(context.items[0])
    assert ids(context.items)[1:] == ["u3"]


async def test_what_users_said_is_retained(scripted: ScriptedUpstream, target: Target) -> None:
    """The answer of the compact endpoint, used as the next input, shows the users' messages and the summary."""
    compacted = await compactor(target).compact_retaining_users(CONTEXT, REQUEST)
    body = compact_body(compacted, id="resp_1", created_at=5)
    assert [*body] == ["id", "object", "created_at", "output", "usage"]
    assert (body["object"], body["created_at"]) == ("response.compaction", 5)
    assert body["output"] == [CHAT[0].body, CHAT[2].body, compacted.item.body]
    assert body["usage"] == Usage(input_tokens=7, output_tokens=3).body()
    again = [Item(each["id"], each["type"], each) for each in body["output"]]
    assert ids(expand([*again, user("u3")], SEAL).items) == ["u1", "u2", compacted.item.id, "u3"]


async def test_a_compaction_can_be_compacted(scripted: ScriptedUpstream, target: Target) -> None:
    """The old summary is read for the new one, and is nobody's message."""
    first = await compactor(target).compact_retaining_users(CONTEXT, REQUEST)
    context = expand([*first.retained, first.item, user("u3"), assistant("a3")], SEAL)
    second = await compactor(target).compact_retaining_users(context, REQUEST)
    assert ids(second.retained) == ["u1", "u2", "u3"]
    assert SUMMARY in contents(scripted)[-1][2]


async def test_nothing_cannot_be_compacted(scripted: ScriptedUpstream, target: Target) -> None:
    """No model is asked to make something up."""
    with pytest.raises(InvalidRequest, match="nothing to compact"):
        await compactor(target).compact(Context(items=()), REQUEST)
    assert scripted.turns == []


async def test_a_summary_that_was_cut_is_one(scripted: ScriptedUpstream, target: Target) -> None:
    """Small models find no end: what they wrote until then counts."""
    scripted.then(http_json(whole("Ada, tea, and", finish_reason="length")))
    compacted = await compactor(target).compact(CONTEXT, REQUEST)
    assert "Ada, tea, and" in summary_in(expand([compacted.item], SEAL).items)


async def test_an_upstream_that_streams_unasked(scripted: ScriptedUpstream, target: Target) -> None:
    """The reply is read as what it is."""
    scripted.then(http_stream(text_stream("Ada and tea.")))
    compacted = await compactor(target).compact(CONTEXT, REQUEST)
    assert "Ada and tea." in summary_in(expand([compacted.item], SEAL).items)


FAULTS: dict[str, tuple[bytes | Drop, type[Exception]]] = {
    "no text": (http_json(whole("  \n")), UpstreamBroken),
    "filtered": (http_json(whole("Ada", finish_reason="content_filter")), UpstreamBroken),
    "a call": (
        http_json(
            whole(
                None,
                finish_reason="tool_calls",
                tool_calls=[{"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
            )
        ),
        UpstreamBroken,
    ),
    "refused": (http_json({"error": {"message": "no"}}, status=400), UpstreamRefused),
    "overloaded": (http_json({"error": {"message": "later"}}, status=503), UpstreamUnavailable),
    "endless": (http_json(whole("x" * 200_000)), UpstreamBroken),
    "endless stream": (http_stream(text_stream("x " * 2000)), ResponseTooLarge),
    "cut stream": (http_stream(text_stream("Ada and tea.")[:-20]), UpstreamBroken),
}


@pytest.mark.parametrize(("answer", "kind"), FAULTS.values(), ids=FAULTS.keys())
async def test_a_summary_that_cannot_be_had(
    scripted: ScriptedUpstream, target: Target, answer: bytes, kind: type[Exception]
) -> None:
    """A client that asked for a compaction is told why there is none."""
    scripted.then(answer)
    with pytest.raises(kind):
        await compactor(target).compact(CONTEXT, REQUEST)


async def test_a_reply_that_is_given_up_is_closed(scripted: ScriptedUpstream, target: Target) -> None:
    """The upstream stops its work when nobody reads on."""
    scripted.then(http_stream_head() + chunk(text_stream("x " * 2000)), Wait(asyncio.Event()))
    with pytest.raises(ResponseTooLarge):
        await compactor(target).compact(CONTEXT, REQUEST)
    await asyncio.wait_for(scripted.disconnected.wait(), 10)


async def test_after_an_answer_a_failure_is_logged(scripted: ScriptedUpstream, target: Target) -> None:
    """The answer stands without its compaction; the log says why, and nothing of what was said."""
    written = io.StringIO()
    log = Log("info", stream=written)
    scripted.then(http_json({"error": {"message": "Ada is not allowed"}}, status=400))
    context = CONTEXT.followed_by([assistant("a3")])
    assert await compactor(target).compact_after_answer(context, REQUEST, log=log, response_id="resp_1") is None
    assert "compaction_failed level=warning" in written.getvalue()
    assert "response=resp_1 error=UpstreamRefused" in written.getvalue()
    assert "Ada" not in written.getvalue()


async def test_after_an_answer_its_items_are_read_too(scripted: ScriptedUpstream, target: Target) -> None:
    """The summary covers the answer behind which it stands."""
    context = Context(items=CHAT[:1], input_items=1).followed_by(CHAT[1:])
    compacted = await compactor(target).compact_after_answer(context, REQUEST, log=Log("error"), response_id="resp_1")
    assert compacted is not None
    assert contents(scripted) == [[text_of(each) for each in CHAT]]


# When, and how it is said.


THRESHOLDS: dict[str, tuple[list[dict[str, Any]], Usage | None, int | None, bool]] = {
    "not asked for": ([], Usage(input_tokens=10**9), 10, False),
    "below": (
        [{"type": "compaction", "compact_threshold": 1000}],
        Usage(input_tokens=899, output_tokens=100),
        None,
        False,
    ),
    "reached": (
        [{"type": "compaction", "compact_threshold": 1000}],
        Usage(input_tokens=900, output_tokens=100),
        None,
        True,
    ),
    "estimated": ([{"type": "compaction", "compact_threshold": 1000}], None, None, True),
    "reported as nothing": ([{"type": "compaction", "compact_threshold": 1000}], Usage(output_tokens=5), None, True),
    "estimated below": ([{"type": "compaction", "compact_threshold": 5001}], None, None, False),
    "of the window": ([{"type": "compaction", "compact_threshold": None}], Usage(input_tokens=3072), 4096, True),
    "below that of the window": ([{"type": "compaction"}], Usage(input_tokens=3071), 4096, False),
    "of a window that nobody knows": ([{"type": "compaction"}], Usage(input_tokens=10**9), None, False),
    "the lowest": (
        [{"type": "compaction", "compact_threshold": 10**9}, {"type": "compaction", "compact_threshold": 1000}],
        Usage(input_tokens=1000),
        None,
        True,
    ),
}


@pytest.mark.parametrize(("management", "usage", "window", "expected"), THRESHOLDS.values(), ids=THRESHOLDS.keys())
def test_thresholds(
    management: list[dict[str, Any]], usage: Usage | None, window: int | None, *, expected: bool
) -> None:
    """What the upstream counted decides, else an estimate, here of 5000 tokens."""
    assert wants_compaction(management, usage=usage, estimate=lambda: 5000, window_tokens=window) is expected


def test_no_estimate_is_made_where_it_is_not_needed() -> None:
    """It costs time on every turn."""

    def estimate() -> int:
        raise AssertionError

    entry = {"type": "compaction", "compact_threshold": 1000}
    assert wants_compaction([entry], usage=Usage(input_tokens=2000), estimate=estimate)
    assert not wants_compaction([], usage=None, estimate=estimate)


def test_the_trigger_is_taken_out() -> None:
    """It is the last item of the input, and no item of the context."""
    words: dict[str, Any] = {"type": "message", "role": "user", "content": []}
    trigger: dict[str, Any] = {"type": "compaction_trigger"}
    assert take_trigger(TurnRequest(model="m", input=(words,))) == TurnRequest(model="m", input=(words,))
    taken = take_trigger(TurnRequest(model="m", input=(words, trigger)))
    assert taken == TurnRequest(model="m", input=(words,), compacts=True)


@pytest.mark.parametrize("places", [(0,), (0, 2), (1, 2)])
def test_a_trigger_elsewhere_is_refused(places: tuple[int, ...]) -> None:
    """The error names where it stands."""
    items: list[dict[str, Any]] = [{"type": "message"} for _ in range(3)]
    for place in places:
        items[place] = {"type": "compaction_trigger"}
    with pytest.raises(InvalidRequest) as caught:
        take_trigger(TurnRequest(model="m", input=tuple(items)))
    assert caught.value.param == f"input[{places[0]}]"


async def test_the_events_of_a_compaction(scripted: ScriptedUpstream, target: Target) -> None:
    """An item is announced, is being made, and is done: in an order that every stream keeps, under one id."""
    making = compactor(target)
    item_id = making.new_id()
    opening = opening_events(item_id, 0)
    compacted = await making.compact(CONTEXT, REQUEST, item_id=item_id)
    events = [*opening, *closing_events(compacted.item, 0)]
    order, accumulator = OrderCheck(), Accumulator()
    order.feed([ResponseCreated({}), *events, ResponseCompleted({})])
    accumulator.feed(events)
    assert accumulator.items() == [compacted.item]
