"""
What the upstream calls items and calls, and what they are called here: no id of its own leaves.

A ``call_id`` that went up with the context is ours already and stays as it is; every other one is minted anew, the
same one for all that name it. An approval that was asked for in an earlier turn is found among the items of the
context.
"""

from __future__ import annotations

from antiphon.hub.ids import Family, IdFactory
from antiphon.hub.items import CALL_TYPES, JsonObject
from antiphon.hub.turn import ModelCall
from antiphon.providers.openai_responses.ids import wire_id

__all__ = ["Names"]

# Calls of tools that the upstream runs itself have an id for their outputs too.
_CALLS = frozenset({*CALL_TYPES, "program", "tool_search_call"})


class Names:
    """The names of one reply. One instance per attempt."""

    def __init__(self, ids: IdFactory, family: Family, call: ModelCall) -> None:
        self._ids = ids
        self._family = family
        self._call = call
        self._calls: dict[str, str] = {}
        self._requests: dict[str, str] = {}
        self._known_calls: frozenset[str] | None = None
        self._asked_before: dict[str, str] | None = None

    def new_item(self, wire: JsonObject) -> JsonObject:
        """The body of an item that begins, under new names."""
        item_id = self._ids.item(wire["type"], self._family)
        shown = self._renamed(wire, item_id)
        wire_call = wire.get("call_id")
        if wire["type"] in _CALLS and (isinstance(wire_call, str) or wire["type"] in CALL_TYPES):
            shown["call_id"] = self._ids.call()
            if isinstance(wire_call, str):
                self._calls[wire_call] = shown["call_id"]
        elif isinstance(wire_call, str):
            shown["call_id"] = self.call_id(wire_call)
        if wire["type"] == "mcp_approval_request" and isinstance(wire.get("id"), str):
            self._requests[wire["id"]] = item_id
        return shown

    def same_item(self, wire: JsonObject, item_id: str, call_id: str | None) -> JsonObject:
        """The body of an item that goes on, under the names that it has."""
        shown = self._renamed(wire, item_id)
        if call_id is not None:
            shown["call_id"] = call_id
        return shown

    def call_id(self, wire_call: str) -> str:
        """What a call that something refers to is called here."""
        if wire_call not in self._calls:
            self._calls[wire_call] = wire_call if wire_call in self._calls_of_context() else self._ids.call()
        return self._calls[wire_call]

    def _renamed(self, wire: JsonObject, item_id: str) -> JsonObject:
        shown = {**wire, "id": item_id}
        caller = wire.get("caller")
        if isinstance(caller, dict) and isinstance(caller.get("caller_id"), str):
            shown["caller"] = {**caller, "caller_id": self.call_id(caller["caller_id"])}
        asked = wire.get("approval_request_id")
        if isinstance(asked, str):
            shown["approval_request_id"] = self._requests.get(asked) or self._requests_of_context().get(asked)
        return shown

    def _calls_of_context(self) -> frozenset[str]:
        if self._known_calls is None:
            found = (item.body.get("call_id") for item in self._call.items)
            self._known_calls = frozenset(call_id for call_id in found if isinstance(call_id, str))
        return self._known_calls

    def _requests_of_context(self) -> dict[str, str]:
        if self._asked_before is None:
            asked = (item for item in self._call.items if item.type == "mcp_approval_request")
            self._asked_before = {wire_id(item, self._call.account): item.id for item in asked}
        return self._asked_before
