"""Short ways to write the calls and items that the tests of the chat completions dialect are about."""

from __future__ import annotations

from typing import Any

import orjson

from antiphon.hub.ids import ItemId
from antiphon.hub.items import Item, JsonObject, Private
from antiphon.hub.turn import ModelCall, TurnRequest
from antiphon.hub.upstream import UpstreamRequest
from antiphon.providers.openai_chat import OpenAIChat, Quirks

ACCOUNT = "local"


def item(type_: str, *, private: Private | None = None, **body: Any) -> Item:
    return Item(ItemId("item_1"), type_, {"id": "item_1", "type": type_, **body}, private)


def message(role: str, *parts: str | JsonObject) -> Item:
    """A message of parts; a string is a text part of the role's kind."""
    kind = "output_text" if role == "assistant" else "input_text"
    content = [{"type": kind, "text": part} if isinstance(part, str) else part for part in parts]
    return item("message", role=role, status="completed", content=content)


def user(*parts: str | JsonObject) -> Item:
    return message("user", *parts)


def assistant(*parts: str | JsonObject) -> Item:
    return message("assistant", *parts)


def function_call(call_id: str, name: str = "look", arguments: str = "{}", **more: Any) -> Item:
    return item("function_call", call_id=call_id, name=name, arguments=arguments, status="completed", **more)


def function_output(call_id: str, output: str | list[JsonObject] = "done") -> Item:
    return item("function_call_output", call_id=call_id, output=output)


def reasoning(text: str, private: Private | None = None) -> Item:
    content = [{"type": "reasoning_text", "text": text}]
    return item("reasoning", private=private, summary=[], content=content)


def function_tool(name: str, **more: Any) -> JsonObject:
    return {"type": "function", "name": name, **more}


def model_call(*items: Item, input_start: int = 0, stream: bool = False, **request: Any) -> ModelCall:
    return ModelCall(
        model="upstream-model",
        account=ACCOUNT,
        items=items or (user("Hi"),),
        input_start=input_start,
        request=TurnRequest(model="alias", **request),
        stream=stream,
    )


def encode(call: ModelCall, quirks: Quirks | None = None) -> UpstreamRequest:
    return OpenAIChat(quirks or Quirks()).encode(call)


def encoded_body(call: ModelCall, quirks: Quirks | None = None) -> JsonObject:
    body: JsonObject = orjson.loads(encode(call, quirks).body)
    return body


def encoded_messages(*items: Item, quirks: Quirks | None = None, **request: Any) -> list[JsonObject]:
    messages: list[JsonObject] = encoded_body(model_call(*items, **request), quirks)["messages"]
    return messages


def tool_call(call_id: str, name: str = "look", arguments: str = "{}") -> JsonObject:
    """A call as chat says it."""
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def tool_message(call_id: str, content: Any = "done") -> JsonObject:
    return {"role": "tool", "tool_call_id": call_id, "content": content}
