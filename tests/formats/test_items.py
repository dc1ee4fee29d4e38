"""Input items of every type: what is accepted, in what full form, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from antiphon.formats.responses import ResponsesFormat
from antiphon.formats.responses.items import ITEM_TYPES
from antiphon.hub.errors import InvalidRequest

FORMAT = ResponsesFormat()
TEXT = {"type": "input_text", "text": "x"}
SPOKEN = {"type": "output_text", "text": "x", "annotations": [], "logprobs": []}

# Items in their full form: they come back as they are.
FULL: list[dict[str, Any]] = [
    {"type": "message", "role": "user", "status": "completed", "content": [TEXT]},
    {"id": "msg_1", "type": "message", "role": "assistant", "status": "incomplete", "content": [SPOKEN]},
    {"type": "additional_tools", "role": "developer", "tools": [{"type": "apply_patch"}]},
    {
        "type": "apply_patch_call",
        "call_id": "call_1",
        "operation": {"type": "create_file", "path": "a", "diff": "+"},
        "status": "completed",
    },
    {"type": "apply_patch_call_output", "call_id": "call_1", "status": "failed", "output": "no"},
    {
        "id": "ci_1",
        "type": "code_interpreter_call",
        "code": None,
        "container_id": "cntr_1",
        "outputs": None,
        "status": "completed",
    },
    {"id": "cmp_1", "type": "compaction", "encrypted_content": "gAAA"},
    {
        "id": "cu_1",
        "type": "computer_call",
        "call_id": "call_1",
        "action": {"type": "screenshot"},
        "pending_safety_checks": [],
        "status": "completed",
    },
    {
        "type": "computer_call_output",
        "call_id": "call_1",
        "output": {"type": "computer_screenshot", "image_url": "https://x.example/a.png"},
        "status": "completed",
    },
    {"type": "configuration_update", "reasoning": {"effort": "low"}},
    {"id": "ctc_1", "type": "custom_tool_call", "call_id": "call_1", "name": "c", "input": "x", "status": "completed"},
    {"type": "custom_tool_call_output", "call_id": "call_1", "output": "x", "status": "completed"},
    {"id": "fs_1", "type": "file_search_call", "queries": ["q"], "results": None, "status": "completed"},
    {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}", "status": "completed"},
    {"type": "function_call_output", "call_id": "call_1", "output": "x", "status": "completed"},
    {"type": "function_call_output", "call_id": "call_1", "output": [TEXT], "status": "completed"},
    {"id": "ig_1", "type": "image_generation_call", "result": None, "status": "generating"},
    {"type": "item_reference", "id": "msg_1"},
    {
        "id": "lsh_1",
        "type": "local_shell_call",
        "call_id": "call_1",
        "action": {"type": "exec", "command": ["ls"], "env": {}},
        "status": "completed",
    },
    {"type": "local_shell_call_output", "call_id": "call_1", "output": "x", "status": "completed"},
    {"id": "mcpr_1", "type": "mcp_approval_request", "server_label": "s", "name": "n", "arguments": "{}"},
    {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True, "reason": "r"},
    {
        "id": "mcp_1",
        "type": "mcp_call",
        "server_label": "s",
        "name": "n",
        "arguments": "{}",
        "output": "x",
        "status": "completed",
    },
    {"id": "mcpl_1", "type": "mcp_list_tools", "server_label": "s", "tools": [{"name": "n", "input_schema": {}}]},
    {"id": "p_1", "type": "program", "call_id": "call_1", "code": "1", "fingerprint": "f"},
    {"id": "p_2", "type": "program_output", "call_id": "call_1", "result": "1", "status": "completed"},
    {
        "id": "rs_1",
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "s"}],
        "content": [{"type": "reasoning_text", "text": "r"}],
        "encrypted_content": "gAAA",
    },
    {"type": "shell_call", "call_id": "call_1", "action": {"commands": ["ls"], "timeout_ms": 5}, "status": "completed"},
    {
        "type": "shell_call_output",
        "call_id": "call_1",
        "output": [{"stdout": "", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}],
        "status": "completed",
    },
    {
        "type": "tool_search_call",
        "call_id": None,
        "execution": "client",
        "arguments": {"queries": ["q"]},
        "status": "completed",
    },
    {"type": "tool_search_output", "call_id": "call_1", "execution": "client", "tools": [], "status": "completed"},
    {"id": "ws_1", "type": "web_search_call", "action": {"type": "search", "query": "q"}, "status": "completed"},
]


def decoded(item: Any) -> Any:
    """The item as the turn's request has it."""
    return FORMAT.decode({"model": "m", "input": [item]}).input[0]


@pytest.mark.parametrize("item", FULL, ids=[f"{i}-{item['type']}" for i, item in enumerate(FULL)])
def test_a_full_item_comes_back_as_it_is(item: dict[str, Any]) -> None:
    """Nothing is added, dropped or reordered."""
    assert item == decoded(item)
    assert list(item) == list(decoded(item))


def test_the_items_above_leave_no_type_out() -> None:
    """Every type that an error message lists is accepted (a trigger for compaction is refused for another reason)."""
    assert {item["type"] for item in FULL} | {"compaction_trigger"} == set(ITEM_TYPES)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({"role": "user", "content": "x"}, [TEXT]),
        ({"role": "system", "content": "x"}, [TEXT]),
        ({"role": "developer", "content": "x"}, [TEXT]),
        ({"role": "assistant", "content": "x"}, [SPOKEN]),
        ({"type": "message", "role": "user", "content": "x"}, [TEXT]),
        ({"role": "assistant", "content": [{"type": "output_text", "text": "x"}]}, [SPOKEN]),
        (
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
            [{"type": "refusal", "refusal": "no"}],
        ),
        (
            {"role": "user", "content": [{"type": "input_image", "image_url": "u", "file_id": None}]},
            [{"type": "input_image", "detail": "auto", "image_url": "u"}],
        ),
        (
            {"role": "user", "content": [{"type": "input_file", "file_data": "d", "filename": "n", "new": 1}]},
            [{"type": "input_file", "filename": "n", "file_data": "d", "new": 1}],
        ),
        ({"role": "user", "content": []}, []),
    ],
    ids=str,
)
def test_an_easy_message_becomes_a_full_one(sent: dict[str, Any], expected: list[dict[str, Any]]) -> None:
    """Type, status and parts are filled in; an id is not made up."""
    assert {"type": "message", "role": sent["role"], "status": "completed", "content": expected} == decoded(sent)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({"id": "msg_1"}, {"type": "item_reference", "id": "msg_1"}),
        ({"id": "msg_1", "type": None}, {"type": "item_reference", "id": "msg_1"}),
        (
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": None, "status": None},
            {"id": "rs_1", "type": "reasoning", "summary": []},
        ),
        (
            {"type": "message", "id": None, "role": "assistant", "content": "x", "phase": None, "status": None},
            {"type": "message", "role": "assistant", "status": "completed", "content": [SPOKEN]},
        ),
        (
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "", "namespace": "n", "later": [None]},
            {
                "type": "function_call",
                "call_id": "c",
                "name": "f",
                "arguments": "",
                "status": "completed",
                "namespace": "n",
                "later": [None],
            },
        ),
        (
            {"type": "local_shell_call_output", "id": "call_1", "output": "x"},
            {"type": "local_shell_call_output", "call_id": "call_1", "output": "x", "status": "completed"},
        ),
        (
            {"type": "tool_search_call", "arguments": {"a": None}},
            {"type": "tool_search_call", "arguments": {"a": None}, "status": "completed"},
        ),
    ],
    ids=[
        "reference",
        "reference-null-type",
        "reasoning",
        "nulls",
        "unknown-fields-stay",
        "shell-id",
        "free-nulls-stay",
    ],
)
def test_an_item_is_brought_to_its_full_form(sent: dict[str, Any], expected: dict[str, Any]) -> None:
    """Null keys go, unknown ones stay, statuses are filled in."""
    assert expected == decoded(sent)


@pytest.mark.parametrize(
    ("item", "param", "code"),
    [
        ({"type": 7, "role": "user", "content": "x"}, "input[0]", "invalid_value"),
        ({"type": "message", "content": "x"}, "input[0]", "invalid_value"),
        ({"role": "user", "content": "x", "status": "done"}, "input[0].status", "invalid_value"),
        ({"role": "user", "content": ["x"]}, "input[0].content[0]", "invalid_type"),
        ({"role": "user", "content": [{}]}, "input[0].content[0].type", "missing_required_parameter"),
        (
            {"role": "user", "content": [{"type": "input_file"}]},
            "input[0].content[0].file_data",
            "missing_required_parameter",
        ),
        (
            {"role": "user", "content": [{"type": "input_image", "file_id": "f", "detail": "x"}]},
            "input[0].content[0].detail",
            "invalid_value",
        ),
        ({"id": ""}, "input[0].id", "empty_string"),
        ({"id": 7}, "input[0].id", "invalid_type"),
        ({"type": "item_reference"}, "input[0].id", "missing_required_parameter"),
        ({"type": "function_call", "call_id": "c", "name": "f"}, "input[0].arguments", "missing_required_parameter"),
        ({"type": "function_call", "call_id": "c", "name": "f", "arguments": {}}, "input[0].arguments", "invalid_type"),
        ({"type": "function_call_output", "output": "x"}, "input[0].call_id", "missing_required_parameter"),
        ({"type": "function_call_output", "call_id": "c"}, "input[0].output", "missing_required_parameter"),
        (
            {"type": "function_call_output", "call_id": "c", "output": [{"type": "output_text", "text": "x"}]},
            "input[0].output[0]",
            "invalid_value",
        ),
        ({"type": "custom_tool_call", "call_id": "c", "name": "f"}, "input[0].input", "missing_required_parameter"),
        ({"type": "reasoning", "id": "rs_1"}, "input[0].summary", "missing_required_parameter"),
        ({"type": "reasoning", "summary": [{"type": "x"}]}, "input[0].summary[0].type", "invalid_value"),
        ({"type": "compaction"}, "input[0].encrypted_content", "missing_required_parameter"),
        ({"type": "apply_patch_call", "call_id": "c"}, "input[0].operation", "missing_required_parameter"),
        (
            {"type": "apply_patch_call", "call_id": "c", "operation": {"type": "update_file", "path": "p"}},
            "input[0].operation.diff",
            "missing_required_parameter",
        ),
        ({"type": "apply_patch_call_output", "call_id": "c", "status": "done"}, "input[0].status", "invalid_value"),
        (
            {"type": "shell_call", "call_id": "c", "action": {}},
            "input[0].action.commands",
            "missing_required_parameter",
        ),
        (
            {"type": "shell_call", "call_id": "c", "action": {"commands": [1]}},
            "input[0].action.commands[0]",
            "invalid_type",
        ),
        (
            {"type": "shell_call_output", "call_id": "c", "output": [{"stdout": "", "stderr": ""}]},
            "input[0].output[0].outcome",
            "missing_required_parameter",
        ),
        ({"type": "local_shell_call_output", "output": "x"}, "input[0].call_id", "missing_required_parameter"),
        (
            {"type": "mcp_approval_response", "approval_request_id": "m"},
            "input[0].approve",
            "missing_required_parameter",
        ),
        ({"type": "mcp_call", "server_label": "s", "name": "n"}, "input[0].arguments", "missing_required_parameter"),
        ({"type": "web_search_call", "status": "interpreting"}, "input[0].status", "invalid_value"),
        ({"type": "file_search_call", "queries": "q"}, "input[0].queries", "invalid_type"),
        (
            {"type": "computer_call_output", "call_id": "c", "output": {"type": "x"}},
            "input[0].output.type",
            "invalid_value",
        ),
        ({"type": "code_interpreter_call"}, "input[0].container_id", "missing_required_parameter"),
    ],
    ids=str,
)
def test_a_wrong_item_is_named(item: dict[str, Any], param: str, code: str) -> None:
    """The path leads to the field at fault."""
    with pytest.raises(InvalidRequest) as caught:
        decoded(item)

    assert (param, code) == (caught.value.param, caught.value.code)


def test_the_path_counts_items_and_parts() -> None:
    """The second part of the third item is called just that."""
    good = {"role": "user", "content": "x"}
    bad = {"role": "user", "content": [TEXT, {"type": "input_text", "text": 7}]}

    with pytest.raises(InvalidRequest) as caught:
        FORMAT.decode({"model": "m", "input": [good, good, bad]})

    assert caught.value.param == "input[2].content[1].text"
