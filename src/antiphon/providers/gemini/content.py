"""Content of messages and of tool outputs, as Gemini's parts."""

from __future__ import annotations

import re
from typing import Final

from antiphon.hub.items import JsonObject
from antiphon.hub.spot import Spot
from antiphon.providers.gemini.quirks import Quirks

__all__ = ["Content", "PartWriter", "said_texts"]

Content = str | list[JsonObject]

# Conversations take `text` too; it is what all of them mean.
_TEXT_KINDS = frozenset({"input_text", "output_text", "text"})
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)(?:;[\w.+-]+=[^;,]*)*;base64,", re.ASCII)
_RESOLUTIONS = {"low": "MEDIA_RESOLUTION_LOW", "high": "MEDIA_RESOLUTION_HIGH"}

# The files that Gemini reads, by the end of their name: data without a media type, and URLs.
_MEDIA_TYPES: Final = {
    "pdf": "application/pdf",
    "json": "application/json",
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "html": "text/html",
    "htm": "text/html",
    "xml": "text/xml",
    "css": "text/css",
    "py": "text/x-python",
    "js": "text/javascript",
    "rtf": "text/rtf",
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
}


def said_texts(content: Content, spot: Spot) -> list[str]:
    """
    The texts of content that can hold nothing else; an earlier refusal is what the assistant said.

    Raises:
        UnsupportedParameter: A part is neither.
    """
    if isinstance(content, str):
        return [content]
    return [_text(part, spot.at(f"content[{index}]")) for index, part in enumerate(content)]


class PartWriter:
    """
    Writes what users and tools say as parts.

    Attributes:
        not_applied: The client's names of what had no words in them and changes nothing that is asked.
    """

    def __init__(self, quirks: Quirks) -> None:
        self._quirks = quirks
        self.not_applied: tuple[str, ...] = ()

    def message(self, content: Content, spot: Spot) -> list[JsonObject]:
        """
        The parts of a user's message. Empty texts, which Gemini refuses, are left out.

        Raises:
            UnsupportedParameter: A part of a kind, or in a form, that Gemini does not take.
        """
        if isinstance(content, str):
            return [{"text": content}] if content else []
        parts = (self._part(part, spot.at(f"content[{index}]")) for index, part in enumerate(content))
        return [part for part in parts if part != {"text": ""}]

    def response(self, output: Content, spot: Spot) -> JsonObject:
        """
        What a tool gave, as the fields ``response`` and ``parts`` of a function's response.

        One text is ``{"output": TEXT}``, several are a list there; images and files stand beside it, behind the texts.
        What a tool says that failed is its ``error``.

        Raises:
            UnsupportedParameter: A part of a kind, or in a form, that Gemini does not take there.
        """
        kind = "error" if spot.item.body.get("status") == "incomplete" else "output"
        if isinstance(output, str):
            return {"response": {kind: output}}
        texts: list[str] = []
        media: list[JsonObject] = []
        for index, part in enumerate(output):
            place = spot.at(f"output[{index}]")
            if part["type"] in _TEXT_KINDS:
                texts.append(part["text"])
            elif not self._quirks.tool_output_media:
                raise place.refuse("This upstream takes a tool's output as text only.")
            else:
                media.append(self._part(part, place))
        response: JsonObject = {kind: texts[0] if len(texts) == 1 else texts} if texts else {}
        return {"response": response, "parts": media} if media else {"response": response}

    def _part(self, part: JsonObject, spot: Spot) -> JsonObject:
        match part["type"]:
            case "input_image":
                return self._image(part, spot)
            case "input_file":
                return self._file(part, spot)
            case _:
                return {"text": _text(part, spot)}

    def _image(self, part: JsonObject, spot: Spot) -> JsonObject:
        url, detail = part.get("image_url"), part.get("detail")
        if url is None:
            raise spot.refuse("This upstream takes an image as 'image_url' only, not as 'file_id'.")
        image = self._by_url(url, spot)
        if detail in (None, "auto"):
            return image
        if self._quirks.media_resolution and detail in _RESOLUTIONS:
            return {**image, "mediaResolution": {"level": _RESOLUTIONS[detail]}}
        self.not_applied = ("input_image.detail",)
        return image

    def _file(self, part: JsonObject, spot: Spot) -> JsonObject:
        data, url, name = part.get("file_data"), part.get("file_url"), part.get("filename") or ""
        if data is None and url is None:
            raise spot.refuse("This upstream takes a file as 'file_data' or 'file_url' only, not as 'file_id'.")
        if data is None:
            return self._by_url(str(url), spot, name)
        if data.startswith("data:"):
            return _inline(data, spot)
        media_type = _media_type(name)
        if media_type is None:
            raise spot.refuse("The file's media type is not known. Send 'file_data' as a data URL, or a 'filename'.")
        return {"inlineData": {"mimeType": media_type, "data": data}}

    def _by_url(self, url: str, spot: Spot, name: str = "") -> JsonObject:
        if url.startswith("data:"):
            return _inline(url, spot)
        if not self._quirks.file_uris:
            raise spot.refuse("This upstream takes images and files as data only, not by their URL.")
        media_type = _media_type(name) or _media_type(_path_of(url))
        return {"fileData": {"fileUri": url} if media_type is None else {"mimeType": media_type, "fileUri": url}}


def _text(part: JsonObject, spot: Spot) -> str:
    kind = part["type"]
    if kind not in _TEXT_KINDS and kind != "refusal":
        raise spot.refuse(f"Content of type '{kind}' cannot be sent to this upstream there.")
    text: str = part["refusal"] if kind == "refusal" else part["text"]
    return text


def _inline(url: str, spot: Spot) -> JsonObject:
    match = _DATA_URL.match(url)
    if match is None:
        raise spot.refuse("This upstream takes a data URL with a media type and in base64 only.")
    return {"inlineData": {"mimeType": match.group(1), "data": url[match.end() :]}}


def _path_of(url: str) -> str:
    """What stands behind the host of a URL, without its query."""
    return url.partition("?")[0].partition("#")[0].partition("://")[2].partition("/")[2]


def _media_type(name: str) -> str | None:
    return _MEDIA_TYPES.get(name.rpartition(".")[2].lower())
