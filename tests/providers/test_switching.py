"""A conversation that was begun on one upstream goes on at every other one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from antiphon.hub.errors import UnsupportedParameter
from antiphon.hub.events import ReplyEnd
from antiphon.hub.handover import COMMON_TYPES
from antiphon.hub.items import CALL_TYPES, OUTPUT_TYPES, Item, JsonObject, is_cut_off_call
from antiphon.hub.turn import ModelCall
from antiphon.streams.accumulator import Accumulator
from tests.providers.kit.calls import item, model_call, user
from tests.providers.kit.dialects import DIALECTS, Transcript, transcripts_of
from tests.providers.kit.history import EVERY_TYPE, answer_to

# What is private to a provider and means nothing to anybody else.
_SEALS = frozenset({"signature", "thoughtSignature", "encrypted_content", "redacted", "data", "id"})
_PAIRS = [(maker, other) for maker in DIALECTS for other in DIALECTS]


def said_in(transcript: Transcript) -> list[Item]:
    """What of a recorded reply stands in the history of the next turn, with an answer to each call."""
    accumulator = Accumulator()
    accumulator.feed([event for event in transcript.events if not isinstance(event, ReplyEnd)])
    said = [item for item in accumulator.items() if not is_cut_off_call(item.body)]
    answered = {item.body.get("call_id") for item in said if item.type in OUTPUT_TYPES}
    unanswered = [item for item in said if item.type in CALL_TYPES and item.body["call_id"] not in answered]
    return [*said, *(answer_to(item) for item in unanswered)]


def continued(history: list[Item]) -> ModelCall:
    call = model_call(user("Hi"), *history, user("And now?"), input_start=len(history) + 1)
    return ModelCall(**{name: getattr(call, name) for name in call.__struct_fields__} | {"account": "elsewhere"})


def sent(dialect: str, call: ModelCall) -> tuple[bytes, tuple[str, ...]]:
    """The body with every text in it spelled as JSON spells it, and what was not applied."""
    request = DIALECTS[dialect].provider.encode(call)
    return request.body, request.not_applied


@pytest.mark.parametrize(("maker", "other"), _PAIRS, ids=["-".join(pair) for pair in _PAIRS])
def test_a_conversation_goes_on_elsewhere(maker: str, other: str) -> None:
    """No recorded reply of one dialect is refused by another; its texts go up, what was sealed in it does not."""
    for transcript in transcripts_of(maker):
        history = said_in(transcript)

        body, _ = sent(other, continued(history))

        assert [text for text in texts(history) if orjson.dumps(text)[1:-1] not in unescaped(body)] == []
        assert [seal for seal in seals(history) if orjson.dumps(seal)[1:-1] in body] == []


def unescaped(body: bytes) -> bytes:
    """A body in the one spelling that this test compares."""
    return orjson.dumps(orjson.loads(body))


def texts(history: list[Item]) -> Iterator[str]:
    """What the assistant said, and how it called its functions; empty texts need not go up."""
    for one in history:
        if one.type == "message":
            yield from (said for part in one.body["content"] if (said := part.get("text", "").strip()))
        elif one.type in ("function_call", "mcp_call"):
            yield one.body["name"]


def seals(history: list[Item]) -> Iterator[str]:
    for one in history:
        if one.private is not None:
            yield from _sealed(one.private.data)


def _sealed(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for entry in value:
            yield from _sealed(entry)
    elif isinstance(value, dict):
        for name, entry in value.items():
            if name in _SEALS and isinstance(entry, str):
                yield entry
            else:
                yield from _sealed(entry)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_type_of_item_in_the_history_is_no_error(dialect: str) -> None:
    """A history of all types of items that clients and upstreams have goes up, and what is left out is reported."""
    body, not_applied = sent(dialect, continued(EVERY_TYPE))

    assert b"ls -l" in body
    left_out = {name for name in not_applied if name.startswith("history.")}
    if dialect == "openai_responses":
        assert left_out == set()
    else:
        assert {"history.web_search_call", "history.holograph"} <= left_out


# Outputs alone are refused because they have no call.
UNSAYABLE = [one for one in EVERY_TYPE if one.type not in COMMON_TYPES and one.type not in OUTPUT_TYPES]


@pytest.mark.parametrize("dialect", [name for name in DIALECTS if name != "openai_responses"])
@pytest.mark.parametrize("one", UNSAYABLE, ids=[one.type for one in UNSAYABLE])
def test_what_a_client_sends_now_is_refused_by_its_place(dialect: str, one: Item) -> None:
    """An item of the turn's own input that has no words is refused by name; nothing of it is told or left out."""
    with pytest.raises(UnsupportedParameter) as refused:
        sent(dialect, model_call(user("Hi"), user("Ho"), one, input_start=1))

    assert refused.value.param == "input[1]"
    assert one.type in refused.value.message


@pytest.mark.parametrize("dialect", DIALECTS)
def test_places_in_the_input_are_still_the_clients(dialect: str) -> None:
    """What is told of the history, in more items or fewer, moves no place in the client's input."""
    history = [item("holograph"), item("mcp_call", item_id="mcp_1", name="find", arguments="{}", output="x")]
    call = model_call(*history, user("Hi"), user({"type": "input_video"}), input_start=2)

    if dialect == "openai_responses":
        assert len(orjson.loads(sent(dialect, call)[0])["input"]) == 4
        return
    with pytest.raises(UnsupportedParameter) as refused:
        sent(dialect, call)
    assert refused.value.param == "input[1].content[0]"


def test_an_answer_to_a_call_that_was_told() -> None:
    """The output that a client gives now to a call of the history goes up as the output of the call that was told."""
    call = item("shell_call", call_id="call_1", action={"commands": ["ls -l"]}, status="completed")
    output = item("shell_call_output", call_id="call_1", output=[{"stdout": "a.txt"}])

    body: JsonObject = orjson.loads(sent("openai_chat", model_call(user("Hi"), call, output, input_start=2))[0])

    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "shell", "arguments": '{"action":{"commands":["ls -l"]}}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": '[{"stdout":"a.txt"}]'},
    ]
