"""
The frames of the API's WebSocket: what a client asks for, and the errors that it is told.

A ``response.create`` frame is the body of ``POST /v1/responses`` with three fields of its own. Events of a response are
written by :mod:`.stream`; a frame is the same JSON.

    https://developers.openai.com/api/docs/guides/websocket-mode
"""

from __future__ import annotations

import re
from typing import Any

from orjson import dumps

from antiphon.formats.checks.flaw import Flaw, invalid_type, invalid_value, missing
from antiphon.hub.errors import AntiphonError, InvalidRequest, UnsupportedParameter
from antiphon.hub.format import CreateFrame, RefusedFrame
from antiphon.hub.items import JsonObject

__all__ = ["decode_frame", "encode_error"]

_CREATE = "response.create"
_STEER = "response.steer"
_OWN_FIELDS = ("type", "stream_id", "generate")

_STREAM_ID = re.compile(r"[A-Za-z0-9_.-]{1,256}")

_NO_STEERING = (
    "Steering is not supported by this gateway. Send the input as a 'response.create' that continues from the response "
    "when it has completed."
)


def decode_frame(frame: JsonObject) -> CreateFrame | RefusedFrame:
    """
    What a client's frame asks for.

    Every answer on a WebSocket is a stream, so ``stream`` says nothing here, whatever it is.
    """
    stream_id = None
    try:
        if frame.get("type") == _STEER:
            return RefusedFrame(answer=_steer_failed(frame))
        stream_id = _stream_id(frame)
        _check_type(frame.get("type"))
        return CreateFrame(stream_id=stream_id, generate=_generate(frame), body=_body(frame))
    except Flaw as flaw:
        return RefusedFrame(answer=encode_error(flaw.error(), stream_id))
    except InvalidRequest as error:
        return RefusedFrame(answer=encode_error(error, stream_id))


def encode_error(error: AntiphonError, stream_id: str | None = None) -> bytes:
    """The frame that tells of an error: OpenAI's envelope with the status that it would have over HTTP."""
    lane = {} if stream_id is None else {"stream_id": stream_id}
    return dumps({"type": "error", "status": error.http_status, **lane, **error.envelope()})


def _stream_id(frame: JsonObject) -> str | None:
    value = frame.get("stream_id")
    if value is None or (isinstance(value, str) and _STREAM_ID.fullmatch(value)):
        return value
    raise InvalidRequest(
        "The 'stream_id' field must be a non-empty string with at most 256 characters and may only contain letters, "
        "numbers, underscores, hyphens, and periods.",
        param="stream_id",
        code="invalid_stream_id",
    )


def _check_type(kind: Any) -> None:
    if kind is None:
        raise missing("type")
    if not isinstance(kind, str):
        raise invalid_type("a string", kind).under(".type")
    if kind != _CREATE:
        raise invalid_value(kind, [_CREATE]).under(".type")


def _generate(frame: JsonObject) -> bool:
    value = frame.get("generate")
    if value is None:
        return True
    if not isinstance(value, bool):
        raise invalid_type("a boolean", value).under(".generate")
    return value


def _body(frame: JsonObject) -> JsonObject:
    if frame.get("background") is True:
        raise UnsupportedParameter(
            "Unsupported parameter: 'background' is not supported over a WebSocket. Send the request over HTTP, or "
            "leave it out.",
            param="background",
        )
    body = {name: value for name, value in frame.items() if name not in _OWN_FIELDS}
    if body.get("stream") in (None, False):
        body["stream"] = True
    return body


def _steer_failed(frame: JsonObject) -> bytes:
    """The input goes back to the client, who may send it as a turn."""
    parent, given = frame.get("previous_response_id"), frame.get("input")
    if parent is None:
        raise missing("previous_response_id")
    if not isinstance(parent, str):
        raise invalid_type("a string", parent).under(".previous_response_id")
    if given is None:
        raise missing("input")
    if not isinstance(given, str | list):
        raise invalid_type("one of a string or array of input items", given).under(".input")
    error = {"type": "invalid_request_error", "code": "steering_not_supported", "message": _NO_STEERING}
    steer = {"previous_response_id": parent, "input": given}
    return dumps({"type": "response.steer.failed", "error": error, "steer": steer, "sequence_number": 0})
