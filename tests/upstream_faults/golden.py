"""The golden streams: recorded and documented replies, and some of our own for what those do not have."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.support.scripted_upstream import delta, finish, text_stream

__all__ = ["golden_streams"]

_TRANSCRIPTS = Path(__file__).parent.parent / "transcripts" / "openai_chat"


def golden_streams() -> Mapping[str, bytes]:
    """Whole streams by their names. Those that end in an error of their own are among them."""
    recorded = {path.stem: path.read_bytes() for path in sorted(_TRANSCRIPTS.glob("*.sse"))}
    return {**recorded, **_OWN}


def _piece(index: int, **function: str) -> dict[str, object]:
    return {"index": index, "function": function}


_CALLS = [
    delta(tool_calls=[{"id": "a", **_piece(0, name="look", arguments='{"at":')}]),
    delta(tool_calls=[{"id": "b", **_piece(1, name="find", arguments='{"what":')}]),
    delta(tool_calls=[_piece(0, arguments='"ß → 🜁"}')]),
    delta(tool_calls=[_piece(1, arguments='"\\u00e9"}')]),
]

_OWN: Mapping[str, bytes] = {
    "own_wide_text": text_stream("Ünïcödé 漢字 🜁🜂 e\u0301 \u2028 end"),
    "own_raw_utf8": 'data: {"choices":[{"index":0,"delta":{"content":"漢字 🜁 ß"}}]}\n\n'.encode() + finish(),
    "own_crossed_calls": b"".join(_CALLS) + finish("tool_calls"),
    "own_comments": b": one\n\n".join([b"", *(event + b"\n\n" for event in text_stream("a b c").split(b"\n\n")[:-1])]),
    "own_byte_order_mark": b"\xef\xbb\xbf" + text_stream("mark"),
    "own_carriage_returns": text_stream("one two").replace(b"\n", b"\r"),
    "own_events_of_two_lines": text_stream("x y").replace(b'"choices"', b'\ndata: "choices"'),
    "own_named_events": text_stream("n").replace(b"data: ", b"event: message\nid: 7\ndata: "),
}
