"""
A context as the upstream's ``input``: the same items, as another party has to see them.

Ids of ours do not go up, nor does what only says how an item came about: log probabilities, and the status of messages
and function calls. Reasoning goes up in front of the item that it led to, or not at all. What the upstream's own tools
made goes back to the upstream that made it; another one is told (:mod:`.takeover`). Everything else is sent as it
stands, types that this version does not know included.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import msgspec

from antiphon.hub.errors import UnsupportedParameter
from antiphon.hub.items import CALL_TYPES, Item, JsonObject
from antiphon.hub.spot import Spot
from antiphon.hub.turn import ModelCall
from antiphon.providers.openai_responses.ids import HOSTED_TYPES, KEPT_ID_TYPES, wire_id
from antiphon.providers.openai_responses.quirks import Quirks
from antiphon.providers.openai_responses.reasoning import encrypted_content, is_foreign, replay_mode
from antiphon.providers.openai_responses.tools import encode_tools

__all__ = ["Input", "encode_input"]

# Whose id and status only repeat what is plain from where they stand.
_BRIEF_TYPES = frozenset(
    {
        "custom_tool_call",
        "custom_tool_call_output",
        "function_call",
        "function_call_output",
        "message",
        "reasoning",
    }
)
# What a client or a tool says: reasoning in front of it led to nothing that is still there.
_INPUT_TYPES = frozenset(
    {
        "additional_tools",
        "compaction",
        "compaction_trigger",
        "configuration_update",
        "item_reference",
        "mcp_approval_response",
        *(f"{kind}_output" for kind in CALL_TYPES),
    }
)


class Input(msgspec.Struct, frozen=True):
    """The ``input`` of a body, and the client's names of what was left out of it."""

    items: list[JsonObject]
    not_applied: list[str]


def encode_input(call: ModelCall, quirks: Quirks) -> Input:
    """
    The whole context as ``input``.

    Raises:
        UnsupportedParameter: An item adds a tool that the upstream does not take.

    Note:
        O(items). Changes nothing that it is given.
    """
    context = _Context(call, quirks)
    for index, item in enumerate(call.items):
        context.feed(item, index)
    return Input(context.items, context.not_applied)


class _Context:
    """Items in the making."""

    def __init__(self, call: ModelCall, quirks: Quirks) -> None:
        self._call = call
        self._account = call.account
        self._quirks = quirks
        self._replay = replay_mode(quirks, call.model)
        self._held: list[JsonObject] = []
        # Approvals that were asked for: under which id each went up, and which may still be answered.
        self._requests: dict[str, str | None] = {}
        self._unanswered: list[str] = []
        self.items: list[JsonObject] = []
        self.not_applied: list[str] = []

    def feed(self, item: Item, index: int) -> None:
        """Take the next item."""
        if item.type == "reasoning":
            if (thought := self._reasoning(item)) is not None:
                self._held.append(thought)
            return
        write = self._WRITERS.get(item.type)
        written = self._write_any(item, index) if write is None else write(self, item, index)
        if written is None:
            return
        if self._held and not _is_input(item):
            self.items += self._held
        self._held = []
        self.items.append(written)

    # One method for each form.

    def _write_message(self, item: Item, index: int) -> JsonObject:
        role = item.body["role"]
        if role == "user":
            self._unanswered.clear()
        written = self._bare(item, keeps_form=role == "assistant")
        if role == "assistant":
            written["content"] = [self._said(part) for part in item.body["content"]]
        return written

    def _said(self, part: JsonObject) -> JsonObject:
        if part["type"] == "refusal" and self._quirks.assistant_refusal == "text":
            return {"type": "output_text", "text": part["refusal"], "annotations": []}
        if part["type"] != "output_text":
            return part
        # The published schema wants annotations, also where there are none.
        said = {"annotations": [], **part}
        said.pop("logprobs", None)
        return said

    def _write_any(self, item: Item, index: int) -> JsonObject | None:
        if item.type in HOSTED_TYPES and is_foreign(item, self._account):
            return None
        return self._bare(item)

    def _write_request(self, item: Item, index: int) -> JsonObject | None:
        """An approval that is asked for: its answer names it by the id that it has up there."""
        written = self._write_any(item, index)
        self._requests[item.id] = None if written is None else written["id"]
        self._unanswered.append(item.id)
        return written

    def _write_approval(self, item: Item, index: int) -> JsonObject | None:
        asked = item.body["approval_request_id"]
        if asked not in self._requests and self._unanswered:
            asked = self._unanswered[0]  # a client that keeps the state itself names the request as it knew it
        if asked in self._unanswered:
            self._unanswered.remove(asked)
        request_id = self._requests.get(asked, asked)
        return None if request_id is None else {**self._bare(item), "approval_request_id": request_id}

    def _write_mcp_call(self, item: Item, index: int) -> JsonObject | None:
        written = self._write_any(item, index)
        if written is not None and written.get("approval_request_id") is not None:
            written["approval_request_id"] = self._requests.get(written["approval_request_id"])
        return written

    def _write_shell_output(self, item: Item, index: int) -> JsonObject:
        """The one output that the published schema ties to its call by ``id``."""
        body = item.body
        return {"id": body["call_id"], **{name: body[name] for name in body if name not in ("id", "call_id")}}

    def _write_tools(self, item: Item, index: int) -> JsonObject | None:
        try:
            offered = encode_tools(item.body["tools"], "tools", self._quirks)
        except UnsupportedParameter as error:
            raise Spot(item, index, self._call.input_start).refuse(error.message, error.param or "") from error
        self.not_applied += offered.not_applied
        return {**self._bare(item), **offered.fields} if offered.fields["tools"] else None

    def _reasoning(self, item: Item) -> JsonObject | None:
        if self._replay == "never" or is_foreign(item, self._account):
            return None
        encrypted = encrypted_content(item, self._account)
        content = item.body.get("content") if self._replay == "text" else None
        if not encrypted and not content:
            return None
        written = self._bare(item, keeps_form=True)
        for name, value in (("content", content), ("encrypted_content", encrypted)):
            written.pop(name, None)
            if value:
                written[name] = value
        return written

    def _bare(self, item: Item, *, keeps_form: bool = False) -> JsonObject:
        """The item's body under its own id up there, or under none."""
        body = dict(item.body)
        del body["id"]
        if keeps_form and self._quirks.output_items == "full":
            return {"id": wire_id(item, self._account), **body}
        if item.type in KEPT_ID_TYPES:
            return {"id": wire_id(item, self._account), **body}
        if item.type in _BRIEF_TYPES:
            body.pop("status", None)
        return body

    # Item types that are not sent as they stand.
    _WRITERS: ClassVar[dict[str, Callable[[_Context, Item, int], JsonObject | None]]] = {
        "additional_tools": _write_tools,
        "local_shell_call_output": _write_shell_output,
        "mcp_approval_request": _write_request,
        "mcp_approval_response": _write_approval,
        "mcp_call": _write_mcp_call,
        "message": _write_message,
    }


def _is_input(item: Item) -> bool:
    if item.type == "message":
        return bool(item.body["role"] != "assistant")
    return item.type in _INPUT_TYPES
