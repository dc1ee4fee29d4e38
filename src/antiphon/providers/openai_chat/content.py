"""Content parts of messages and of tool outputs, in chat's words."""

from __future__ import annotations

from antiphon.hub.items import JsonObject
from antiphon.hub.spot import Spot
from antiphon.providers.openai_chat.quirks import Quirks

__all__ = ["Content", "as_parts", "join_content", "output_content", "text_content", "user_content"]

Content = str | list[JsonObject]

# Conversations take `text` too; it is what all of them mean.
_TEXT_PARTS = frozenset({"input_text", "output_text", "text"})


def user_content(content: Content, spot: Spot, quirks: Quirks) -> Content:
    """
    A user message's content.

    Raises:
        UnsupportedParameter: A part of a kind that the upstream does not take.
    """
    return _content(content, spot, "content", images=quirks.images, files=quirks.files)


def output_content(output: Content, spot: Spot, quirks: Quirks) -> Content:
    """
    A tool message's content.

    Raises:
        UnsupportedParameter: A part of a kind that the upstream does not take there.
    """
    images, files = quirks.tool_output_images, quirks.tool_output_images and quirks.files
    return _content(output, spot, "output", images=images, files=files)


def text_content(content: Content, spot: Spot) -> Content:
    """
    The content of a system, developer or assistant message: chat takes text alone there.

    Raises:
        UnsupportedParameter: A part is not text.
    """
    return _content(content, spot, "content", images=False, files=False)


def join_content(first: Content | None, second: Content) -> Content:
    """Both contents, one after the other, each as parts of its own; an empty one adds nothing."""
    if not first or not second:
        return first or second
    return [*as_parts(first), *as_parts(second)]


def as_parts(content: Content) -> list[JsonObject]:
    """Content as a list of parts."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _content(content: Content, spot: Spot, field: str, *, images: bool, files: bool) -> Content:
    """One text as a plain string, which the most servers understand; nothing as an empty one; else a list of parts."""
    if isinstance(content, str):
        return content
    if len(content) == 1 and content[0]["type"] in _TEXT_PARTS:
        text: str = content[0]["text"]
        return text
    return [
        _part(part, spot, f"{field}[{index}]", images=images, files=files) for index, part in enumerate(content)
    ] or ""


def _part(part: JsonObject, spot: Spot, field: str, *, images: bool, files: bool) -> JsonObject:
    kind = part["type"]
    if kind in _TEXT_PARTS:
        return {"type": "text", "text": part["text"]}
    if kind == "input_image":
        return _image(part, spot, field, allowed=images)
    if kind == "input_file":
        return _file(part, spot, field, allowed=files)
    raise spot.refuse(f"Content of type '{kind}' cannot be sent to this upstream.", field)


def _image(part: JsonObject, spot: Spot, field: str, *, allowed: bool) -> JsonObject:
    if not allowed:
        raise spot.refuse("This upstream does not take images ('input_image') there.", field)
    url = part.get("image_url")
    if url is None:
        raise spot.refuse("This upstream takes an image as 'image_url' only, not as 'file_id'.", field)
    image = {"url": url}
    if part.get("detail") not in (None, "auto"):
        image["detail"] = part["detail"]
    return {"type": "image_url", "image_url": image}


def _file(part: JsonObject, spot: Spot, field: str, *, allowed: bool) -> JsonObject:
    if not allowed:
        raise spot.refuse("This upstream does not take files ('input_file') there.", field)
    if part.get("file_data") is None:
        raise spot.refuse("This upstream takes a file as 'file_data' only, not as 'file_url' or 'file_id'.", field)
    return {"type": "file", "file": {name: part[name] for name in ("filename", "file_data") if part.get(name)}}
