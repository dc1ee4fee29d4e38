"""
Input items: one schema per item type, and what is done for all of them.

Items come back in their full form: an easy message has become a ``message`` with parts, statuses are filled in, null
keys are gone. Fields that this version does not know ride along: clients send back what other servers gave them. Item
types that it does not know are refused by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from antiphon.formats.checks.common import MAX_TEXT
from antiphon.formats.checks.flaw import invalid_type, invalid_value, missing
from antiphon.formats.checks.schema import (
    Anything,
    Arr,
    Bool,
    ByType,
    Enum,
    Field,
    Obj,
    Schema,
    Str,
    Tagged,
)
from antiphon.formats.responses.content import ASSISTANT_CONTENT, INPUT_CONTENT, TOOL_OUTPUT
from antiphon.formats.responses.tools import TOOLS
from antiphon.hub.errors import DuplicateItem
from antiphon.hub.items import JsonObject

__all__ = ["ITEM", "ITEM_TYPES", "check_item_ids"]

_MAX_ID = 64
_MAX_BLOB = 20_971_520

_ID = Field(schema=Str(min_length=1, max_length=_MAX_ID, pattern="^[a-zA-Z0-9_-]+$"))
_CALL_ID = Str(min_length=1, max_length=64)
_STATUS = Enum(("in_progress", "completed", "incomplete"))
_FREE_OBJECT = Obj(fields={}, extra="keep")
_FREE_OBJECTS = Arr(item=_FREE_OBJECT, expected="an array of objects")
_STRINGS = Arr(item=Str(), expected="an array of strings")


def _need(schema: Schema) -> Field:
    return Field(schema=schema, required=True)


def _may(schema: Schema) -> Field:
    return Field(schema=schema)


def _item(tag: str, **fields: Field) -> Obj:
    return Obj(fields={"id": _ID, "type": _need(Enum((tag,))), **fields}, extra="keep")


def _part(tag: str, **fields: Schema) -> Obj:
    return Obj(fields={"type": _need(Enum((tag,))), **{n: _need(s) for n, s in fields.items()}}, extra="keep")


_DONE = Field(schema=_STATUS, default="completed")
_BIG_TEXT = Str(max_length=MAX_TEXT)
_BLOB = Str(max_length=_MAX_BLOB)
_CALL = _need(_CALL_ID)
_EXECUTION = _may(Enum(("server", "client")))


def _of_hosted(*more: str) -> Field:
    return _may(Enum(("in_progress", "completed", "incomplete", *more)))


_SHELL_ACTION = Obj(fields={"commands": _need(_STRINGS)}, extra="keep")
_SHELL_OUTPUT = Arr(
    item=Obj(
        fields={
            "stdout": _need(_BIG_TEXT),
            "stderr": _need(_BIG_TEXT),
            "outcome": _need(
                Tagged(variants={"timeout": _part("timeout"), "exit": _part("exit", exit_code=Anything())})
            ),
        },
        extra="keep",
    ),
    expected="an array of objects",
)
_PATCH = Tagged(
    variants={
        "create_file": _part("create_file", path=Str(), diff=Str()),
        "update_file": _part("update_file", path=Str(), diff=Str()),
        "delete_file": _part("delete_file", path=Str()),
    },
)
_SUMMARY = Arr(item=Tagged(variants={"summary_text": _part("summary_text", text=_BIG_TEXT)}))
_REASONING = Arr(item=Tagged(variants={"reasoning_text": _part("reasoning_text", text=_BIG_TEXT)}))
_SCREENSHOT = Tagged(variants={"computer_screenshot": _part("computer_screenshot")})

_TYPED: dict[str, Schema] = {
    "additional_tools": _item("additional_tools", role=_need(Enum(("developer",))), tools=_need(TOOLS)),
    "apply_patch_call": _item("apply_patch_call", call_id=_CALL, operation=_need(_PATCH), status=_DONE),
    "apply_patch_call_output": _item(
        "apply_patch_call_output",
        call_id=_CALL,
        status=_need(Enum(("completed", "failed"))),
        output=_may(_BIG_TEXT),
    ),
    "code_interpreter_call": _item(
        "code_interpreter_call",
        code=Field(schema=Str(), keeps_null=True),
        container_id=_need(Str()),
        outputs=Field(schema=_FREE_OBJECTS, keeps_null=True),
        status=_of_hosted("interpreting", "failed"),
    ),
    "compaction": _item("compaction", encrypted_content=_need(_BLOB)),
    "compaction_trigger": _item("compaction_trigger"),
    "computer_call": _item(
        "computer_call",
        call_id=_CALL,
        action=_may(_FREE_OBJECT),
        actions=_may(_FREE_OBJECTS),
        pending_safety_checks=Field(schema=_FREE_OBJECTS, default=[]),
        status=_DONE,
    ),
    "computer_call_output": _item(
        "computer_call_output",
        call_id=_CALL,
        output=_need(_SCREENSHOT),
        acknowledged_safety_checks=_may(_FREE_OBJECTS),
        status=_DONE,
    ),
    "configuration_update": _item("configuration_update", reasoning=_may(_FREE_OBJECT), text=_may(_FREE_OBJECT)),
    "custom_tool_call": _item(
        "custom_tool_call", call_id=_CALL, name=_need(Str()), input=_need(Str()), namespace=_may(Str()), status=_DONE
    ),
    "custom_tool_call_output": _item("custom_tool_call_output", call_id=_CALL, output=_need(TOOL_OUTPUT), status=_DONE),
    "file_search_call": _item(
        "file_search_call",
        queries=_need(_STRINGS),
        results=Field(schema=_FREE_OBJECTS, keeps_null=True),
        status=_of_hosted("searching", "failed"),
    ),
    "function_call": _item(
        "function_call", call_id=_CALL, name=_need(Str()), arguments=_need(Str()), namespace=_may(Str()), status=_DONE
    ),
    "function_call_output": _item("function_call_output", call_id=_CALL, output=_need(TOOL_OUTPUT), status=_DONE),
    "image_generation_call": _item(
        "image_generation_call",
        result=Field(schema=Str(), keeps_null=True),
        status=_of_hosted("generating", "failed"),
    ),
    "item_reference": Obj(
        fields={"type": Field(schema=Enum(("item_reference",)), default="item_reference"), "id": _need(_ID.schema)}
    ),
    "local_shell_call": _item("local_shell_call", call_id=_CALL, action=_need(_FREE_OBJECT), status=_DONE),
    "local_shell_call_output": _item(
        "local_shell_call_output", call_id=_may(_CALL_ID), output=_need(_BIG_TEXT), status=_DONE
    ),
    "mcp_approval_request": _item(
        "mcp_approval_request", server_label=_need(Str()), name=_need(Str()), arguments=_need(Str())
    ),
    "mcp_approval_response": _item(
        "mcp_approval_response", approval_request_id=_need(Str()), approve=_need(Bool()), reason=_may(Str())
    ),
    "mcp_call": _item(
        "mcp_call",
        server_label=_need(Str()),
        name=_need(Str()),
        arguments=_need(Str()),
        output=_may(Str()),
        approval_request_id=_may(Str()),
        status=_of_hosted("calling", "failed"),
    ),
    "mcp_list_tools": _item("mcp_list_tools", server_label=_need(Str()), tools=_need(_FREE_OBJECTS)),
    "program": _item("program", call_id=_CALL, code=_need(_BIG_TEXT), fingerprint=_need(_BIG_TEXT)),
    "program_output": _item(
        "program_output",
        call_id=_CALL,
        result=_need(_BIG_TEXT),
        status=Field(schema=Enum(("completed", "incomplete")), default="completed"),
    ),
    "reasoning": _item(
        "reasoning",
        summary=_need(_SUMMARY),
        content=_may(_REASONING),
        encrypted_content=_may(_BLOB),
        status=_may(_STATUS),
    ),
    "shell_call": _item("shell_call", call_id=_CALL, action=_need(_SHELL_ACTION), status=_DONE),
    "shell_call_output": _item("shell_call_output", call_id=_CALL, output=_need(_SHELL_OUTPUT), status=_DONE),
    "tool_search_call": _item(
        "tool_search_call",
        call_id=Field(schema=_CALL_ID, keeps_null=True),
        execution=_EXECUTION,
        arguments=_need(Anything()),
        status=_DONE,
    ),
    "tool_search_output": _item(
        "tool_search_output",
        call_id=Field(schema=_CALL_ID, keeps_null=True),
        execution=_EXECUTION,
        tools=_need(_FREE_OBJECTS),
        status=_DONE,
    ),
    "web_search_call": _item("web_search_call", action=_may(_FREE_OBJECT), status=_of_hosted("searching", "failed")),
}


def _message(role: str, content: ByType) -> Obj:
    fields = {
        "id": _ID,
        "type": Field(schema=Enum(("message",)), default="message"),
        "role": _need(Enum((role,))),
        "status": _DONE,
        "content": _need(content),
    }
    if role == "assistant":
        fields["phase"] = _may(Enum(("commentary", "final_answer")))
    return Obj(fields=fields, extra="keep")


_MESSAGES = {
    "assistant": _message("assistant", ASSISTANT_CONTENT),
    "system": _message("system", INPUT_CONTENT),
    "developer": _message("developer", INPUT_CONTENT),
    "user": _message("user", INPUT_CONTENT),
}

ITEM_TYPES = tuple(sorted((*_TYPED, "message")))


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemUnion:
    """
    Any input item. One without ``type`` is a message, or a reference if it has nothing but an ``id``.

    OpenAI blames the whole item, not its ``type`` or ``role``, for a value that it does not know.
    """

    typed: Mapping[str, Schema]
    messages: Mapping[str, Schema]

    @property
    def alternatives(self) -> tuple[Schema, ...]:
        """Messages by role, then the other types of item."""
        return (*self.messages.values(), *self.typed.values())

    def check(self, value: object) -> JsonObject:
        """See :class:`Schema`."""
        if type(value) is not dict:
            raise invalid_type("an input item", value)
        kind = value.get("type")
        if kind is None:
            kind = "item_reference" if "id" in value and value.keys() <= {"id", "type"} else "message"
        if kind == "message":
            return self._check_message(value)
        schema = self.typed.get(kind) if type(kind) is str else None
        if schema is None:
            raise invalid_value(kind, ITEM_TYPES)
        checked: JsonObject = schema.check(value)
        return _named_by_call(checked) if kind == "local_shell_call_output" else checked

    def _check_message(self, value: Mapping[str, Any]) -> JsonObject:
        role = value.get("role")
        schema = self.messages.get(role) if type(role) is str else None
        if schema is None:
            raise invalid_value(role, self.messages)
        checked: JsonObject = schema.check(value)
        return checked


ITEM: Schema = ItemUnion(typed=_TYPED, messages=_MESSAGES)


def check_item_ids(items: Iterable[JsonObject]) -> None:
    """
    Refuse a list in which one id occurs twice.

    Raises:
        DuplicateItem: Names the id.
    """
    seen: set[str] = set()
    for item in items:
        item_id = item.get("id")
        if item_id is None:
            continue
        if item_id in seen:
            raise DuplicateItem(item_id)
        seen.add(item_id)


def _named_by_call(item: JsonObject) -> JsonObject:
    # The published document gives this one type no `call_id`: its `id` is "the unique ID of the local shell tool call".
    if "call_id" in item:
        return item
    if "id" not in item:
        raise missing("call_id")
    return {"type": item["type"], "call_id": item["id"], **{k: v for k, v in item.items() if k not in ("id", "type")}}
