"""Looks for texts in bytes, in every form in which a careless program may have written them."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Hit", "Scanner", "forms_of"]


@dataclass(frozen=True)
class Hit:
    """
    A text that was found.

    Attributes:
        text: Which one, as far as it can be told from what was found.
        form: How it was written.
        place: The file, or whatever the bytes are of.
    """

    text: str
    form: str
    place: str


def forms_of(text: str) -> Mapping[str, bytes]:
    """A text in all forms, by their names: raw, hex, UTF-16, percent-encoded, and base64 wherever it begins."""
    raw = text.encode()
    forms = {
        "raw": raw,
        "hex": raw.hex().encode(),
        "capital hex": raw.hex().upper().encode(),
        "utf-16-le": text.encode("utf-16-le"),
        "utf-16-be": text.encode("utf-16-be"),
        "percent": "".join(f"%{byte:02x}" for byte in raw).encode(),
        "capital percent": "".join(f"%{byte:02X}" for byte in raw).encode(),
        "escaped": "".join(f"\\u{ord(char):04x}" for char in text).encode(),
    }
    for before in range(3):
        # The characters at both ends also hold bits of what stands beside the text.
        first, last = -(-before * 8 // 6), (before + len(raw)) * 8 // 6
        padded = bytes(before) + raw + bytes(3)
        forms[f"base64 +{before}"] = base64.b64encode(padded)[first:last]
        forms[f"base64url +{before}"] = base64.urlsafe_b64encode(padded)[first:last]
    return forms


class Scanner:
    """
    Looks for many texts at once.

    Args:
        stem: What the texts begin with that are sown in great number.
        texts: Others, each with a name.
    """

    def __init__(self, stem: str, texts: Mapping[str, str | bytes] = {}) -> None:
        self._stem = stem
        self._raw = re.compile(re.escape(stem.encode()) + rb"[0-9a-f]{16}")
        self._wanted = [(stem, form, pattern) for form, pattern in forms_of(stem).items()]
        for name, text in texts.items():
            self._wanted += [(name, form, pattern) for form, pattern in _forms(text)]

    def scan(self, place: str, data: bytes) -> set[Hit]:
        """What is in *data*."""
        hits = set()
        for name, form, pattern in self._wanted:
            if pattern in data:
                whole = self._raw.findall(data) if form == "raw" and name == self._stem else []
                hits |= {Hit(each.decode(), form, place) for each in whole} or {Hit(name, form, place)}
        return hits

    def scan_files(self, folder: Path, *, but: Iterable[Path] = ()) -> set[Hit]:
        """What is in all files below a folder, and in their names."""
        spared = {path.resolve() for path in but}
        hits: set[Hit] = set()
        for path in sorted(folder.rglob("*")):
            place = str(path.relative_to(folder))
            hits |= self.scan("names", place.encode())
            if path.is_file() and path.resolve() not in spared:
                hits |= self.scan(place, path.read_bytes())
        return hits


def _forms(text: str | bytes) -> list[tuple[str, bytes]]:
    if isinstance(text, str):
        return list(forms_of(text).items())
    forms = {"raw": text, "hex": text.hex().encode(), "base64": base64.b64encode(text).rstrip(b"=")}
    return [*forms.items(), ("base64url", base64.urlsafe_b64encode(text).rstrip(b"="))]
