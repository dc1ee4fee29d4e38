"""Defects that bridges from the Responses API to chat are known for, one test for each that a request can have."""

from __future__ import annotations

import pytest

from antiphon.hub.errors import UnsupportedParameter
from antiphon.hub.items import JsonObject
from antiphon.providers.openai_chat import Quirks
from tests.providers.chat_calls import (
    assistant,
    encode,
    encoded_body,
    encoded_messages,
    function_call,
    function_output,
    function_tool,
    item,
    model_call,
    reasoning,
    user,
)


def test_defect_json_schema_is_lost() -> None:
    """The flat ``text.format`` arrives nested, with name, schema, strict and description."""
    schema: JsonObject = {"type": "object", "properties": {"a": {"type": "string"}}}
    text_format = {"type": "json_schema", "name": "n", "description": "d", "schema": schema, "strict": True}
    body = encoded_body(model_call(text={"format": text_format, "verbosity": "medium"}))
    expected = {"name": "n", "description": "d", "schema": schema, "strict": True}
    assert body["response_format"] == {"type": "json_schema", "json_schema": expected}


def test_defect_function_calls_are_no_input() -> None:
    """A client that keeps its own history may send a function call back."""
    messages = encoded_messages(user("Go"), function_call("c1", "f", '{"a":1}'), function_output("c1", "2"))
    assert messages[1]["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a":1}'}


def test_defect_reasoning_is_no_input() -> None:
    """A client that keeps its own history may send reasoning back."""
    messages = encoded_messages(user("Go"), reasoning("hm"), function_call("c1"), function_output("c1"))
    assert messages[1]["reasoning_content"] == "hm"


def test_defect_assistant_output_parts_are_no_input() -> None:
    """A replayed answer keeps its text, whatever else its part carries."""
    part = {"type": "output_text", "text": "Hi Ada.", "annotations": [], "logprobs": []}
    assert encoded_messages(assistant(part)) == [{"role": "assistant", "content": "Hi Ada."}]


def test_defect_input_files_are_dropped() -> None:
    """A file arrives where it can, and is refused by name where it cannot."""
    call = model_call(user("Read", {"type": "input_file", "file_data": "data:text/plain;base64,QQ=="}))
    with pytest.raises(UnsupportedParameter) as caught:
        encode(call)
    assert caught.value.param == "input[0].content[1]"
    parts = encoded_body(call, Quirks(files=True))["messages"][0]["content"]
    assert parts[1] == {"type": "file", "file": {"file_data": "data:text/plain;base64,QQ=="}}


def test_defect_hosted_tool_items_are_dropped() -> None:
    """An item that chat has no words for is an error, not a hole in the history."""
    with pytest.raises(UnsupportedParameter) as caught:
        encode(model_call(user("a"), item("mcp_call"), user("b")))
    assert caught.value.param == "input[1]"


def test_defect_tools_are_sent_with_choice_none() -> None:
    """A server that shows the model tools which it must not use is not shown them."""
    body = encoded_body(model_call(tools=(function_tool("f"),), tool_choice="none"))
    assert not {"tools", "tool_choice"} & body.keys()


def test_defect_a_named_choice_is_taken_for_auto() -> None:
    """A server that does not know named choices still has the model call that tool."""
    tools = (function_tool("f"), function_tool("g"))
    body = encoded_body(model_call(tools=tools, tool_choice={"type": "function", "name": "g"}))
    assert ([tool["function"]["name"] for tool in body["tools"]], body["tool_choice"]) == (["g"], "required")


def test_defect_parallel_calls_become_one_message_each() -> None:
    """Two calls of one step are one assistant message, or the second has no output behind it."""
    calls = [function_call("c1"), function_call("c2"), function_output("c1"), function_output("c2")]
    roles = [entry["role"] for entry in encoded_messages(user("Go"), *calls)]
    assert roles == ["user", "assistant", "tool", "tool"]


def test_defect_null_keys_are_replayed() -> None:
    """Keys that are null in an item or a tool are not sent: strict servers refuse them."""
    message = item(
        "message",
        role="user",
        status=None,
        phase=None,
        content=[
            {"type": "input_text", "text": "x"},
            {"type": "input_image", "image_url": "data:,", "detail": None, "file_id": None},
        ],
    )
    tool = function_tool("f", description=None, parameters=None, strict=None, output_schema=None, defer_loading=None)
    assert b"null" not in encode(model_call(message, tools=(tool,))).body


def test_defect_upstream_gets_our_item_ids() -> None:
    """Ids of items stay inside; only a call's id goes up."""
    call = model_call(user("Go"), function_call("c1"), function_output("c1"))
    assert (b"item_1" in encode(call).body, b"c1" in encode(call).body) == (False, True)


def test_defect_metadata_goes_to_the_upstream() -> None:
    """What a client keeps with a response is not the upstream's business."""
    assert "metadata" not in encoded_body(model_call(metadata={"customer": "42"}))
