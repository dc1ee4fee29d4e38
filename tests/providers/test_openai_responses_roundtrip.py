"""From a reply to the next call and back: nothing that can be carried is lost, and private state stays private."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.hub.ids import ItemId
from antiphon.hub.items import Item, JsonObject
from tests.providers.kit.calls import assistant, function_tool, item, message, model_call, reasoning, user
from tests.providers.kit.replies import outcome
from tests.providers.openai_responses_replies import stream, transcript
from tests.providers.openai_responses_requests import encode, encoded_body

REPLIES = (
    *("text", "refusal", "text_then_call", "parallel_calls", "reasoning_text", "reasoning_call", "reasoning_sealed"),
    *("raw_reasoning", "custom_call", "logprobs", "web_search", "code_interpreter", "mcp", "mcp_approval", "shell"),
    *("unknown", "vllm_reasoning", "end_alone"),
)
SHOWN = frozenset({"reasoning.encrypted_content"})


def reply(name: str, *, asked: bool = False) -> list[Item]:
    """The items of a reply, as they are stored."""
    call = model_call(include=SHOWN) if asked else model_call()
    return outcome(stream(transcript(f"{name}.sse"), call=call)).items


def next_input(items: list[Item], *, account: str = "vendor") -> list[JsonObject]:
    call = msgspec.structs.replace(model_call(user("Hi"), *items, user("And?")), account=account)
    context: list[JsonObject] = encoded_body(call)["input"]
    return context


def replayed_by_hand(items: list[Item]) -> list[Item]:
    """Items that a client kept and sent back: new ids, and nothing but what it was shown."""
    return [
        Item(ItemId(f"new_{index}"), each.type, {**each.body, "id": f"new_{index}"}) for index, each in enumerate(items)
    ]


@pytest.mark.parametrize("name", REPLIES)
def test_a_reply_goes_back_whole(name: str) -> None:
    """The next call to the same upstream has all items in their places, with their own ids and sealed content."""
    items = reply(name)
    kept = [each for each in items if each.type != "reasoning" or each.private is not None]

    sent = next_input(items)[1:-1]

    assert [entry["type"] for entry in sent] == [each.type for each in kept]
    for entry, each in zip(sent, kept, strict=True):
        private = {} if each.private is None else each.private.data
        assert {field: entry[field] for field in private} == private
        assert shown_of(entry) == shown_of(each.body)


@pytest.mark.parametrize("name", REPLIES)
def test_private_state_goes_to_no_other_account(name: str) -> None:
    """Another upstream of the same dialect gets what was said and called, and nothing that is private to the first."""
    items = reply(name)
    secrets = [value for each in items if each.private is not None for value in each.private.data.values()]

    sent = next_input(items, account="elsewhere")

    assert not [value for value in secrets if value in repr(sent)]
    assert [entry["type"] for entry in sent[1:-1]] == [
        each.type for each in items if each.private is None and each.type != "reasoning"
    ]


@pytest.mark.parametrize("name", REPLIES)
def test_ids_of_ours_stay_here(name: str) -> None:
    """No item's id goes up; the ids of calls do, because they tie outputs to them."""
    items = reply(name)

    sent = repr(next_input(items))

    assert not [each.id for each in items if each.id in sent]
    assert all(each.body["call_id"] in sent for each in items if isinstance(each.body.get("call_id"), str))


@pytest.mark.parametrize("name", ["reasoning_call", "reasoning_sealed", "end_alone"])
def test_a_client_may_carry_sealed_reasoning_itself(name: str) -> None:
    """What it was shown goes back to the upstream that made it as it was made, and to no other."""
    items = replayed_by_hand(reply(name, asked=True))
    made = [each.private.data["encrypted_content"] for each in reply(name) if each.private is not None]

    own = [entry["encrypted_content"] for entry in next_input(items) if entry["type"] == "reasoning"]
    other = [entry for entry in next_input(items, account="elsewhere") if entry["type"] == "reasoning"]

    assert (own, other) == (made, [])


def test_reasoning_that_never_came_through_a_gateway() -> None:
    """A client that brings encrypted content from the upstream itself can go on with it."""
    brought = item("reasoning", summary=[], encrypted_content="gAAAbrought")

    assert next_input([brought, assistant("Hello.")])[1]["encrypted_content"] == "gAAAbrought"


def test_a_switch_of_provider_keeps_what_was_said() -> None:
    """Reasoning of a chat upstream has no place here; the answer that it led to does."""
    assert [entry["type"] for entry in next_input([reasoning("Hm."), assistant("Hello.")])] == ["message"] * 3


# Any context.

TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
NAMES = st.sampled_from(["look", "find"])
OUTPUTS = TEXTS | st.lists(TEXTS.map(lambda text: {"type": "input_text", "text": text}), max_size=2)


@st.composite
def steps(draw: st.DrawFn) -> list[Item]:
    """A message, or a call with its output."""
    number = draw(st.integers(0, 10**6))
    if draw(st.booleans()):
        role = draw(st.sampled_from(["user", "assistant", "system", "developer"]))
        return [message(role, *draw(st.lists(TEXTS, min_size=1, max_size=2)))]
    kind = draw(st.sampled_from(["function_call", "custom_tool_call"]))
    field = "arguments" if kind == "function_call" else "input"
    called: dict[str, Any] = {
        "call_id": f"call_{number}",
        "name": draw(NAMES),
        field: draw(TEXTS),
        "status": "completed",
    }
    namespace = draw(st.none() | NAMES)
    if namespace is not None:
        called["namespace"] = namespace
    output = item(f"{kind}_output", call_id=called["call_id"], output=draw(OUTPUTS), status="completed")
    return [item(kind, **called), output]


@settings(max_examples=100, deadline=None)
@given(st.lists(steps(), max_size=5))
def test_any_context_can_be_read_back(drawn: list[list[Item]]) -> None:
    """A body says everything that its items say: reading it gives their content again, in order."""
    items = [each for step in drawn for each in step]

    sent = orjson.loads(encode(model_call(*items, tools=(function_tool("look"),))).body)["input"]

    assert [shown_of(entry) for entry in sent] == [shown_of(each.body) for each in items or [user("Hi")]]


def shown_of(body: JsonObject) -> JsonObject:
    """What an item says, without what names it and what only tells how it came about."""
    said = {name: value for name, value in body.items() if name not in ("id", "status", "encrypted_content")}
    if said["type"] == "reasoning":
        said.pop("content", None)
    if said["type"] == "message":
        said["content"] = [
            {"annotations": [], **{name: value for name, value in part.items() if name != "logprobs"}}
            if part["type"] == "output_text"
            else part
            for part in said["content"]
        ]
    return said
