"""Short ways to write calls and items."""

from __future__ import annotations

from typing import Any

from antiphon.hub.ids import ItemId
from antiphon.hub.items import Item, JsonObject, Private
from antiphon.hub.turn import ModelCall, TurnRequest

__all__ = [
    "ACCOUNT",
    "ELSEWHERE",
    "assistant",
    "custom_call",
    "custom_output",
    "file_data",
    "function_call",
    "function_output",
    "function_tool",
    "image_data",
    "image_url",
    "item",
    "message",
    "model_call",
    "reasoning",
    "user",
]

ACCOUNT = "vendor"
# What an upstream of another account kept of an item.
ELSEWHERE = Private("openai_responses", "elsewhere", {"id": "x_1", "encrypted_content": "sealed"})

# One transparent pixel, and the smallest thing that calls itself a PDF.
_PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
_PDF = "JVBERi0xLjQKJSVFT0YK"


def item(type_: str, *, item_id: str = "item_1", private: Private | None = None, **body: Any) -> Item:
    return Item(ItemId(item_id), type_, {"id": item_id, "type": type_, **body}, private)


def message(role: str, *parts: str | JsonObject, **more: Any) -> Item:
    """A message of parts; a string is a text part of the role's kind."""
    kind = "output_text" if role == "assistant" else "input_text"
    content = [{"type": kind, "text": part} if isinstance(part, str) else part for part in parts]
    return item("message", role=role, status="completed", content=content, **more)


def user(*parts: str | JsonObject) -> Item:
    return message("user", *parts)


def assistant(*parts: str | JsonObject, **more: Any) -> Item:
    return message("assistant", *parts, **more)


def function_call(call_id: str, name: str = "look", arguments: str = "{}", **more: Any) -> Item:
    return item("function_call", call_id=call_id, name=name, arguments=arguments, status="completed", **more)


def function_output(call_id: str, output: str | list[JsonObject] = "done", **more: Any) -> Item:
    return item("function_call_output", call_id=call_id, output=output, **more)


def custom_call(call_id: str, name: str, value: str) -> Item:
    return item("custom_tool_call", call_id=call_id, name=name, input=value, status="completed")


def custom_output(call_id: str, output: str = "done") -> Item:
    return item("custom_tool_call_output", call_id=call_id, output=output)


def reasoning(text: str, *, summary: str = "", private: Private | None = None, **more: Any) -> Item:
    said = [{"type": "summary_text", "text": summary}] if summary else []
    content = [{"type": "reasoning_text", "text": text}]
    return item("reasoning", private=private, summary=said, content=content, **more)


def function_tool(name: str, **more: Any) -> JsonObject:
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    return {
        "type": "function",
        "name": name,
        "description": f"{name}s",
        "parameters": parameters,
        "strict": None,
        **more,
    }


def image_data() -> JsonObject:
    return {"type": "input_image", "image_url": f"data:image/png;base64,{_PNG}", "detail": "auto"}


def image_url() -> JsonObject:
    return {"type": "input_image", "image_url": "https://images.example/cat.png", "detail": "auto"}


def file_data() -> JsonObject:
    return {"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{_PDF}"}


def model_call(*items: Item, input_start: int = 0, stream: bool = False, **request: Any) -> ModelCall:
    return ModelCall(
        model="upstream-model",
        account=ACCOUNT,
        items=items or (user("Hi"),),
        input_start=input_start,
        request=TurnRequest(model="alias", **request),
        stream=stream,
    )
