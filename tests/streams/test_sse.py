"""Server-sent events: the specification's rules, cut anywhere."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.hub.errors import UpstreamBroken
from antiphon.streams.sse import ServerSentEvent, SseParser

CASES = {
    "one-frame": (b"data: {}\n\n", [("message", b"{}")]),
    "many-frames": (b"data: 1\n\ndata: 2\n\ndata: 3\n\n", [("message", b"1"), ("message", b"2"), ("message", b"3")]),
    "no-space-after-colon": (b"data:x\n\n", [("message", b"x")]),
    "only-one-space-is-removed": (b"data:  x\n\n", [("message", b" x")]),
    "several-data-lines": (b"data: a\ndata: b\n\n", [("message", b"a\nb")]),
    "data-without-colon-is-empty": (b"data\n\n", [("message", b"")]),
    "two-empty-data-lines": (b"data\ndata\n\n", [("message", b"\n")]),
    "named": (b"event: ping\ndata: x\n\n", [("ping", b"x")]),
    "name-is-reset": (b"event: ping\n\ndata: x\n\n", [("message", b"x")]),
    "last-name-counts": (b"event: a\nevent: b\ndata: x\n\n", [("b", b"x")]),
    "comment": (b": keep-alive\n\ndata: x\n\n", [("message", b"x")]),
    "comment-inside-an-event": (b"data: a\n: c\ndata: b\n\n", [("message", b"a\nb")]),
    "id-and-retry-are-ignored": (b"id: 1\nretry: 5\ndata: x\n\n", [("message", b"x")]),
    "unknown-fields-are-ignored": (b"datax: 1\n data: 2\ndata: x\n\n", [("message", b"x")]),
    "crlf": (b"data: a\r\n\r\ndata: b\r\n\r\n", [("message", b"a"), ("message", b"b")]),
    "cr": (b"data: a\r\rdata: b\r\r", [("message", b"a"), ("message", b"b")]),
    "mixed-line-ends": (b"data: a\r\ndata: b\n\rdata: c\r\n\n", [("message", b"a\nb"), ("message", b"c")]),
    "byte-order-mark": (b"\xef\xbb\xbfdata: x\n\n", [("message", b"x")]),
    "byte-order-mark-only-at-the-start": (b"\xef\xbb\xbf\xef\xbb\xbfdata: x\n\ndata: y\n\n", [("message", b"y")]),
    "more-blank-lines": (b"\n\n\ndata: x\n\n\n\ndata: y\n\n", [("message", b"x"), ("message", b"y")]),
    "colons-in-data": (b"data: a: b\n\n", [("message", b"a: b")]),
    "data-that-looks-like-a-frame": (b"data: data: x\n\n", [("message", b"data: x")]),
    "no-blank-line-no-event": (b"data: x\n", []),
    "nothing": (b"", []),
}


def parse(*blocks: bytes, max_event_bytes: int = 1 << 20) -> list[ServerSentEvent]:
    parser = SseParser(max_event_bytes=max_event_bytes)
    return [event for block in blocks for event in parser.feed(block)]


def reference(stream: bytes) -> list[ServerSentEvent]:
    """The specification's algorithm, byte by byte and without any thought of speed."""
    stream = stream.removeprefix(b"\xef\xbb\xbf")
    lines, line, index = [], b"", 0
    while index < len(stream):
        byte = stream[index : index + 1]
        index += 1
        if byte == b"\r" and stream[index : index + 1] == b"\n":
            index += 1
        if byte in (b"\r", b"\n"):
            lines.append(line)
            line = b""
        else:
            line += byte
    events: list[ServerSentEvent] = []
    data, name = b"", ""
    for line in lines:
        if not line:
            if data:
                events.append((name or "message", data[:-1]))
            data, name = b"", ""
            continue
        field, _, value = line.partition(b":")
        value = value[1:] if value[:1] == b" " else value
        if field == b"data":
            data += value + b"\n"
        elif field == b"event":
            name = value.decode(errors="replace")
    return events


@pytest.mark.parametrize(("stream", "expected"), CASES.values(), ids=CASES.keys())
def test_rules(stream: bytes, expected: list[ServerSentEvent]) -> None:
    """Each rule of the specification holds for a stream in one block."""
    assert parse(stream) == expected


@pytest.mark.parametrize(("stream", "expected"), CASES.values(), ids=CASES.keys())
def test_every_split(stream: bytes, expected: list[ServerSentEvent]) -> None:
    """Where a stream is cut changes nothing."""
    for cut in range(len(stream) + 1):
        assert parse(stream[:cut], stream[cut:]) == expected
    assert parse(*(stream[index : index + 1] for index in range(len(stream)))) == expected


FRAGMENTS = [
    b"data: ",
    b"data:",
    b"data",
    b"event: ",
    b"event",
    b"id: 1",
    b":",
    b" ",
    b"x",
    b'{"a":1}',
    b"\xef\xbb\xbf",
]
ENDS = [b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n", b"\n\ndata: ", b"\n\nevent: ", b"\ndata: "]


@given(
    st.lists(st.sampled_from(FRAGMENTS + ENDS), max_size=40).map(b"".join),
    st.lists(st.integers(0, 200), max_size=6),
)
def test_fast_path_agrees_with_the_specification(stream: bytes, cuts: list[int]) -> None:
    """However a stream is made and cut, the parser gives what the specification's own algorithm gives."""
    bounds = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    blocks = [stream[start:end] for start, end in pairwise(bounds)]

    assert parse(*blocks) == reference(stream)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_stream(stream: bytes) -> None:
    """No input makes the parser fail."""
    assert parse(stream) == reference(stream)


LIMIT = 20
OVER = {
    "one-line": b"data: " + b"x" * LIMIT + b"\n\n",
    "line-without-end": b"data: " + b"x" * LIMIT,
    "many-lines": b"data: 12345678\n" * 3 + b"\n",
    "comment": b":" + b"x" * LIMIT + b"\n",
}


@pytest.mark.parametrize("stream", OVER.values(), ids=OVER.keys())
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_an_event_over_the_limit_is_refused(stream: bytes, size: int) -> None:
    """An event that does not fit the budget is an error that names the setting, however it arrives."""
    blocks = [stream[start : start + size] for start in range(0, len(stream), size)]

    with pytest.raises(UpstreamBroken, match="max_event_bytes"):
        parse(*blocks, max_event_bytes=LIMIT)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_limit_is_for_one_event(size: int) -> None:
    """A stream of any length passes as long as each event fits, and comments do not add up."""
    stream = (b":" + b"c" * 9 + b"\n") * 20 + b"data: 0123456789\n\n" * 20
    blocks = [stream[start : start + size] for start in range(0, len(stream), size)]

    assert parse(*blocks, max_event_bytes=LIMIT) == [("message", b"0123456789")] * 20


PENDING = {
    "nothing": (b"data: a\n\n", []),
    "without-any-line-end": (b"data: a\n\ndata: b", [("message", b"b")]),
    "without-blank-line": (b"data: b\n", [("message", b"b")]),
    "several-lines": (b"data: a\ndata: b", [("message", b"a\nb")]),
    "no-data": (b": comment", []),
}


@pytest.mark.parametrize(("stream", "expected"), PENDING.values(), ids=PENDING.keys())
def test_pending_shows_what_the_end_cut_off(stream: bytes, expected: list[ServerSentEvent]) -> None:
    """What follows the last blank line is no event, and can be looked at without changing anything."""
    parser = SseParser()
    parser.feed(stream)

    assert parser.pending() == expected
    assert parser.pending() == expected
