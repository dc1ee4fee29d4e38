"""
HTTP/1.1 as this server takes it: uvicorn's protocol on llhttp, within limits of size and time.

uvicorn frames requests as strictly as llhttp does (RFC 9112), and leaves open how large a head may be, how long a
client may take for it, and what becomes of a request that is malformed while another one is being answered. Here:

- A head within its limits, exactly one Host, no transfer coding in HTTP/1.0, trailers thrown away. Whoever frames a
  request so that two servers could disagree on where it ends is answered once, and the connection ends.
- Everything that a client can be slow at has a deadline that grows with what it has done. Nothing that it sends
  without an end is kept.
- What is wrong while an earlier answer is on its way never gets into that answer: it ends, and the connection with it.

Every refusal is OpenAI's envelope with a request id.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import re
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import httptools
import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from antiphon.hub.errors import AntiphonError, HeadersTooLarge, InvalidRequest, RequestTimeout
from antiphon.server.connections import ConnectionLimits, Connections
from antiphon.server.exchange import VERSIONS
from antiphon.server.head import HeadLimits, name_once, too_large, too_many
from antiphon.server.reply import error_headers

__all__ = ["HttpProtocol", "http_protocol"]

_FIELD_BYTES = 4

# Each chunk of a chunked body costs a few bytes more than its data; extensions of chunks could go on for ever.
_OVERHEAD_BYTES = 64 * 1024
_OVERHEAD_PER_BYTE = 8

_NO_LINGER = struct.pack("ii", 1, 0)

_WEBSOCKET_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")


class _Phase(enum.Enum):
    """Where the parser stands in what the client sends."""

    BETWEEN = "between"  # nothing of a request has come
    HEAD = "head"
    BODY = "body"
    DEAF = "deaf"  # thrown away: an answer is ending, or the client is given time to read one


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shared:
    """What all connections of a server have in common."""

    head: HeadLimits
    limits: ConnectionLimits
    connections: Connections
    next_request_id: Callable[[], str]


class HttpProtocol(HttpToolsProtocol):
    """
    One connection; see the module. :func:`http_protocol` makes the class that a server needs.

    uvicorn calls its methods: as an asyncio protocol, as llhttp's callbacks, and at the end of each answer.
    """

    shared: ClassVar[_Shared]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self.limits = self.shared.limits
        self.head_limits = self.shared.head
        self._phase = _Phase.HEAD
        self._since = self.loop.time()
        self._wire_bytes = self._head_bytes = self._body_bytes = 0
        self._refusal: AntiphonError | None = None
        self._answering: RequestResponseCycle | None = None
        self._stalled: tuple[float, int] | None = None
        self._address = self.client[0] if self.client else ""
        refusal = self.shared.connections.enter(self)
        if refusal is not None:
            self._refuse(refusal)

    def connection_lost(self, exc: Exception | None) -> None:
        self.shared.connections.leave(self)
        if self._answering is not None and not self._answering.response_complete:
            self._answering.disconnected = True  # uvicorn tells only the newest request
            self._answering.message_event.set()
        super().connection_lost(exc)

    @property
    def address(self) -> str:
        """The client's address, without its port."""
        return self._address

    @property
    def is_open(self) -> bool:
        """Whether nobody has closed the connection."""
        return not self.transport.is_closing()

    # What comes.

    def data_received(self, data: bytes) -> None:
        if self._phase is _Phase.DEAF:
            return
        self._unset_keepalive_if_required()
        if self._phase is _Phase.BETWEEN:
            self._enter(_Phase.HEAD)
        self._wire_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._upgrade()
        except httptools.HttpParserError as error:
            self._refuse(self._refusal or _malformed(error))
        else:
            self._check_wire()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_bytes = self._body_bytes = 0
        self._enter(_Phase.HEAD)

    def on_url(self, url: bytes) -> None:
        self.url += url
        if len(self.url) > self.head_limits.max_url_bytes:
            raise self._refused(
                HeadersTooLarge(
                    f"The request's URL is longer than max_url_bytes ({self.head_limits.max_url_bytes} bytes)."
                )
            )

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value) + _FIELD_BYTES
        if self._head_bytes > self.head_limits.max_header_bytes:
            raise self._refused(too_large(self.head_limits))
        if self._phase is _Phase.BODY:
            return  # a trailer (RFC 9110, 6.5.1): a field that came too late to be looked at
        if len(self.headers) >= self.head_limits.max_headers:
            raise self._refused(too_many(self.head_limits))
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._check_head()
        super().on_headers_complete()
        self._enter(_Phase.BODY)
        if len(self.pipeline) > self.limits.max_pipelined:
            raise self._refused(_pipelined(self.limits))

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._wire_bytes = 0
        self._enter(_Phase.BETWEEN)

    def _enter(self, phase: _Phase) -> None:
        self._phase = phase
        self._since = self.loop.time()

    # What is looked at.

    def _check_wire(self) -> None:
        """What the parser keeps, or goes through, without telling us of it."""
        if self._phase is _Phase.HEAD:
            if self._wire_bytes > self.head_limits.max_header_bytes + self.head_limits.max_url_bytes:
                self._refuse(too_large(self.head_limits))
        elif self._phase is _Phase.BODY:
            allowed = self._head_bytes + len(self.url) + self._body_bytes * (1 + _OVERHEAD_PER_BYTE) + _OVERHEAD_BYTES
            if self._wire_bytes > allowed:
                self._refuse(InvalidRequest("The request's chunks have more overhead than content."))

    def _check_head(self) -> None:
        version = self.parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise self._refused(InvalidRequest(f"HTTP/{version} is not supported here: use HTTP/1.1."))
        names = [name for name, _ in self.headers]
        if names.count(b"host") != 1:
            raise self._refused(name_once(b"host"))
        if b"transfer-encoding" in names:
            self._check_coding(version, names)
        if not self.url.startswith(b"/"):
            self._check_target()
        if b"upgrade" in names and self.parser.should_upgrade():
            self._check_upgrade(names)

    def _check_coding(self, version: str, names: list[bytes]) -> None:
        """Where a chunked body ends has to be as plain to everybody as to llhttp (RFC 9112, 6.1)."""
        if version == "1.0" or b"content-length" in names or names.count(b"transfer-encoding") > 1:
            raise self._refused(
                InvalidRequest("The request's length is ambiguous: Transfer-Encoding does not go here.")
            )
        if dict(self.headers)[b"transfer-encoding"].lower() != b"chunked":
            raise self._refused(InvalidRequest("The only Transfer-Encoding that is understood is 'chunked'."))

    def _check_target(self) -> None:
        """A target in absolute form names the host a second time (RFC 9112, 3.2.2)."""
        target = httptools.parse_url(self.url)
        host = dict(self.headers)[b"host"].lower()
        named = (target.host or b"").lower()
        if target.port is not None:
            named += b":%d" % target.port
        if not target.path or named != host:
            raise self._refused(InvalidRequest("The request's target is not a path of the Host that it names."))

    def _check_upgrade(self, names: list[bytes]) -> None:
        has_body = b"content-length" in names or b"transfer-encoding" in names
        if not self._should_upgrade():
            if has_body:  # llhttp takes it for the beginning of the other protocol
                raise self._refused(
                    InvalidRequest("There is no protocol to upgrade to: send a body without 'Upgrade'.")
                )
            return
        if has_body or self.parser.get_method() != b"GET":
            raise self._refused(InvalidRequest("A WebSocket is opened by GET, without a body."))
        headers = dict(self.headers)
        if headers.get(b"sec-websocket-version") != b"13":
            raise self._refused(InvalidRequest("A WebSocket is opened with 'Sec-WebSocket-Version: 13'."))
        if not _WEBSOCKET_KEY.fullmatch(headers.get(b"sec-websocket-key", b"")):
            raise self._refused(InvalidRequest("A WebSocket is opened with a Sec-WebSocket-Key of 16 bytes in base64."))

    # Upgrades.

    def _upgrade(self) -> None:
        if self._should_upgrade():
            self.shared.connections.upgrade(self)
            self.handle_websocket_upgrade()
            return
        # An upgrade may be ignored (RFC 9110, 7.8): the request is answered as what it is. What follows it was cut off
        # by the parser, so it is the connection's last.
        self._last(self._answering)

    # Refusing.

    def _refused(self, error: AntiphonError) -> AntiphonError:
        """Keep an error that is raised through the parser, which raises one of its own instead."""
        self._refusal = error
        return error

    def _refuse(self, error: AntiphonError) -> None:
        """Answer with an error, if no other answer is on its way, and let the connection end."""
        is_body = self._phase is _Phase.BODY
        self._enter(_Phase.DEAF)
        self.pipeline.clear()
        if self.transport.is_closing():
            return
        answering = self._answering
        if answering is not None and not answering.response_complete:
            if not is_body or answering is not self.cycle or answering.response_started:
                self._last(answering)
                return
            answering.disconnected = True  # its body is what is wrong: nobody waits for it any more
            answering.message_event.set()
        elif is_body and answering is self.cycle:
            self._linger()  # it was answered before its body had come
            return
        self.transport.write(_written(error, self.shared.next_request_id()))
        self._linger()

    def _last(self, answering: RequestResponseCycle | None) -> None:
        """Let the connection end with an answer that is on its way."""
        self._enter(_Phase.DEAF)
        if answering is None or answering.response_complete:
            self._linger()
        else:
            answering.keep_alive = False

    def _linger(self) -> None:
        """
        End our side, and go on reading for a while.

        A connection that is closed with something unread is reset, and the client may lose what it was told.
        """
        self._enter(_Phase.DEAF)
        self._answering = None
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    # Answers.

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._phase is _Phase.BODY and self.cycle.response_complete:
            self._since = self.loop.time()  # from now on what is still coming is thrown away

    def pause_writing(self) -> None:
        self._stalled = (self.loop.time(), self.transport.get_write_buffer_size())
        super().pause_writing()

    def resume_writing(self) -> None:
        self._stalled = None
        super().resume_writing()

    def _unsupported_upgrade_warning(self) -> None:
        """Nothing that a client does alone is worth a warning."""

    # Time.

    def look(self, now: float) -> None:
        """End what has taken too long."""
        if self._has_stalled(now):
            self._drop()
        elif self._phase is _Phase.HEAD:
            self._look_at_head(now)
        elif self._phase is _Phase.BODY:
            self._look_at_body(now)
        elif self._phase is _Phase.DEAF and self._answering is None and now - self._since > self.limits.linger_s:
            self.transport.close()

    def _drop(self) -> None:
        """End the connection, and let the kernel forget what it still holds for a client that takes nothing."""
        with contextlib.suppress(OSError):  # it has gone by itself
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.transport.abort()

    def _has_stalled(self, now: float) -> bool:
        pending_bytes = self.transport.get_write_buffer_size()
        if self._stalled is None:
            if not self.transport.is_closing():
                return False
            self._stalled = (now, pending_bytes)  # closed, and not all is told yet
        since, at_first_bytes = self._stalled
        taken_bytes = max(0, at_first_bytes - pending_bytes)
        return now - since > self.limits.send_timeout_s + taken_bytes / self.limits.min_rate

    def _look_at_head(self, now: float) -> None:
        if now - self._since <= self.limits.header_timeout_s:
            return
        if self._wire_bytes:
            timeout_s = self.limits.header_timeout_s
            self._refuse(RequestTimeout(f"The request's head took longer than header_timeout_s ({timeout_s:g} s)."))
        else:
            self.transport.close()  # nothing was asked, so nothing is answered

    def _look_at_body(self, now: float) -> None:
        if self.flow.read_paused:  # it is us who are slow
            self._since += self.limits.look_every_s
            return
        took_s = now - self._since
        if self.cycle.response_complete:
            if took_s > self.limits.linger_s:
                self._linger()
        elif took_s > self.limits.body_timeout_s + self._body_bytes / self.limits.min_rate:
            self._refuse(
                RequestTimeout(
                    f"The request's body took longer than body_timeout_s ({self.limits.body_timeout_s:g} s, and one "
                    f"more for each {self.limits.min_rate} bytes that had come)."
                )
            )


def http_protocol(
    *, head: HeadLimits, limits: ConnectionLimits, next_request_id: Callable[[], str]
) -> type[HttpProtocol]:
    """
    The class that :class:`uvicorn.Config` takes as ``http``, with what all connections of one server share.

    Args:
        next_request_id: Names the requests that never reach the application.
    """
    shared = _Shared(head=head, limits=limits, connections=Connections(limits), next_request_id=next_request_id)
    return type("HttpProtocol", (HttpProtocol,), {"shared": shared, "__doc__": HttpProtocol.__doc__})


def _written(error: AntiphonError, request_id: str) -> bytes:
    """An error as a whole HTTP answer, the last one of its connection."""
    body = orjson.dumps(error.envelope())
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
        (b"x-request-id", request_id.encode()),
        *VERSIONS,
        *error_headers(error),
    ]
    fields = b"".join(b"%b: %b\r\n" % field for field in headers)
    return STATUS_LINE[error.http_status] + fields + b"\r\n" + body


def _malformed(error: httptools.HttpParserError) -> InvalidRequest:
    """What llhttp says of a request that is none: words of its own, which quote nothing."""
    return InvalidRequest(f"The request is not well-formed HTTP/1.1: {str(error)[:200] or type(error).__name__}.")


def _pipelined(limits: ConnectionLimits) -> InvalidRequest:
    return InvalidRequest(f"More than max_pipelined ({limits.max_pipelined}) requests wait on this connection.")
