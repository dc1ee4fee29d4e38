"""The frames of WebSocket mode, without a connection."""

from __future__ import annotations

import orjson
import pytest

from antiphon.formats.responses import ResponsesFormat
from antiphon.hub.errors import InvalidRequest, PreviousResponseNotFound
from antiphon.hub.events import OutputTextDelta, ResponseCreated
from antiphon.hub.format import CreateFrame, RefusedFrame


def test_a_frame_is_a_body_in_an_envelope() -> None:
    """The fields of the frame are taken out, the body is as over HTTP, and every answer is a stream."""
    frame = {"type": "response.create", "stream_id": "a", "generate": False, "model": "m", "input": "x", "store": False}
    body = {"model": "m", "input": "x", "store": False, "stream": True}
    assert CreateFrame(stream_id="a", generate=False, body=body) == ResponsesFormat().decode_frame(frame)


@pytest.mark.parametrize("absent", [{}, {"stream_id": None, "generate": None, "background": None}])
def test_null_is_absent(absent: dict[str, None]) -> None:
    """As everywhere in the API."""
    decoded = ResponsesFormat().decode_frame({"type": "response.create", "model": "m", "input": "x", **absent})
    assert isinstance(decoded, CreateFrame)
    assert (decoded.stream_id, decoded.generate) == (None, True)


def test_a_refusal_names_its_lane() -> None:
    """If the lane's name is one."""
    refused = ResponsesFormat().decode_frame({"type": "nonsense", "stream_id": "a"})
    assert isinstance(refused, RefusedFrame)
    assert orjson.loads(refused.answer)["stream_id"] == "a"


def test_an_error_is_openais_frame() -> None:
    """To the letter."""
    expected = {
        "type": "error",
        "status": 400,
        "error": {
            "type": "invalid_request_error",
            "code": "previous_response_not_found",
            "message": "Previous response with id 'resp_x' not found.",
            "param": "previous_response_id",
        },
    }
    assert expected == orjson.loads(ResponsesFormat().encode_error(PreviousResponseNotFound("resp_x")))


def test_the_words_about_stream_ids_are_openais() -> None:
    """To the letter, whatever is wrong with it."""
    refused = ResponsesFormat().decode_frame({"type": "response.create", "stream_id": "é"})
    assert isinstance(refused, RefusedFrame)
    assert orjson.loads(refused.answer)["error"]["message"] == (
        "The 'stream_id' field must be a non-empty string with at most 256 characters and may only contain letters, "
        "numbers, underscores, hyphens, and periods."
    )


@pytest.mark.parametrize("obfuscate", [True, False])
def test_events_alone_are_those_of_a_stream(*, obfuscate: bool) -> None:
    """encode_each gives the data of what encode writes, padding and numbers included."""
    events = [
        ResponseCreated({"id": "resp_x", "text": "line\nbreak\n\ndata: x"}),
        *[OutputTextDelta(item_id="msg_x", output_index=0, content_index=0, delta=text) for text in ("a", "\n\n", "é")],
    ]
    stream = ResponsesFormat().stream_encoder(obfuscate=obfuscate).encode(events)
    each = ResponsesFormat().stream_encoder(obfuscate=obfuscate).encode_each(events)
    names = [orjson.loads(one)["type"].encode() for one in each]
    framed = [b"event: %b\ndata: %b\n\n" % (name, one) for name, one in zip(names, each, strict=True)]
    assert stream == b"".join(framed)


def test_only_a_turn_that_generates_needs_input() -> None:
    """A body without input is whole if nothing is to be generated."""
    format_ = ResponsesFormat()
    assert format_.decode({"model": "m"}, generate=False).input == ()
    assert not format_.decode({"model": "m", "input": []}, generate=False).generate
    with pytest.raises(InvalidRequest, match="Missing required parameter: 'input'"):
        format_.decode({"model": "m"})
