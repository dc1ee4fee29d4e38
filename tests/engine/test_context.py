"""What is dropped when a context is too long, and how often an upstream is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.app import upstream
from antiphon.engine.answers import Question
from antiphon.engine.attempts import Attempts, Retries
from antiphon.engine.context import Answered, Context, Window, ask_within
from antiphon.engine.counting import estimate_tokens
from antiphon.engine.routing import Target
from antiphon.engine.units import units
from antiphon.hub.errors import ContextLengthExceeded, UpstreamRefused, UpstreamUnavailable
from antiphon.hub.items import Item
from antiphon.hub.turn import ModelCall, TurnRequest
from tests.engine.contexts import assistant, call, contexts, ids, is_paired, output, user
from tests.support.scripted_upstream import MODEL, ScriptedUpstream, http_json

ONCE = Retries(per_target=0)
AUTO = TurnRequest(model=MODEL, truncation="auto")
LONG = "x" * 400  # a hundred tokens
TURNS = tuple(each for n in range(6) for each in (user(f"u{n}", LONG), assistant(f"a{n}", LONG)))
CONTEXT = Context(items=(*TURNS, user("new", LONG)), input_items=1)


@st.composite
def windows(draw: st.DrawFn) -> tuple[Context, Window]:
    """Any context, with or without a summary somewhere between its units."""
    items = draw(contexts())
    summary = None
    if draw(st.booleans()):
        summary = draw(st.sampled_from([unit.start for unit in units(items)]))
        items = (*items[:summary], user("summary"), *items[summary:])
    context = Context(items=items, input_items=draw(st.integers(0, len(items))), summary=summary)
    return context, Window(context, fixed_tokens=draw(st.integers(0, 100)))


def drops(window: Window) -> list[Context]:
    """Every way in which a window can shorten its context, in order."""
    steps = window.fitting(0)
    return [window.without(dropped) for dropped in range(steps + 1)]


@settings(deadline=None)
@given(windows())
def test_whatever_is_dropped_the_rest_is_a_context(made: tuple[Context, Window]) -> None:
    """No output without its call, no call without its output, and nothing changes its place."""
    context, window = made
    places = {each.id: place for place, each in enumerate(context.items)}
    for shorter in drops(window):
        assert is_paired(shorter.items)
        assert sorted(places[each.id] for each in shorter.items) == [places[each.id] for each in shorter.items]
        assert shorter.dropped == len(context.items) - len(shorter.items)


@settings(deadline=None)
@given(windows())
def test_the_oldest_go_first_and_the_newest_never(made: tuple[Context, Window]) -> None:
    """What stays is the end of the context, and the summary; the last unit stays in every case."""
    context, window = made
    last = context.items[units(context.items)[-1].start :]
    for shorter in drops(window):
        assert shorter.items[-len(last) :] == last
        others = [each for each in shorter.items if each.id != "summary"]
        kept = [each for each in context.items if each.id != "summary"]
        assert others == kept[len(kept) - len(others) :]


@settings(deadline=None)
@given(windows())
def test_the_summary_goes_last(made: tuple[Context, Window]) -> None:
    """While anything else can go, what was compacted is remembered; and its place is always known."""
    context, window = made
    shortest = drops(window)[-1]
    for shorter in drops(window):
        has_summary = any(each.id == "summary" for each in shorter.items)
        assert (shorter.summary is not None) == has_summary
        if shorter.summary is not None:
            assert shorter.items[shorter.summary].id == "summary"
        elif context.summary is not None:
            assert shorter.items == shortest.items


@settings(deadline=None)
@given(windows(), st.integers(0, 2000))
def test_no_more_is_dropped_than_has_to_be(made: tuple[Context, Window], limit: int) -> None:
    """What fits is given, and one unit more would not have fitted."""
    _, window = made
    dropped = window.fitting(limit)
    assert window.estimate(dropped) <= limit or dropped == window.fitting(0)
    assert dropped == 0 or window.estimate(dropped - 1) > limit


@settings(deadline=None)
@given(windows(), st.integers(1, 10_000), st.integers(1, 10_000))
def test_every_refusal_shortens(made: tuple[Context, Window], limit: int, needed: int) -> None:
    """With numbers, sound or not, or without: what was refused is not asked again, until nothing more can go."""
    context, window = made
    numbers = ContextLengthExceeded(limit_tokens=limit, needed_tokens=needed)
    for error in (numbers, ContextLengthExceeded()):
        dropped: int | None = 0
        lengths = []
        while dropped is not None:
            lengths.append(len(window.without(dropped).items))
            further = window.after_refusal(error, dropped)
            assert further is None or further > dropped
            dropped = further
        assert lengths == sorted(set(lengths), reverse=True)
        assert lengths[0] == len(context.items)
        assert lengths[-1] == len(drops(window)[-1].items)


def test_where_the_clients_input_stands() -> None:
    """An index into what is left leads back to the client's own, even when its input was shortened too."""
    context = Context(items=(user("old"), user("new 0"), user("new 1")), input_items=2)
    window = Window(context, fixed_tokens=0)
    assert [window.without(dropped).input_start for dropped in range(3)] == [1, 0, -1]


# Asking.


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream.serve() as server:
        yield server


@pytest.fixture
async def targets(scripted: ScriptedUpstream) -> AsyncIterator[Any]:
    """Makes targets at the scripted upstream."""
    made = []

    def make(**options: Any) -> Target:
        made.append(upstream(scripted.url, **options))
        return Target(made[-1], MODEL)

    yield make
    for each in made:
        await each.transport.close()


async def write(target: Target, context: Context) -> Question:
    model_call = ModelCall(
        model=target.model,
        account=target.upstream.name,
        items=context.items,
        input_start=context.input_start,
        request=AUTO,
        stream=False,
    )
    return Question(target=target, call=model_call, request=target.upstream.provider.encode(model_call))


async def asked(targets: list[Target], context: Context, request: TurnRequest = AUTO) -> Answered:
    answered = await ask_within(Attempts(ONCE).asking(targets), context, write, request=request)
    await answered.answer.close()
    return answered


def refusal(**numbers: int) -> bytes:
    error = {"message": "too long", "type": "exceed_context_size_error", "code": 400, **numbers}
    return http_json({"error": error}, status=400)


def lengths(scripted: ScriptedUpstream) -> list[int]:
    return [len(turn.body["messages"]) for turn in scripted.turns]


async def test_all_is_given_where_nobody_objects(scripted: ScriptedUpstream, targets: Any) -> None:
    """A context is shortened only if it has to be."""
    answered = await asked([targets()], CONTEXT)
    assert (answered.context, lengths(scripted)) == (CONTEXT, [13])


async def test_a_known_window_is_kept(scripted: ScriptedUpstream, targets: Any) -> None:
    """An upstream that says how much its model takes is asked once, with what fits and leaves room for an answer."""
    answered = await asked([targets(context_window=700)], CONTEXT)
    assert ids(answered.context.items) == ["a3", "u4", "a4", "u5", "a5", "new"][-len(answered.context.items) :]
    assert estimate_tokens(answered.context.items) <= 700 * 7 / 8
    assert answered.context.dropped + len(answered.context.items) == 13
    assert len(scripted.turns) == 1


async def test_a_listed_window_is_kept(scripted: ScriptedUpstream, targets: Any) -> None:
    """The list of models says it too."""
    scripted.models = http_json({"data": [{"id": MODEL, "meta": {"n_ctx": 700, "n_ctx_train": 8192}}]})
    target = targets()
    await target.upstream.models(max_age_s=0)
    assert (await asked([target], CONTEXT)).context.dropped == 8


async def test_the_answer_has_its_room(targets: Any) -> None:
    """A turn that wants a long answer gets less history, but never none for the sake of a wish."""
    target = targets(context_window=1000)
    dropped = [
        (await asked([target], CONTEXT, TurnRequest(model=MODEL, truncation="auto", max_output_tokens=wanted))).context
        for wanted in (16, 400, 500, 100_000)
    ]
    assert [each.dropped for each in dropped] == [4, 8, 9, 9]


async def test_a_refusal_with_numbers_is_obeyed(scripted: ScriptedUpstream, targets: Any) -> None:
    """The share that the upstream has room for decides how much goes, and one more try is enough."""
    scripted.then(refusal(n_prompt_tokens=2600, n_ctx=1300))
    answered = await asked([targets()], CONTEXT)
    assert lengths(scripted) == [13, 5]
    assert answered.context.dropped == 8


async def test_refusals_without_numbers(scripted: ScriptedUpstream, targets: Any) -> None:
    """A quarter goes each time."""
    for _ in range(3):
        scripted.then(refusal())
    await asked([targets()], CONTEXT)
    assert lengths(scripted) == [13, 9, 6, 4]


async def test_an_upstream_that_never_agrees(scripted: ScriptedUpstream, targets: Any) -> None:
    """The upstream is asked a few times only, and then the client is told."""
    many = Context(items=tuple(user(f"u{n}", LONG) for n in range(1000)), input_items=1)
    for _ in range(20):
        scripted.then(refusal())
    with pytest.raises(ContextLengthExceeded):
        await asked([targets()], many)
    assert len(scripted.turns) == 8


async def test_the_turns_own_call_and_output_stay(scripted: ScriptedUpstream, targets: Any) -> None:
    """The last unit goes up in any case, with the call that it answers, and its refusal is the client's."""
    items = (*TURNS, call("c", "1"), output("o", "1", text=LONG))
    for _ in range(20):
        scripted.then(refusal(n_prompt_tokens=100_000, n_ctx=10))
    with pytest.raises(ContextLengthExceeded):
        await asked([targets()], Context(items=items, input_items=1))
    assert [message["role"] for message in scripted.last_messages] == ["assistant", "tool"]
    assert len(scripted.turns) == 2


async def test_nothing_is_dropped_unasked(scripted: ScriptedUpstream, targets: Any) -> None:
    """Without truncation a refusal is the answer, and a known window changes nothing."""
    scripted.then(refusal(n_prompt_tokens=2600, n_ctx=1300))
    with pytest.raises(ContextLengthExceeded):
        await asked([targets(context_window=100)], CONTEXT, TurnRequest(model=MODEL))
    assert lengths(scripted) == [13]


async def test_every_target_gets_what_it_has_room_for(scripted: ScriptedUpstream, targets: Any) -> None:
    """The next target is asked with the whole context again, as far as that fits there."""
    scripted.then(http_json({"error": {"message": "overloaded"}}, status=503))
    answered = await asked([targets(name="small", context_window=400), targets(name="large")], CONTEXT)
    assert (lengths(scripted), answered.answer.target.upstream.name) == ([4 - 1, 13], "large")
    assert answered.context.dropped == 0


async def test_other_faults_are_what_they_are(scripted: ScriptedUpstream, targets: Any) -> None:
    """A refusal for another reason is not tried again, and the last fault is the one that counts."""
    scripted.then(http_json({"error": {"message": "no"}}, status=400))
    with pytest.raises(UpstreamRefused, match="no"):
        await asked([targets(), targets()], CONTEXT)
    for _ in range(2):
        scripted.then(http_json({"error": {"message": "overloaded"}}, status=503))
    with pytest.raises(UpstreamUnavailable):
        await asked([targets(), targets()], CONTEXT)
    assert lengths(scripted) == [13, 13, 13]


@settings(deadline=None)
@given(contexts())
def test_a_window_as_large_as_the_estimate_is_large_enough(items: tuple[Item, ...]) -> None:
    """What a window adds up is what the estimate says."""
    window = Window(Context(items=items), fixed_tokens=estimate_tokens(()))
    assert window.estimate(0) == estimate_tokens(items)
    assert window.fitting(estimate_tokens(items)) == 0
