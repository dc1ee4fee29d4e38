"""A history of every type of item that there is, as a store may give it."""

from __future__ import annotations

from antiphon.hub.items import CALL_TYPES, Item, JsonObject
from tests.providers.kit.calls import assistant, function_call, item, reasoning, user

__all__ = ["EVERY_TYPE", "answer_to"]

_COMMANDS: JsonObject = {"commands": ["ls -l"], "timeout_ms": None}
_PATCH: JsonObject = {"type": "update_file", "path": "a.txt", "diff": "@@"}
_OUTPUTS: dict[str, JsonObject] = {
    "function_call": {"output": "done"},
    "custom_tool_call": {"output": "done"},
    "shell_call": {"output": [{"stdout": "a.txt", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}]},
    "local_shell_call": {"output": '{"stdout":"a.txt"}'},
    "apply_patch_call": {"status": "completed"},
    "computer_call": {"output": {"type": "computer_screenshot", "image_url": "data:image/png;base64,iVBORw0K"}},
}


def answer_to(call: Item) -> Item:
    """What a client's tool gave for a call."""
    fields = _OUTPUTS[call.type]
    return item(CALL_TYPES[call.type], item_id=f"{call.id}_answer", call_id=call.body["call_id"], **fields)


_CALLS = (
    function_call("call_f"),
    item("custom_tool_call", item_id="ctc_1", call_id="call_c", name="patch", input="*** begin"),
    item("shell_call", item_id="sh_1", call_id="call_s", action=_COMMANDS, status="completed"),
    item("local_shell_call", item_id="lsh_1", call_id="call_l", action={"type": "exec", "command": ["ls", "-l"]}),
    item("apply_patch_call", item_id="apc_1", call_id="call_p", operation=_PATCH, status="completed"),
    item("computer_call", item_id="cu_1", call_id="call_u", action={"type": "screenshot"}, pending_safety_checks=[]),
)

EVERY_TYPE = [
    user("Hi"),
    item("additional_tools", item_id="at_1", role="developer", tools=[]),
    reasoning("Hm."),
    *(entry for call in _CALLS for entry in (call, answer_to(call))),
    item("mcp_list_tools", item_id="mcpl_1", server_label="s", tools=[]),
    item("mcp_approval_request", item_id="mcpr_1", server_label="s", name="find", arguments="{}"),
    item("mcp_approval_response", item_id="mcpa_1", approval_request_id="mcpr_1", approve=True),
    item("mcp_call", item_id="mcp_1", server_label="s", name="find.it", arguments='{"q":"x"}', output="Found."),
    item(
        "code_interpreter_call", item_id="ci_1", code="1+1", container_id="c", outputs=[{"type": "logs", "logs": "2"}]
    ),
    item("file_search_call", item_id="fs_1", queries=["x"], results=[{"filename": "a.txt", "text": "y"}]),
    item("image_generation_call", item_id="ig_1", result="iVBORw0K", revised_prompt="A cat."),
    item("web_search_call", item_id="ws_1", status="completed", action={"type": "search", "query": "x"}),
    item("tool_search_call", item_id="ts_1", call_id=None, arguments={}, status="completed"),
    item("tool_search_output", item_id="tso_1", call_id=None, tools=[], status="completed"),
    item("program", item_id="pr_1", call_id="call_pr", code="1", fingerprint="f"),
    item("program_output", item_id="pro_1", call_id="call_pr", result="1", status="completed"),
    item("compaction", item_id="cmp_1", encrypted_content="x"),
    item("compaction_trigger", item_id="ct_1"),
    item("configuration_update", item_id="cu_2", reasoning={}),
    item("item_reference", item_id="msg_9"),
    item("holograph", item_id="holo_1", data="x"),
    assistant("Hello."),
]
