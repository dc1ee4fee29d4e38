"""How long an input is: estimated here, or told by the model's server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings

from antiphon.app import upstream
from antiphon.engine.attempts import Attempts, Retries
from antiphon.engine.counting import Count, count_input, estimate_item, estimate_text, estimate_tokens
from antiphon.engine.routing import Target
from antiphon.hub.errors import UnsupportedParameter, UpstreamBroken, UpstreamUnavailable
from antiphon.hub.items import Item
from antiphon.hub.turn import TurnRequest
from tests.engine.contexts import assistant, call, contexts, item, output, reasoning, user
from tests.providers.kit.calls import image_data
from tests.support.scripted_upstream import MODEL, ScriptedUpstream, http_json

ONCE = Attempts(Retries(per_target=0))
REQUEST = TurnRequest(model=MODEL)
PROSE = (
    "The quick brown fox jumps over the lazy dog. Pack my box with five dozen liquor jugs, please. "
    "How vexingly quick daft zebras jump!"
)


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream.serve() as server:
        yield server


@pytest.fixture
async def target(scripted: ScriptedUpstream) -> AsyncIterator[Target]:
    counting = upstream(scripted.url, name="counting", counting="completion")
    yield Target(counting, MODEL)
    await counting.transport.close()


def test_prose_is_between_one_and_two_tokens_a_word() -> None:
    """The rule of thumb holds for English, whose words are a token and a bit."""
    words = len(PROSE.split())
    assert words <= estimate_text(PROSE) <= 2 * words


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("日本語", 3), ("\ud800", 1)],
)
def test_texts(text: str, expected: int) -> None:
    """Bytes are counted, rounded up."""
    assert estimate_text(text) == expected


LONG = "x" * 4000
IMAGE = {"type": "input_image", "image_url": "data:image/png;base64," + "A" * 100_000}

SIZES: dict[str, tuple[Item, int, int]] = {
    "message": (user("a", LONG), 1000, 1010),
    "reasoning": (
        item("a", "reasoning", summary=[], content=[{"type": "reasoning_text", "text": LONG}], encrypted_content=LONG),
        1000,
        1010,
    ),
    "reasoning without text": (item("a", "reasoning", summary=[], content=None), 1, 10),
    "call": (item("a", "function_call", call_id="1", name="look", arguments=LONG), 1000, 1020),
    "custom call": (item("a", "custom_tool_call", call_id="1", name="look", input=LONG), 1000, 1020),
    "output": (output("a", "1", text=LONG), 1000, 1020),
    "output of parts": (
        item("a", "function_call_output", call_id="1", output=[{"type": "input_text", "text": LONG}, IMAGE]),
        1700,
        1800,
    ),
    "image": (item("a", "message", role="user", content=[IMAGE]), 700, 800),
    "file": (item("a", "message", role="user", content=[{"type": "input_file", "file_data": LONG * 100}]), 2000, 3000),
    "refusal": (item("a", "message", role="assistant", content=[{"type": "refusal", "refusal": LONG}]), 1000, 1010),
    "part of another type": (item("a", "message", role="user", content=[{"type": "new", "data": LONG}]), 1000, 1020),
    "item of another type": (item("a", "mcp_call", output=LONG), 1000, 1030),
}


@pytest.mark.parametrize(("one", "least", "most"), SIZES.values(), ids=SIZES.keys())
def test_items(one: Item, least: int, most: int) -> None:
    """What counts is the text that a model is given, not how an item is written; a picture has one size."""
    assert least <= estimate_item(one) <= most


@settings(deadline=None)
@given(contexts(pending=True))
def test_an_estimate_grows_with_every_item(items: tuple[Item, ...]) -> None:
    """It is the sum of its items, and nothing is free."""
    totals = [estimate_tokens(items[:length]) for length in range(len(items) + 1)]
    assert totals == sorted(set(totals))


def test_instructions_and_tools_count() -> None:
    """What is sent with the items takes room too."""
    tool = {"type": "function", "name": "look", "description": LONG, "parameters": {}}
    assert estimate_tokens([], instructions=LONG, tools=[tool]) > 2000


async def test_the_server_counts(scripted: ScriptedUpstream, target: Target) -> None:
    """Where the upstream can tell, its number is the count, and it was asked for one token."""
    items = (user("a", "Hi"), call("b", "1"), output("c", "1"))
    counted = await count_input([target], TurnRequest(model=MODEL, instructions="Be brief."), items, attempts=ONCE)
    assert counted == Count(tokens=7, exact=True)
    assert [message["role"] for message in scripted.last_messages] == ["system", "user", "assistant", "tool"]
    assert scripted.turns[0].body["max_tokens"] == 1


async def test_an_upstream_that_cannot_count_is_not_asked(scripted: ScriptedUpstream) -> None:
    """The estimate costs nothing."""
    plain = upstream(scripted.url)
    items = (user("a", "Hi there"),)
    counted = await count_input([Target(plain, MODEL)], REQUEST, items, attempts=ONCE)
    assert counted == Count(tokens=estimate_tokens(items), exact=False)
    assert scripted.requests == []


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [({"n_prompt_tokens": 5000, "n_ctx": 4096}, 5000), ({}, estimate_tokens([user("a", "Hi")]))],
    ids=["with numbers", "without"],
)
async def test_an_input_that_is_too_long_has_a_length_too(
    scripted: ScriptedUpstream, target: Target, numbers: dict[str, int], expected: int
) -> None:
    """To count is to find that out, not to fail of it."""
    scripted.then(http_json({"error": {"message": "x", "type": "exceed_context_size_error", **numbers}}, status=400))
    counted = await count_input([target], REQUEST, (user("a", "Hi"),), attempts=ONCE)
    assert counted == Count(tokens=expected, exact=False)


async def test_a_failed_count_is_an_error(scripted: ScriptedUpstream, target: Target) -> None:
    """No number is made up for one that the upstream owes."""
    scripted.then(http_json({"error": {"message": "overloaded"}}, status=503))
    with pytest.raises(UpstreamUnavailable):
        await count_input([target], REQUEST, (user("a"),), attempts=ONCE)
    scripted.then(http_json({"choices": []}))
    with pytest.raises(UpstreamBroken):
        await count_input([target], REQUEST, (user("a"),), attempts=ONCE)


def test_the_first_items_of_a_conversation_count_as_the_last_ones() -> None:
    """The estimate does not look at the order."""
    items = [user("a", "one"), assistant("b", "two three"), reasoning("c")]
    assert estimate_tokens(items) == estimate_tokens(items[::-1])


async def test_another_target_counts_where_the_first_cannot_be_asked(
    scripted: ScriptedUpstream, target: Target
) -> None:
    """A count goes on to the next target as a turn does; its own model's count is exact."""
    scripted.then(http_json({"error": {"message": "overloaded"}}, status=503))
    other = upstream(scripted.url, name="other", counting="completion")
    targets = [target, Target(other, "other-model")]
    counted = await count_input(targets, REQUEST, (user("a", "Hi"),), attempts=ONCE)
    await other.transport.close()
    assert counted.exact
    assert [turn.body["model"] for turn in scripted.turns] == [MODEL, "other-model"]


async def test_what_may_go_is_not_counted(scripted: ScriptedUpstream) -> None:
    """What the upstream cannot be told, and what may be left out of the turn, is left out of the count too."""
    poor = upstream(scripted.url, counting="completion", images=False)
    shown = item("a", "message", role="user", content=[{"type": "input_text", "text": "Hi"}, image_data()])
    request = TurnRequest(model=MODEL, drop=frozenset({"input_image"}))
    with pytest.raises(UnsupportedParameter):
        await count_input([Target(poor, MODEL)], REQUEST, (shown,), attempts=ONCE)
    counted = await count_input([Target(poor, MODEL)], request, (shown,), attempts=ONCE)
    await poor.transport.close()
    assert counted.exact
    assert scripted.last_messages == [{"role": "user", "content": "Hi"}]
