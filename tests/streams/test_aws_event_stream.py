"""AWS event streams: cut anywhere, broken anywhere, and held against Amazon's own reader."""

from __future__ import annotations

import struct
from uuid import UUID
from zlib import crc32

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.hub.errors import UpstreamBroken
from antiphon.streams.aws_event_stream import EventStreamMessage, EventStreamParser
from tests.providers.bedrock_frames import event, frame, raw_frame

STREAM = (
    event("messageStart", {"role": "assistant"})
    + frame({"flag": True, "off": False, "n": -7, "raw": b"\x00\xff", "id": UUID(int=5)}, b"")
    + frame({}, b"no headers")
    + event("contentBlockDelta", {"delta": {"text": "Grüß 👋"}})
)


def parsed(*blocks: bytes) -> list[EventStreamMessage]:
    """The messages of a stream that came in these blocks, and then ended."""
    parser = EventStreamParser()
    messages = [message for block in blocks for message in parser.feed(block)]
    parser.finish()
    return messages


def test_messages() -> None:
    """A message has its headers with their types, and its payload as it came."""
    first, second, third, fourth = parsed(STREAM)

    assert first.headers == {
        ":event-type": "messageStart",
        ":content-type": "application/json",
        ":message-type": "event",
    }
    assert first.payload == b'{"role":"assistant"}'
    assert second.headers == {"flag": True, "off": False, "n": -7, "raw": b"\x00\xff", "id": UUID(int=5)}
    assert third == EventStreamMessage({}, b"no headers")
    assert fourth.payload == '{"delta":{"text":"Grüß 👋"}}'.encode()


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [(2, b"\xff", -1), (3, b"\x01\x00", 256), (5, b"\xff" * 8, -1), (8, b"\x00" * 7 + b"\x09", 9)],
    ids=["byte", "short", "long", "timestamp"],
)
def test_integers(kind: int, value: bytes, expected: int) -> None:
    """Integers of every width are signed; a timestamp is its milliseconds."""
    assert parsed(raw_frame(b"\x01n" + bytes([kind]) + value, b""))[0].headers == {"n": expected}


def test_every_split_gives_the_same_messages() -> None:
    """Where a stream is cut into two, or into single bytes, changes no message."""
    expected = parsed(STREAM)

    assert parsed(*(STREAM[index : index + 1] for index in range(len(STREAM)))) == expected
    for cut in range(len(STREAM)):
        assert parsed(STREAM[:cut], STREAM[cut:]) == expected


def test_a_stream_that_stops_within_a_message_is_broken() -> None:
    """Only at the end of a message may a stream end."""
    ends = []
    for cut in range(len(STREAM) + 1):
        try:
            parsed(STREAM[:cut])
        except UpstreamBroken:
            continue
        ends.append(cut)

    assert len(ends) == len(parsed(STREAM)) + 1


def test_a_changed_byte_is_noticed() -> None:
    """Whichever byte of a message is changed, the message never comes out."""
    message = event("messageStop", {"stopReason": "end_turn"})
    for place in range(len(message)):
        changed = bytearray(message)
        changed[place] ^= 0x10

        with pytest.raises(UpstreamBroken):
            parsed(bytes(changed))


def test_what_came_before_a_fault_is_said() -> None:
    """Messages before a broken one in the same block are returned; the next call raises the fault."""
    good, bad = event("messageStart", {}), bytearray(event("messageStop", {}))
    bad[-1] ^= 1
    parser = EventStreamParser()

    assert len(parser.feed(good + bytes(bad))) == 1
    with pytest.raises(UpstreamBroken, match="checksum"):
        parser.feed(b"")
    with pytest.raises(UpstreamBroken, match="checksum"):
        parser.finish()


def test_a_wrong_length_is_noticed_before_anything_is_awaited() -> None:
    """The prelude's own checksum is checked when it is there, so that a wrong length does not make anybody wait."""
    message = bytearray(event("messageStart", {}))
    message[0] = 0x7F

    with pytest.raises(UpstreamBroken, match="prelude"):
        EventStreamParser().feed(bytes(message[:12]))


def test_a_message_over_the_limit_is_refused_by_its_prelude() -> None:
    """A message that says it is too long is refused before it is held."""
    message = frame({}, b"x" * 100)

    with pytest.raises(UpstreamBroken, match="115 bytes"):
        EventStreamParser(max_message_bytes=115).feed(message[:12])
    assert EventStreamParser(max_message_bytes=116).feed(message)


@pytest.mark.parametrize(
    ("total", "headers"),
    [(15, 0), (16, 1), (0, 0), (400_000, 128 * 1024 + 1), (16, 2**32 - 1)],
    ids=["too short", "headers longer than the message", "nothing", "too many headers", "absurd"],
)
def test_lengths_that_cannot_be(total: int, headers: int) -> None:
    """Lengths that contradict each other, or the specification, are a fault."""
    prelude = struct.pack("!II", total, headers)

    with pytest.raises(UpstreamBroken):
        EventStreamParser().feed(prelude + struct.pack("!I", crc32(prelude)))


@pytest.mark.parametrize(
    "headers",
    [
        b"\x00\x00",
        b"\x05ab",
        b"\x01a",
        b"\x01a\x0a",
        b"\x01a\x04\x00",
        b"\x01a\x07\x00\x05ab",
        b"\x01a\x07\x00",
        b"\x01a\x09\x00",
        b"\x01a\x00\x01a\x00",
        b"\x02\xff\xfe\x00",
        b"\x01a\x07\x00\x01\xff",
    ],
    ids=[
        "no name",
        "a name that is cut",
        "no type",
        "an unknown type",
        "an integer that is cut",
        "a text that is cut",
        "a length that is cut",
        "an id that is cut",
        "a name that comes twice",
        "a name that is no text",
        "a text that is none",
    ],
)
def test_headers_that_are_none(headers: bytes) -> None:
    """Headers that cannot be read are a fault, whatever the checksums say."""
    with pytest.raises(UpstreamBroken, match="headers that are none"):
        parsed(raw_frame(headers, b""))


_HEADERS = st.dictionaries(
    st.text(min_size=1, max_size=20).filter(lambda name: len(name.encode()) < 256),
    st.booleans() | st.integers(-(2**31), 2**31 - 1) | st.binary(max_size=50) | st.text(max_size=50),
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(messages=st.lists(st.tuples(_HEADERS, st.binary(max_size=200)), max_size=4), cut=st.integers(0, 1000))
def test_amazons_own_reader_agrees(messages: list[tuple[dict[str, bool | int | bytes | str], bytes]], cut: int) -> None:
    """Amazon's botocore reads the same messages from the same bytes."""
    stream = b"".join(frame(headers, payload) for headers, payload in messages)
    oracle = EventStreamBuffer()
    oracle.add_data(stream)

    ours = [(dict(message.headers), message.payload) for message in parsed(stream[:cut], stream[cut:])]

    assert ours == [(message.headers, message.payload) for message in oracle]
    assert ours == messages
