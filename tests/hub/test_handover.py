"""A history that others began: what is told of it, what is left out, and that nothing else is touched."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from antiphon.formats.responses.items import ITEM_TYPES
from antiphon.hub.handover import COMMON_TYPES, LEFT_OUT, TOLD, hand_over, known_parts
from antiphon.hub.items import CALL_TYPES, OUTPUT_TYPES, Item, JsonObject
from antiphon.hub.spot import Spot
from antiphon.hub.turn import ModelCall
from tests.providers.kit.calls import assistant, item, model_call, user
from tests.providers.kit.history import EVERY_TYPE, answer_to

PAGE = Path(__file__).parents[2] / "docs" / "providers" / "README.md"


def of_history(*items: Item) -> ModelCall:
    return model_call(*items, user("Ho"), input_start=len(items))


def told(*items: Item) -> list[JsonObject]:
    """What becomes of a history, without its ids."""
    call = hand_over(of_history(*items)).call
    return [{name: value for name, value in one.body.items() if name != "id"} for one in call.items[:-1]]


def calling(name: str, arguments: JsonObject, call_id: str) -> JsonObject:
    return {
        "type": "function_call",
        "status": "completed",
        "call_id": call_id,
        "name": name,
        "arguments": orjson.dumps(arguments).decode(),
    }


def giving(output: str, call_id: str) -> JsonObject:
    return {"type": "function_call_output", "call_id": call_id, "output": output}


SHELL = item("shell_call", call_id="c", action={"commands": ["ls"]}, status="completed")
SCREEN = item("computer_call", call_id="c", actions=[{"type": "wait"}], pending_safety_checks=[], status="completed")
PATCH = item("apply_patch_call", call_id="c", operation={"type": "delete_file", "path": "a"}, status="completed")
SAID = "(What it gave was not kept.)"
PICTURE = "(A picture, which cannot be shown here.)"

# The client's own tools: the call, its output, and the name, the arguments and the words that they become.
CLIENTS: dict[str, tuple[Item, JsonObject, str, JsonObject, str]] = {
    "a shell": (SHELL, {"output": [{"stdout": "a"}]}, "shell", {"action": {"commands": ["ls"]}}, '[{"stdout":"a"}]'),
    "a screen": (
        SCREEN,
        {"output": {"type": "computer_screenshot", "image_url": "data:,"}},
        "computer",
        {"actions": [{"type": "wait"}]},
        PICTURE,
    ),
    "a patch that says something": (
        PATCH,
        {"output": "ok"},
        "apply_patch",
        {"operation": PATCH.body["operation"]},
        "ok",
    ),
    "a patch that says nothing": (
        PATCH,
        {"status": "failed"},
        "apply_patch",
        {"operation": PATCH.body["operation"]},
        "failed",
    ),
}


@pytest.mark.parametrize(("call", "given", "name", "arguments", "words"), CLIENTS.values(), ids=CLIENTS)
def test_tools_of_the_client_are_told_as_functions(
    call: Item, given: JsonObject, name: str, arguments: JsonObject, words: str
) -> None:
    """A call of a tool that the client runs, and its output, become those of a function under the same call_id."""
    output = item(CALL_TYPES[call.type], item_id="item_2", call_id="c", **given)

    assert told(call, output) == [calling(name, arguments, "c"), giving(words, "c")]


# What upstreams ran themselves: the name, the arguments and the words that it becomes.
HOSTED: dict[str, tuple[JsonObject, str, JsonObject, str]] = {
    "MCP": ({"type": "mcp_call", "name": "a.b c", "arguments": "{}", "output": "x"}, "a_b_c", {}, "x"),
    "MCP that failed": (
        {"type": "mcp_call", "name": "t", "arguments": "{}", "output": None, "error": {"code": 1}},
        "t",
        {},
        'Error: {"code":1}',
    ),
    "MCP without an output": ({"type": "mcp_call", "name": "t", "arguments": "{}"}, "t", {}, SAID),
    "code": (
        {
            "type": "code_interpreter_call",
            "code": "1",
            "outputs": [{"type": "logs", "logs": "a"}, {"type": "image", "url": "u"}, "odd"],
        },
        "code_interpreter",
        {"code": "1"},
        f"a\n{PICTURE}\nodd",
    ),
    "code whose outputs were not kept": (
        {"type": "code_interpreter_call", "code": "1", "outputs": None},
        "code_interpreter",
        {"code": "1"},
        SAID,
    ),
    "a search of files": (
        {"type": "file_search_call", "queries": ["q"], "results": [{"text": "y"}]},
        "file_search",
        {"queries": ["q"]},
        '[{"text":"y"}]',
    ),
    "a picture": (
        {"type": "image_generation_call", "revised_prompt": "A cat.", "result": "iVBORw0K"},
        "image_generation",
        {"revised_prompt": "A cat."},
        PICTURE,
    ),
}


@pytest.mark.parametrize(("body", "name", "arguments", "words"), HOSTED.values(), ids=HOSTED)
def test_what_an_upstream_ran_is_told_as_a_function(
    body: JsonObject, name: str, arguments: JsonObject, words: str
) -> None:
    """What a tool of another upstream was asked and gave becomes a function's call and output, with one call_id."""
    first, second = told(Item(SHELL.id, body["type"], {"id": "i", **body}))

    call_id = first["call_id"]
    assert [first, second] == [calling(name, arguments, call_id), giving(words, call_id)]


def test_told_calls_have_ids_of_their_own() -> None:
    """Two told calls differ in their call_id, which is the same in every later turn, and in nothing a client's id."""
    items = [item("mcp_call", item_id=f"mcp_{n}", name="t", arguments="{}", output="x") for n in range(2)]

    ids = [one["call_id"] for one in told(*items)]

    assert ids[0] == ids[1] != ids[2] == ids[3]
    assert ids == [one["call_id"] for one in told(*items)]
    assert len({one.id for one in hand_over(of_history(*items)).call.items}) == 5


@pytest.mark.parametrize("kind", [*LEFT_OUT, "holograph"])
def test_what_says_nothing_is_left_out_and_reported(kind: str) -> None:
    """Items that only their maker understands are left out of the history, and named once."""
    handed = hand_over(of_history(item(kind), item(kind), assistant("Hello.")))

    assert [one.type for one in handed.call.items] == ["message", "message"]
    assert (handed.call.input_start, handed.not_applied) == (1, (f"history.{kind}",))


def test_a_search_of_files_without_results_is_left_out() -> None:
    """A search whose results were not kept says nothing."""
    assert told(item("file_search_call", queries=["q"], results=None)) == []


def test_a_history_of_plain_items_is_the_same_object() -> None:
    """Where there is nothing to hand over, nothing is made anew."""
    call = of_history(assistant("Hello."))

    assert hand_over(call).call is call


def test_the_input_is_not_touched() -> None:
    """What the client sends now stays as it is, whatever it is."""
    call = model_call(item("mcp_call"), item("holograph"), input_start=0)

    assert hand_over(call).call.items == call.items


def test_an_input_whose_beginning_was_left_out() -> None:
    """Where the context begins within the input, there is no history, and places stay the client's."""
    call = model_call(item("holograph"), user("Hi"), input_start=-3)

    assert (hand_over(call).call.items, hand_over(call).call.input_start) == (call.items, -3)


def test_a_dialect_carries_what_it_can() -> None:
    """Items that a dialect has words for are not told."""
    mine, others = item("mcp_call", item_id="a", name="t"), item("mcp_call", item_id="b", name="t", output="x")

    handed = hand_over(of_history(mine, others, SHELL), COMMON_TYPES | {"shell_call"}, carries=lambda one: one is mine)

    assert [one.type for one in handed.call.items] == [
        *("mcp_call", "function_call", "function_call_output", "shell_call", "message")
    ]


def test_parts_that_only_their_maker_has_words_for() -> None:
    """An older message of the assistant loses parts of unknown kinds; one of the input keeps them, to be refused."""
    content: list[JsonObject] = [{"type": "output_text", "text": "a"}, {"type": "output_audio"}]
    said = assistant(*content)

    assert known_parts(content, Spot(said, 0, 1)) == content[:1]
    assert known_parts(content, Spot(said, 1, 1)) == content


def test_every_type_of_item_is_accounted_for() -> None:
    """Each type that clients may send is carried by everybody, told, or left out; the kit's history has them all."""
    known = {*COMMON_TYPES, *TOLD, *LEFT_OUT, *OUTPUT_TYPES}

    assert set(ITEM_TYPES) <= known
    assert known <= {one.type for one in EVERY_TYPE}
    assert set(CALL_TYPES) <= {*TOLD, *COMMON_TYPES}
    assert answer_to(SHELL).type == "shell_call_output"


def test_the_page_has_the_table() -> None:
    """The page shows what is told, and as which function, and what is left out, as the code has it."""
    page = PAGE.read_text(encoding="utf-8")

    rows = {
        line.split("|")[1].strip(" `"): line.split("|")[2].strip(" `") for line in page.splitlines() if "| `" in line
    }
    expected = {kind: name or "its own name" for kind, name in TOLD.items()} | dict.fromkeys(LEFT_OUT, "left out")
    assert {kind: rows.get(kind) for kind in expected} == expected
