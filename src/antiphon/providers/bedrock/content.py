"""Content parts of messages and of tool outputs, as Converse's content blocks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from antiphon.hub.items import JsonObject
from antiphon.hub.spot import Spot

__all__ = ["Blocks", "Content", "is_blank"]

Content = str | list[JsonObject]

# Conversations take `text` too; it is what all of them mean.
_TEXT_PARTS = frozenset({"input_text", "output_text", "text"})
_IMAGE_FORMATS = {
    "image/gif": "gif",
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
    "image/png": "png",
    "image/webp": "webp",
}
_DOCUMENT_FORMATS = {
    "application/msword": "doc",
    "application/pdf": "pdf",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "text/csv": "csv",
    "text/html": "html",
    "text/markdown": "md",
    "text/plain": "txt",
}
_EXTENSIONS = {format_: format_ for format_ in _DOCUMENT_FORMATS.values()} | {"htm": "html", "markdown": "md"}

# What a document may be called: the API's alphabet and length.
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9()\[\]-]+")
_MAX_NAME_CHARS = 200
_DATA_URL = re.compile(r"data:([^;,]*)((?:;[^;,]*)*),", re.IGNORECASE)


def is_blank(text: str) -> bool:
    """Whether a text says nothing: Converse refuses a message's block of such a text."""
    return not text or text.isspace()


class Blocks:
    """
    Writes the content of one request. It remembers what documents are called, since no two may have one name.

    Attributes:
        not_applied: The client's names of what it asked for of a part and Converse has no words for.
    """

    def __init__(self) -> None:
        self.not_applied: list[str] = []
        self._names: set[str] = set()

    def user(self, content: Content, spot: Spot) -> list[JsonObject]:
        """
        A user message's blocks, without texts that say nothing.

        Raises:
            UnsupportedParameter: A part of a kind, or in a form, that Converse does not take.
        """
        if isinstance(content, str):
            return _texts((content,))
        blocks = [self._block(part, spot, f"content[{index}]") for index, part in enumerate(content)]
        return [block for block in blocks if not is_blank(block.get("text", "x"))]

    def text(self, content: Content, spot: Spot) -> list[JsonObject]:
        """
        The blocks of a system, developer or assistant message, which are text alone. A refusal is what was said.

        Raises:
            UnsupportedParameter: A part is not text.
        """
        if isinstance(content, str):
            return _texts((content,))
        return _texts([_text(part, spot, f"content[{index}]") for index, part in enumerate(content)])

    def output(self, output: Content, spot: Spot) -> list[JsonObject]:
        """
        A tool's result, in which a text may be empty.

        Raises:
            UnsupportedParameter: A part of a kind, or in a form, that Converse does not take.
        """
        if isinstance(output, str):
            return [{"text": output}]
        return [self._block(part, spot, f"output[{index}]") for index, part in enumerate(output)]

    def _block(self, part: JsonObject, spot: Spot, field: str) -> JsonObject:
        kind = part["type"]
        if kind in _TEXT_PARTS:
            return {"text": part["text"]}
        if kind == "input_image":
            return self._image(part, spot, field)
        if kind == "input_file":
            return self._document(part, spot, field)
        raise spot.refuse(f"Content of type '{kind}' cannot be sent to this upstream.", field)

    def _image(self, part: JsonObject, spot: Spot, field: str) -> JsonObject:
        media, data = _inline(part.get("image_url"))
        if data is None:
            raise spot.refuse(
                "This upstream takes an image as data in 'image_url' only, not by URL or 'file_id'.", field
            )
        if media not in _IMAGE_FORMATS:
            raise spot.refuse(f"This upstream does not take images of type '{media}'.", field)
        if part.get("detail") not in (None, "auto"):
            self.not_applied.append("input_image.detail")
        return {"image": {"format": _IMAGE_FORMATS[media], "source": {"bytes": data}}}

    def _document(self, part: JsonObject, spot: Spot, field: str) -> JsonObject:
        media, data = _inline(part.get("file_data"))
        if data is None:
            raise spot.refuse(
                "This upstream takes a file as a data URL in 'file_data' only, not by 'file_url' or 'file_id'.", field
            )
        path = PurePosixPath(part.get("filename") or "")
        kind = _DOCUMENT_FORMATS.get(media) or _EXTENSIONS.get(path.suffix[1:].lower())
        if kind is None:
            raise spot.refuse(f"This upstream does not take files of type '{media}'.", field)
        if part.get("detail") not in (None, "auto"):
            self.not_applied.append("input_file.detail")
        return {"document": {"format": kind, "name": self._name(path.stem), "source": {"bytes": data}}}

    def _name(self, stem: str) -> str:
        """What a document is called: as near to its own name as may be, and unlike all others."""
        legal = _NOT_IN_A_NAME.sub(" ", stem).strip()[: _MAX_NAME_CHARS - 10].strip() or "document"
        name, copies = legal, 1
        while name in self._names:
            copies += 1
            name = f"{legal} ({copies})"
        self._names.add(name)
        return name


def _texts(texts: Sequence[str]) -> list[JsonObject]:
    return [{"text": text} for text in texts if not is_blank(text)]


def _text(part: JsonObject, spot: Spot, field: str) -> str:
    kind = part["type"]
    if kind not in _TEXT_PARTS and kind != "refusal":
        raise spot.refuse(f"Content of type '{kind}' cannot be sent to this upstream here.", field)
    text: str = part["refusal" if kind == "refusal" else "text"]
    return text


def _inline(url: object) -> tuple[str, str | None]:
    """The media type and the base64 text of a data URL; None for the text if it is no such thing."""
    match = _DATA_URL.match(url) if isinstance(url, str) else None
    if match is None or not match.group(2).lower().endswith(";base64"):
        return "", None
    return match.group(1).lower(), match.string[match.end() :]
