"""The scanner finds what it looks for, however it was written."""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.isolation.scanner import Scanner

_STEM = "kanarie"
_TEXT = "kanarie0a1b2c3d4e5f6071"

_WRITTEN: dict[str, Callable[[bytes], bytes]] = {
    "raw": lambda raw: raw,
    "hex": lambda raw: raw.hex().encode(),
    "capital hex": lambda raw: raw.hex().upper().encode(),
    "utf-16-le": lambda raw: raw.decode().encode("utf-16-le"),
    "utf-16-be": lambda raw: raw.decode().encode("utf-16-be"),
    "percent": lambda raw: b"".join(b"%%%02x" % byte for byte in raw),
    "escaped": lambda raw: b"".join(b"\\u%04x" % byte for byte in raw),
    "base64": base64.b64encode,
    "base64url": base64.urlsafe_b64encode,
    "in JSON": lambda raw: json.dumps({"a": [raw.decode()]}).encode(),
    "in a URL": lambda raw: b"/x?" + urllib.parse.urlencode({"q": raw.decode()}).encode(),
}


@pytest.mark.parametrize("form", _WRITTEN)
@pytest.mark.parametrize("before", range(3))
def test_a_text_is_found_in_every_form(form: str, before: int) -> None:
    """Wherever it begins: base64 looks different at each of three offsets."""
    written = _WRITTEN[form](b"." * before + _TEXT.encode() + b" and more")
    assert Scanner(_STEM).scan("here", bytes(100) + written + bytes(100))
    assert Scanner("other", {"name": _TEXT}).scan("here", written)


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    """Random bytes hold no text."""
    (tmp_path / "random").write_bytes(bytes(range(256)) * 5000)
    assert not Scanner(_STEM, {"name": _TEXT}).scan_files(tmp_path)


def test_files_are_found_wherever_they_are(tmp_path: Path) -> None:
    """Below the folder, and by what they are called; but for those that are to be spared."""
    (tmp_path / "a" / _TEXT).mkdir(parents=True)
    (tmp_path / "a" / "b").write_bytes(_TEXT.encode())
    (tmp_path / "c").write_bytes(_TEXT.encode())
    hits = Scanner(_STEM).scan_files(tmp_path, but=[tmp_path / "c"])
    assert {(hit.place, hit.text) for hit in hits} == {("names", _TEXT), ("a/b", _TEXT)}


def test_secrets_of_bytes_are_found() -> None:
    """A key of random bytes, as it is or in text."""
    key = bytes(range(7, 39))
    for written in (key, key.hex().encode(), base64.b64encode(key), base64.urlsafe_b64encode(key)):
        assert {hit.text for hit in Scanner(_STEM, {"root key": key}).scan("here", b"--" + written)} == {"root key"}
