"""
Holds every answer of a gateway against OpenAI's published document and the openai client's types.

A recorder sees answers where they leave: as an ASGI application around the gateway's (here), or between a client and a
gateway in another process (:mod:`tests.support.recorder_relay`). It changes nothing and keeps what is wrong until the
test ends, so that no test has to ask.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import cache
from typing import Any

import orjson

from tests.support.openapi_document import OpenAPIDocument, published
from tests.support.openapi_document_sdk import sdk_event_violations, sdk_socket_violations, sdk_violations
from tests.support.recorder_dialects import DialectForm, dialect_form
from tests.support.recorder_form import form_of

__all__ = ["OWN_DOCUMENT", "Answer", "Recorder"]

OWN_DOCUMENT = "/openapi.json"

Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Any, Receive, Send], Awaitable[None]]

_FRAME_END = re.compile(rb"\r?\n\r?\n")
_SHOWN = 20
# A WebSocket's error says its HTTP status and carries the envelope; the published document has no WebSocket.
_SOCKET_ERROR = frozenset({"type", "status", "error", "stream_id"})
_STEERING = "response.steer."


class Recorder:
    """
    What was wrong with the answers so far.

    Attributes:
        answers: How many whole answers were looked at.
        events: How many events of streams were.
        violations: Each with the request that it belongs to; each once.

    Routes that OpenAI does not have are held against the gateway's own document, once :meth:`learn` was told it.
    """

    def __init__(self, document: OpenAPIDocument | None = None) -> None:
        self.answers = 0
        self.events = 0
        self.violations: dict[str, None] = {}
        self._document = document or published()
        self._own: OpenAPIDocument | None = None
        self._has_asked = False

    def assert_clean(self) -> None:
        """Nothing was wrong."""
        found = list(self.violations)
        assert not found, "\n".join([f"{len(found)} violations of the published API:", *found[:_SHOWN]])

    def around(self, application: Application) -> Application:
        """*application*, with everything that it answers looked at."""

        async def recording(scope: Any, receive: Receive, send: Send) -> None:
            if scope["type"] == "websocket":
                await application(scope, receive, self._socket(scope["path"], send))
            elif scope["type"] == "http":
                await self._ask(application, scope)
                await application(scope, receive, self._http(scope, send))
            else:
                await application(scope, receive, send)

        return recording

    async def _ask(self, application: Application, scope: Any) -> None:
        """Have the application tell its own document, if it takes that to know its answer to this request."""
        described = self._document.describes(scope["method"], scope["path"])
        is_theirs = described and not _asks_for_more(scope) and dialect_form(scope["method"], scope["path"]) is None
        if self._has_asked or is_theirs:
            return
        self._has_asked = True
        told: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            told.append(message)

        asked = {**scope, "method": "GET", "path": OWN_DOCUMENT, "raw_path": OWN_DOCUMENT.encode(), "query_string": b""}
        await application(asked, receive, send)
        self.learn(told[0]["status"], b"".join(message.get("body", b"") for message in told[1:]))

    def learn(self, status: int, raw: bytes) -> None:
        """What the gateway answered when it was asked for its own OpenAPI document."""
        self._own = _own_document(raw) if status == 200 else None

    def _http(self, scope: Any, send: Send) -> Send:
        answer: Answer | None = None
        extended = _asks_for_more(scope)

        async def recording(message: Message) -> None:
            nonlocal answer
            await send(message)
            if message["type"] == "http.response.start":
                kinds = [value for name, value in message["headers"] if name.lower() == b"content-type"]
                request = (scope["method"], scope["path"], message["status"])
                answer = Answer(self, *request, b"".join(kinds), extended=extended)
            elif message["type"] == "http.response.body" and answer is not None:
                answer.feed(message.get("body", b""))
                if not message.get("more_body"):
                    answer.finish()

        return recording

    def _socket(self, path: str, send: Send) -> Send:
        async def recording(message: Message) -> None:
            await send(message)
            if message["type"] == "websocket.send":
                self.socket_message(path, message.get("text") or message.get("bytes") or b"")

        return recording

    def body(self, method: str, path: str, status: int, raw: bytes, *, extended: bool = False) -> None:
        """A whole JSON answer; *extended* by what a parameter of ours asked for."""
        self.answers += 1
        place = f"{method} {path} {status}"
        try:
            value = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            self._complain(place, [f"not JSON: {error}"])
            return
        form = dialect_form(method, path)
        if form is not None:
            self._dialect_value(place, form.error if status >= 400 else form.answer, value)
            return
        theirs = status >= 400 or self._own is None or (self._document.describes(method, path) and not extended)
        document = self._document if theirs or self._own is None else self._own
        self._complain(place, _body_violations(document, method, _without_ids(path), status, _Value(value, document)))

    def event(self, path: str, value: Any) -> None:
        """One event of a response's stream."""
        self.events += 1
        place = f"{path} {value.get('type') if isinstance(value, dict) else value}"
        self._complain(place, _event_violations(self._document, _Value(value, self._document)))

    def dialect_event(self, path: str, form: DialectForm, value: Any) -> None:
        """One event of a dialect's stream: what it says next, or an error."""
        self.events += 1
        is_error = isinstance(value, dict) and set(value) == {"error"}
        self._dialect_value(f"{path} event", form.error if is_error else form.event, value)

    def _dialect_value(self, place: str, schema: str | None, value: Any) -> None:
        if schema is None:
            self._complain(place, ["the gateway's document does not describe such an answer"])
        elif self._own is not None:
            self._complain(place, self._own.schema_violations(schema, value))

    def socket_message(self, path: str, raw: bytes | str) -> None:
        """One message of a WebSocket: an event as a stream has it, or an error with its HTTP status."""
        value = orjson.loads(raw)
        if isinstance(value, dict) and value.get("type") == "error" and "status" in value:
            self.events += 1
            extra = [f"{name}: unknown" for name in sorted(value.keys() - _SOCKET_ERROR - {"sequence_number"})]
            flaws = self._document.schema_violations("ErrorResponse", {"error": value.get("error")})
            self._complain(f"{path} error {value['status']}", [*extra, *flaws, *sdk_socket_violations(value)])
        elif isinstance(value, dict) and str(value.get("type")).startswith(_STEERING):
            self.events += 1
            self._complain(f"{path} {value['type']}", sdk_socket_violations(value))
        else:
            self.event(path, value)

    def complain(self, place: str, flaw: str) -> None:
        """Note that something else is wrong."""
        self._complain(place, [flaw])

    def _complain(self, place: str, flaws: Iterable[str]) -> None:
        for flaw in flaws:
            self.violations[f"{_without_ids(place)}: {flaw}"] = None


class Answer:
    """One HTTP answer as it arrives: :meth:`feed` its body, then :meth:`finish`."""

    def __init__(
        self, recorder: Recorder, method: str, path: str, status: int, content_type: bytes, *, extended: bool = False
    ) -> None:
        self._recorder = recorder
        self._extended = extended
        self._request = (method, path, status)
        self._form = dialect_form(method, path)
        self._is_stream = content_type.startswith(b"text/event-stream")
        # Nobody reads the body of a CORS preflight.
        self._is_json = content_type.partition(b";")[0] == b"application/json" and method != "OPTIONS"
        self._held = b""
        self._next: int | None = None
        self._ended = False

    def feed(self, data: bytes) -> None:
        """The next bytes of the body."""
        if self._is_stream:
            *frames, self._held = _FRAME_END.split(self._held + data)
            for frame in frames:
                self._frame(frame)
        elif self._is_json:
            self._held += data

    def finish(self) -> None:
        """The body has ended as HTTP says that it should."""
        if self._is_json:
            self._recorder.body(*self._request, self._held, extended=self._extended)
        elif self._is_stream and self._held:
            self._recorder.complain(self._request[1], "the stream ends within an event")

    def _frame(self, frame: bytes) -> None:
        fields = dict(line.split(b": ", 1) for line in frame.split(b"\n") if line and not line.startswith(b":"))
        data = fields.get(b"data")
        if data is None:
            return
        path = self._request[1]
        if self._ended:
            self._recorder.complain(path, "an event after [DONE]")
        if data == b"[DONE]":
            self._ended = True
            return
        value = orjson.loads(data)
        if self._form is not None and not self._form.named:
            self._recorder.dialect_event(path, self._form, value)
            return
        if fields.get(b"event") != str(value.get("type")).encode():
            self._recorder.complain(path, f"the event line says {fields.get(b'event')!r}, the data {value.get('type')}")
        if self._form is not None:
            self._recorder.dialect_event(path, self._form, value)
            return
        self._number(path, value.get("sequence_number"))
        self._recorder.event(path, value)

    def _number(self, path: str, number: Any) -> None:
        """Numbers go up by one; a resumed stream begins anywhere."""
        if self._next is not None and number != self._next:
            self._recorder.complain(path, f"sequence number {number} where {self._next} was due")
        self._next = number + 1 if isinstance(number, int) else None


def _asks_for_more(scope: Any) -> bool:
    """Whether an operation that OpenAI has is asked with a parameter of ours, which its answer honours."""
    return any(name in scope.get("query_string", b"") for name in (b"receipt=", b"dry_run="))


class _Value:
    """A value that equals every value of the same form."""

    def __init__(self, value: Any, document: OpenAPIDocument) -> None:
        self.value = value
        self._form = form_of(value, document.words)
        self._hash = hash(self._form)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Value) and self._form == other._form

    def __hash__(self) -> int:
        return self._hash


@cache
def _body_violations(document: OpenAPIDocument, method: str, path: str, status: int, body: _Value) -> tuple[str, ...]:
    flaws = document.violations(method, path, status, body.value)
    return (*flaws, *(f"openai client: {flaw}" for flaw in sdk_violations(method, path, status, body.value)))


@cache
def _event_violations(document: OpenAPIDocument, event: _Value) -> tuple[str, ...]:
    flaws = document.event_violations(event.value)
    return (*flaws, *(f"openai client: {flaw}" for flaw in sdk_event_violations(event.value)))


@cache
def _own_document(raw: bytes) -> OpenAPIDocument:
    return OpenAPIDocument(orjson.loads(raw))


def _without_ids(place: str) -> str:
    """*place* with ids of ours left out, so that one flaw is one complaint."""
    return re.sub(r"\b([a-z]{2,5})_[0-9a-f]{50}\b", r"\1_…", place)
