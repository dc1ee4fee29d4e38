"""What goes up loses nothing that Converse can carry, and what came down goes back as it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import msgspec
import orjson
import pytest
from botocore.validate import ParamValidator
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.hub.items import Item, JsonObject, Private
from antiphon.providers.bedrock import Bedrock, Quirks
from tests.providers.bedrock_replies import TRANSCRIPTS, frames_of, stream, whole_of
from tests.providers.kit.calls import (
    ACCOUNT,
    assistant,
    custom_call,
    custom_output,
    function_call,
    function_output,
    message,
    model_call,
    reasoning,
    user,
)
from tests.providers.kit.replies import outcome

_SAID = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).map(lambda said: f"x{said}")


@st.composite
def contexts(draw: st.DrawFn) -> list[Item]:
    """Contexts of every kind of item that has words in Converse."""
    items: list[Item] = []
    for step in range(draw(st.integers(1, 6))):
        match draw(st.sampled_from(["user", "assistant", "system", "call", "custom"])):
            case "user":
                items.append(user(*draw(st.lists(_SAID, min_size=1, max_size=2))))
            case "assistant":
                items.append(assistant(draw(_SAID)))
            case "system":
                items.append(message("developer", draw(_SAID)))
            case "call":
                ids = [f"call_{step}_{number}" for number in range(draw(st.integers(1, 3)))]
                arguments = orjson.dumps(draw(st.dictionaries(_SAID, _SAID, max_size=2))).decode()
                items += [function_call(call_id, arguments=arguments) for call_id in ids]
                items += [function_output(call_id, draw(_SAID)) for call_id in draw(st.permutations(ids))]
            case _:
                items += [custom_call(f"call_{step}", "patch", draw(_SAID)), custom_output(f"call_{step}", draw(_SAID))]
    return items


def said_in(items: list[Item]) -> list[tuple[str, ...]]:
    """Everything that is said in items, by whom, sorted."""
    said: list[tuple[str, ...]] = []
    for item in items:
        body = item.body
        match item.type:
            case "message":
                who = "system" if body["role"] == "developer" else body["role"]
                said += [(who, part["text"]) for part in body["content"]]
            case "function_call":
                said.append(
                    ("call", body["call_id"], body["name"], orjson.dumps(orjson.loads(body["arguments"])).decode())
                )
            case "custom_tool_call":
                said.append(("call", body["call_id"], body["name"], orjson.dumps({"input": body["input"]}).decode()))
            case _:
                said.append(("result", body["call_id"], body["output"]))
    return sorted(said)


def read_back(body: JsonObject) -> Iterator[tuple[str, ...]]:
    """Everything that is said in a body: this test's own reading of Converse."""
    yield from (("system", block["text"]) for block in body.get("system", ()))
    for said in body["messages"]:
        for block in said["content"]:
            if "text" in block and block["text"] not in ("(The assistant begins.)", "(Go on.)"):
                yield said["role"], block["text"]
            elif "toolUse" in block:
                use = block["toolUse"]
                yield "call", use["toolUseId"], use["name"], orjson.dumps(use["input"]).decode()
            elif "toolResult" in block:
                yield "result", block["toolResult"]["toolUseId"], block["toolResult"]["content"][0]["text"]


@settings(max_examples=80, deadline=None)
@given(items=contexts())
def test_nothing_that_is_said_is_lost(items: list[Item]) -> None:
    """Every text, call and result of a context is in the body once, on its side, and the rules of Converse hold."""
    call = model_call(*items)

    body = orjson.loads(Bedrock().encode(call).body)

    assert sorted(read_back(body)) == said_in([*call.items])
    roles = [said["role"] for said in body["messages"]]
    assert roles == [("user", "assistant")[place % 2] for place in range(len(roles))]
    assert roles[-1] == "user"
    for asked, answered in zip(body["messages"], [*body["messages"][1:], {"content": []}], strict=True):
        used = [block["toolUse"]["toolUseId"] for block in asked["content"] if "toolUse" in block]
        given_ = [
            block["toolResult"]["toolUseId"] for block in answered["content"][: len(used)] if "toolResult" in block
        ]
        assert used == given_


# Reasoning that goes back.


def sent_back(items: list[Item], *, account: str = ACCOUNT, quirks: Quirks | None = None, **request: Any) -> bytes:
    """The body of the next call, whose history these items are."""
    results = [
        custom_output(item.body["call_id"])
        if item.type == "custom_tool_call"
        else function_output(item.body["call_id"])
        for item in items
        if item.type.endswith("_call")
    ]
    call = model_call(user("Hi"), *items, *results, user("And?"), **request)
    return Bedrock(quirks or Quirks()).encode(msgspec.structs.replace(call, account=account)).body


def blocks_of(body: bytes) -> list[JsonObject]:
    blocks: list[JsonObject] = orjson.loads(body)["messages"][1]["content"]
    return blocks


SEALED = ["reasoning_then_call", "reasoning_sealed"]


@pytest.mark.parametrize("name", SEALED)
def test_reasoning_goes_back_as_it_came(name: str) -> None:
    """The blocks of a reply are those of the next request to the same account: thoughts, signatures, what is sealed."""
    items, _ = outcome(stream(*frames_of(name)))
    came = orjson.loads(whole_of(name))["output"]["message"]["content"]

    went = blocks_of(sent_back(items))

    assert [block for block in went if "reasoningContent" in block] == [
        block for block in came if "reasoningContent" in block
    ]
    assert [next(iter(block)) for block in went] == [next(iter(block)) for block in came]


@pytest.mark.parametrize("name", SEALED)
@pytest.mark.parametrize("elsewhere", ["account", "provider"])
def test_reasoning_goes_nowhere_else(name: str, elsewhere: str) -> None:
    """Another account, or another provider's reasoning, is no error: the visible rest goes up without it."""
    items, _ = outcome(stream(*frames_of(name)))
    if elsewhere == "provider":
        items = [
            msgspec.structs.replace(item, private=Private("anthropic", ACCOUNT, {"signature": "c2lnMQ=="}))
            if item.private
            else item
            for item in items
        ]

    body = sent_back(items, account="other" if elsewhere == "account" else ACCOUNT)

    assert b"reasoningContent" not in body
    assert b"c2ln" not in body
    assert b"EqoB" not in body


def test_reasoning_without_a_signature() -> None:
    """Thoughts that nobody signed stay here unless the upstream is configured to want them."""
    items, _ = outcome(stream(*frames_of("reasoning")))

    assert b"reasoningContent" not in sent_back(items)
    assert blocks_of(sent_back(items, quirks=Quirks(replay_reasoning="always")))[0] == {
        "reasoningContent": {"reasoningText": {"text": "Two plus two."}}
    }


def test_reasoning_of_anybody_else() -> None:
    """Reasoning that no provider marked is never sent: nobody could have signed it."""
    items = [reasoning("Hm."), assistant("Hello.")]

    assert b"reasoningContent" not in sent_back(items, quirks=Quirks(replay_reasoning="always"))


def test_reasoning_that_is_not_to_go_back() -> None:
    """None goes back where it is so configured, and only the current turn's where the request says so."""
    items, _ = outcome(stream(*frames_of("reasoning_then_call")))

    assert b"reasoningContent" not in sent_back(items, quirks=Quirks(replay_reasoning="never"))
    assert b"reasoningContent" not in sent_back(items, reasoning={"context": "current_turn"})
    assert b"reasoningContent" in sent_back(items, reasoning={"context": "all_turns"})


def test_reasoning_of_the_current_turn() -> None:
    """Within a tool loop the reasoning before the call is of the current turn."""
    items, _ = outcome(stream(*frames_of("reasoning_then_call")))
    call = model_call(
        user("Hi"), *items, function_output(items[1].body["call_id"]), reasoning={"context": "current_turn"}
    )

    assert b"EqoBCkgIARABGAIiQA==" in Bedrock().encode(call).body


def test_reasoning_that_led_to_nothing() -> None:
    """Reasoning behind which the user speaks is left out: no message of the assistant's has it."""
    items, _ = outcome(stream(*frames_of("reasoning_then_call")))

    messages = orjson.loads(Bedrock().encode(model_call(user("Hi"), items[0], user("Ho"))).body)["messages"]

    assert messages == [{"role": "user", "content": [{"text": "Hi"}, {"text": "Ho"}]}]


def test_ids_of_calls_are_ours() -> None:
    """A call that came from the upstream goes back under the id that the client knows."""
    items, _ = outcome(stream(*frames_of("call")))

    assert blocks_of(sent_back(items))[0]["toolUse"]["toolUseId"] == items[0].body["call_id"]


# The transcripts themselves.


@pytest.fixture(scope="module")
def service() -> Any:
    """Amazon's own description of the service."""
    return botocore.session.Session().get_service_model("bedrock-runtime")


def complaints(body: Any, shape: Any) -> list[str]:
    """What botocore has against a value; unknown fields, padding among them, are no matter."""
    report: str = ParamValidator().validate(body, shape).generate_report()
    return [line for line in report.splitlines() if not line.startswith("Unknown parameter")]


def transcripts(form: str) -> list[Path]:
    """All transcripts of a form, but the one that is about what nobody describes."""
    return [path for path in sorted(TRANSCRIPTS.glob(f"*.{form}")) if path.stem != "unknown"]


@pytest.mark.parametrize("path", transcripts("jsonl"), ids=lambda path: path.stem)
def test_streams_are_what_amazon_describes(path: Path, service: Any) -> None:
    """Our transcripts of streams hold the events of Amazon's description, each field of its type."""
    events = service.operation_model("ConverseStream").output_shape.members["stream"].members

    for line in path.read_bytes().splitlines():
        entry = orjson.loads(line)
        assert complaints(entry["body"], events[entry.get("event") or entry["exception"]]) == []


@pytest.mark.parametrize("path", transcripts("json"), ids=lambda path: path.stem)
def test_bodies_are_what_amazon_describes(path: Path, service: Any) -> None:
    """Our transcripts of whole replies are those of Amazon's description, each field of its type."""
    shape = service.operation_model("Converse").output_shape

    assert complaints(orjson.loads(path.read_bytes()), shape) == []
