"""
Messages as items.

A message becomes as many items as it says different things: text and pictures that follow each other are one message,
each call and each result is an item of its own, thinking that follows thinking is one item of reasoning. The order of
the blocks is the order of the items.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

import msgspec

from antiphon.formats.messages.arguments import arguments_of
from antiphon.formats.messages.thoughts import reasoning_of
from antiphon.hub.items import JsonObject, Private

__all__ = ["Transcript", "read_messages", "system_text"]

_BETWEEN_BLOCKS = "\n\n"
_THOUGHTS = ("thinking", "redacted_thinking")


class Transcript(msgspec.Struct, frozen=True, kw_only=True):
    """
    The messages of a request.

    Attributes:
        items: In their full form, without ids.
        private: What belongs beside some of them, by their place.
        marks: Whether a block marks the end of what is to be cached.
    """

    items: tuple[JsonObject, ...]
    private: Mapping[int, Private]
    marks: bool


def read_messages(messages: Sequence[JsonObject]) -> Transcript:
    """Checked messages as items. Changes nothing that it is given."""
    reader = _Reader()
    for message in messages:
        reader.feed(message)
    return reader.finish()


def system_text(system: str | Sequence[JsonObject] | None) -> str | None:
    """A checked ``system``; its blocks are paragraphs. None if there is nothing in it."""
    if system is None or isinstance(system, str):
        return system or None
    return _BETWEEN_BLOCKS.join(block["text"] for block in system if block["text"]) or None


class _Reader:
    def __init__(self) -> None:
        self._items: list[JsonObject] = []
        self._private: dict[int, Private] = {}
        self._marks = False
        # What goes on with the next block.
        self._parts: list[JsonObject] = []
        self._thoughts: list[JsonObject] = []

    def feed(self, message: JsonObject) -> None:
        """Take the next message."""
        role, content = message["role"], message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        for block in blocks:
            self._marks = self._marks or _is_marked(block)
            self._take(block, role)
        self._end_message(role)
        self._end_thoughts()

    def finish(self) -> Transcript:
        """All of them."""
        return Transcript(items=tuple(self._items), private=self._private, marks=self._marks)

    def _take(self, block: JsonObject, role: str) -> None:
        if block["type"] in _THOUGHTS:
            self._end_message(role)
            self._thoughts.append(block)
            return
        self._end_thoughts()
        match block["type"]:
            case "tool_use":
                self._end_message(role)
                self._items.append(_call(block))
            case "tool_result":
                self._end_message(role)
                self._items.append(_output(block))
            case _ if role == "assistant":
                self._parts.append(_said(block))
            case _:
                self._parts += _parts_of(block)

    def _end_message(self, role: str) -> None:
        if self._parts:
            self._items.append({"type": "message", "role": role, "status": "completed", "content": self._parts})
            self._parts = []

    def _end_thoughts(self) -> None:
        if not self._thoughts:
            return
        item, private = reasoning_of(self._thoughts)
        self._thoughts = []
        if private is not None:
            self._private[len(self._items)] = private
        if private is not None or item["summary"]:
            self._items.append(item)


def _is_marked(block: Mapping[str, Any]) -> bool:
    if "cache_control" in block:
        return True
    holder = block["source"] if block["type"] == "document" else block
    inner = holder.get("content")
    return isinstance(inner, list) and any(_is_marked(part) for part in inner)


def _unknown(block: Mapping[str, Any], *known: str) -> JsonObject:
    """The fields of a block that the API does not have."""
    return {name: value for name, value in block.items() if name not in known and name not in ("type", "cache_control")}


# Calls and their results.


def _call(block: JsonObject) -> JsonObject:
    return {
        "type": "function_call",
        "call_id": block["id"],
        "name": block["name"],
        "arguments": arguments_of(block["input"]),
        "status": "completed",
        **_unknown(block, "id", "name", "input", "caller", "toolset_name"),
    }


def _output(block: JsonObject) -> JsonObject:
    """A result. The hub has no word for one that is an error, and calls it incomplete: the tool did not do its work."""
    content = block.get("content") or ""
    output = content if isinstance(content, str) else [part for inner in content for part in _parts_of(inner)]
    return {
        "type": "function_call_output",
        "call_id": block["tool_use_id"],
        "output": output,
        "status": "incomplete" if block["is_error"] else "completed",
        **_unknown(block, "tool_use_id", "content", "is_error", "toolset_name"),
    }


# What was said.


def _said(block: JsonObject) -> JsonObject:
    text = block["text"]
    return {
        "type": "output_text",
        "text": text,
        "annotations": [_annotation(citation, len(text)) for citation in block.get("citations") or ()],
        "logprobs": [],
        **_unknown(block, "text", "citations"),
    }


def _annotation(citation: Mapping[str, Any], end: int) -> JsonObject:
    """A citation, which is of the whole block."""
    url = citation.get("url") or citation.get("source")
    if url is not None:
        title = citation.get("title") or ""
        return {"type": "url_citation", "start_index": 0, "end_index": end, "url": url, "title": title}
    file_id, name = citation.get("file_id") or "", citation.get("document_title") or ""
    return {"type": "file_citation", "file_id": file_id, "filename": name, "index": end}


# What was given.


def _parts_of(block: JsonObject) -> Iterator[JsonObject]:
    """The parts that a block of a user's message, or of a result, becomes."""
    match block["type"]:
        case "text":
            yield {"type": "input_text", "text": block["text"], **_unknown(block, "text", "citations")}
        case "image":
            url = _image_url(block["source"])
            yield {
                "type": "input_image",
                "detail": "auto",
                "image_url": url,
                **_unknown(block, "source", "transformations"),
            }
        case "document":
            yield from _document(block)
        case _:
            yield _search_result(block)


def _image_url(source: Mapping[str, Any]) -> str:
    if source["type"] == "url":
        url: str = source["url"]
        return url
    return f"data:{source['media_type']};base64,{source['data']}"


def _document(block: JsonObject) -> Iterator[JsonObject]:
    """A file behind what is said about it; a document that is made of blocks is those blocks, in a frame of words."""
    source, title, context = block["source"], block.get("title"), block.get("context")
    unknown = _unknown(block, "source", "title", "context", "citations")
    if source["type"] == "content":
        yield from _framed(source["content"], title, context, unknown)
        return
    if context:
        yield {"type": "input_text", "text": context}
    yield {"type": "input_file", **_file(source), **({"filename": title} if title else {}), **unknown}


def _file(source: Mapping[str, Any]) -> JsonObject:
    match source["type"]:
        case "url":
            return {"file_url": source["url"]}
        case "text":
            data = b64encode(source["data"].encode()).decode()
        case _:
            data = source["data"]
    return {"file_data": f"data:{source['media_type']};base64,{data}"}


def _framed(
    content: str | Sequence[JsonObject], title: str | None, context: str | None, unknown: JsonObject
) -> Iterator[JsonObject]:
    named = {"title": title, "context": context}
    attributes = "".join(f" {name}={quoteattr(value)}" for name, value in named.items() if value)
    yield {"type": "input_text", "text": f"<document{attributes}>", **unknown}
    for inner in [{"type": "text", "text": content}] if isinstance(content, str) else content:
        yield from _parts_of(inner)
    yield {"type": "input_text", "text": "</document>"}


def _search_result(block: JsonObject) -> JsonObject:
    """The hub has no word for what was found elsewhere: it is text that says where it is from."""
    text = _BETWEEN_BLOCKS.join(inner["text"] for inner in block["content"])
    head = f"<search_result source={quoteattr(block['source'])} title={quoteattr(block['title'])}>"
    unknown = _unknown(block, "content", "source", "title", "citations")
    return {"type": "input_text", "text": f"{head}\n{text}\n</search_result>", **unknown}
