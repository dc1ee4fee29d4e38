"""Content parts of messages and of tool outputs, as the content blocks of the Messages API."""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error

from antiphon.hub.items import JsonObject
from antiphon.hub.spot import Spot
from antiphon.providers.anthropic.quirks import Quirks

__all__ = ["BlockWriter", "Content", "says_something", "text_block"]

Content = str | list[JsonObject]

# Conversations take `text` too; it is what all of them mean.
_TEXT_PARTS = frozenset({"input_text", "output_text", "text"})
_IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_TEXT_TYPES = re.compile(r"text/|application/(?:json|xml|yaml|x-yaml|javascript|toml)\Z")
_DATA_URL = re.compile(r"data:([^;,]*)(?:;[^;,]*)*;base64,", re.IGNORECASE)
_BY_SUFFIX = {"pdf": "application/pdf", "txt": "text/plain", "md": "text/markdown", "csv": "text/csv"}


def text_block(text: str) -> JsonObject:
    """A block of text."""
    return {"type": "text", "text": text}


def says_something(text: str) -> bool:
    """Whether a text may be a block of its own: the API refuses those that are empty or nothing but white space."""
    return bool(text) and not text.isspace()


class BlockWriter:
    """
    Writes content as blocks.

    Attributes:
        leaves_out_detail: Whether an image came with a wish for its resolution, which the API does not know.
    """

    def __init__(self, quirks: Quirks) -> None:
        self._quirks = quirks
        self.leaves_out_detail = False

    def blocks(self, content: Content, spot: Spot, field: str = "content") -> list[JsonObject]:
        """
        The blocks of a user's message or of a tool's output, without empty texts.

        Raises:
            UnsupportedParameter: A part of a kind that the upstream does not take there.
        """
        if isinstance(content, str):
            return [text_block(content)] if says_something(content) else []
        blocks: list[JsonObject] = []
        for index, part in enumerate(content):
            if part["type"] not in _TEXT_PARTS:
                blocks.append(self._block(part, spot, f"{field}[{index}]"))
            elif says_something(part["text"]):
                blocks.append(text_block(part["text"]))
        return blocks

    def texts(self, content: Content, spot: Spot) -> list[JsonObject]:
        """
        The blocks of a message that is text alone: the system's, the developer's, the assistant's.

        A refusal is text that the assistant said.

        Raises:
            UnsupportedParameter: A part is not text.
        """
        if isinstance(content, str):
            return self.blocks(content, spot)
        blocks: list[JsonObject] = []
        for index, part in enumerate(content):
            kind = part["type"]
            if kind not in _TEXT_PARTS and kind != "refusal":
                reason = f"Content of type '{kind}' cannot be sent to this upstream in such a message."
                raise spot.refuse(reason, f"content[{index}]")
            text = part["refusal"] if kind == "refusal" else part["text"]
            if says_something(text):
                blocks.append(text_block(text))
        return blocks

    def _block(self, part: JsonObject, spot: Spot, field: str) -> JsonObject:
        kind = part["type"]
        if kind == "input_image":
            return self._image(part, spot, field)
        if kind == "input_file":
            return self._document(part, spot, field)
        raise spot.refuse(f"Content of type '{kind}' cannot be sent to this upstream.", field)

    def _image(self, part: JsonObject, spot: Spot, field: str) -> JsonObject:
        url = part.get("image_url")
        if not self._quirks.images:
            raise spot.refuse("This upstream does not take images ('input_image').", field)
        if url is None:
            raise spot.refuse("This upstream takes an image as 'image_url' only, not as 'file_id'.", field)
        if part.get("detail") not in (None, "auto"):
            self.leaves_out_detail = True
        if url[:5].lower() != "data:":
            return {"type": "image", "source": {"type": "url", "url": url}}
        media_type, data = _read_data_url(url, spot, field)
        if media_type not in _IMAGE_TYPES:
            reason = f"An image of type '{media_type}' cannot be sent to this upstream. Use PNG, JPEG, GIF or WebP."
            raise spot.refuse(reason, field)
        return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}

    def _document(self, part: JsonObject, spot: Spot, field: str) -> JsonObject:
        if not self._quirks.documents:
            raise spot.refuse("This upstream does not take files ('input_file').", field)
        title = {"title": part["filename"]} if part.get("filename") else {}
        return {"type": "document", "source": _document_source(part, spot, field), **title}


def _document_source(part: JsonObject, spot: Spot, field: str) -> JsonObject:
    if part.get("file_url") is not None:
        return {"type": "url", "url": part["file_url"]}
    file_data = part.get("file_data")
    if file_data is None:
        raise spot.refuse("This upstream takes a file as 'file_data' or 'file_url' only, not as 'file_id'.", field)
    if file_data[:5].lower() == "data:":
        media_type, data = _read_data_url(file_data, spot, field)
    else:
        suffix = (part.get("filename") or "").rpartition(".")[2].lower()
        media_type, data = _BY_SUFFIX.get(suffix, "application/octet-stream"), file_data
    if media_type == "application/pdf":
        return {"type": "base64", "media_type": media_type, "data": data}
    if _TEXT_TYPES.match(media_type):
        return {"type": "text", "media_type": "text/plain", "data": _decode_text(data, spot, field)}
    raise spot.refuse(f"A file of type '{media_type}' cannot be sent to this upstream. Use PDF or text.", field)


def _read_data_url(url: str, spot: Spot, field: str) -> tuple[str, str]:
    """The media type of a ``data:`` URL, and its base64."""
    head = _DATA_URL.match(url)
    if head is None:
        raise spot.refuse("This upstream takes data as a 'data:' URL in base64 only.", field)
    return head[1].lower(), url[head.end() :]


def _decode_text(data: str, spot: Spot, field: str) -> str:
    try:
        return b64decode(data, validate=True).decode()
    except (Base64Error, ValueError) as error:
        raise spot.refuse("A file of text has to be UTF-8 in base64.", field) from error
