"""OpenRouter's ``reasoning_details``: the pieces of a stream, joined to what it wants back."""

from __future__ import annotations

from antiphon.hub.items import JsonObject

__all__ = ["ReasoningDetails", "visible_text"]

# Which field of a detail is text. A detail of another type (``reasoning.encrypted``) comes whole.
_TEXT_FIELDS = {"reasoning.text": "text", "reasoning.summary": "summary"}


class ReasoningDetails:
    """Collects the details of one reasoning item. Pieces are joined once, so a long item costs O(n)."""

    def __init__(self) -> None:
        self._details: list[JsonObject] = []
        self._pieces: list[list[str]] = []

    def __bool__(self) -> bool:
        return bool(self._details)

    def feed(self, detail: JsonObject) -> None:
        """Take a detail, or a piece of the one before it: of the same type and index."""
        text = visible_text(detail)
        last = self._details[-1] if self._details else None
        if last is None or detail.get("type") not in _TEXT_FIELDS or _identity(last) != _identity(detail):
            self._details.append(dict(detail))
            self._pieces.append([text])
            return
        self._pieces[-1].append(text)
        # The signature comes in a later piece than the text.
        last.update({name: value for name, value in detail.items() if value is not None})

    def take(self) -> list[JsonObject]:
        """The details since the last call, whole."""
        whole = [_joined(detail, pieces) for detail, pieces in zip(self._details, self._pieces, strict=True)]
        self._details, self._pieces = [], []
        return whole


def visible_text(detail: JsonObject) -> str:
    """The text of a detail; empty for one that is encrypted or only carries a signature."""
    text = detail.get(_TEXT_FIELDS.get(str(detail.get("type")), ""))
    return text if isinstance(text, str) else ""


def _identity(detail: JsonObject) -> tuple[object, object]:
    return detail.get("type"), detail.get("index")


def _joined(detail: JsonObject, pieces: list[str]) -> JsonObject:
    field = _TEXT_FIELDS.get(str(detail.get("type")))
    return detail if field is None else {**detail, field: "".join(pieces)}
