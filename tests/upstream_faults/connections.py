"""Faults of the connection, before anything is answered."""

from __future__ import annotations

from tests.support.fault_proxy import Plan
from tests.transport.servers import CHUNKED, END, chunk, closing, reply, saying, stalling
from tests.upstream_faults.doing import (
    HASTY,
    HELLO,
    JSON,
    WHOLE,
    gone_after,
    json_body,
    resetting_after,
    through,
)
from tests.upstream_faults.fault import Answered, Fault, Refused

__all__ = ["FAULTS"]

_UNREACHABLE = Refused(502, "upstream_unreachable", tries=2)
_NEVER_CAME = Refused(502, "upstream_unreachable", tries=0)
_NO_HELLO = Refused(504, "upstream_timeout", tries=0)
_NOT_HTTP = Refused(502, "upstream_broken")
_SILENT = Refused(504, "upstream_timeout")
_STREAM = CHUNKED + chunk(HELLO) + END

FAULTS = (
    Fault("connection refused", closing, _NEVER_CAME, at="nowhere"),
    Fault("unknown host name", closing, _NEVER_CAME, at="no such name"),
    Fault("host name that is none", closing, _NEVER_CAME, at="not a name"),
    Fault("TLS of an unknown authority", closing, _NEVER_CAME, at="https", tls="stranger"),
    Fault("TLS for another host", closing, _NEVER_CAME, at="https", tls="other host"),
    Fault("TLS to a server that waits for HTTP", closing, _NO_HELLO, at="https", timeouts=HASTY),
    Fault("no TLS to a server with it", closing, _NEVER_CAME, at="http", tls="stranger"),
    Fault("closed before the answer", closing, _UNREACHABLE),
    Fault("reset before the answer", resetting_after(), _UNREACHABLE),
    Fault("closed within the status line", gone_after(b"HTTP/1.1 20"), _UNREACHABLE),
    Fault("closed within the headers", gone_after(b"HTTP/1.1 200 OK\r\ncontent-ty"), _UNREACHABLE),
    Fault("reset within the headers", resetting_after(b"HTTP/1.1 200 OK\r\ncontent-ty"), _UNREACHABLE),
    Fault("proxy that hangs up", through(Plan(accepts="fin"), _STREAM), _UNREACHABLE),
    Fault("proxy that resets", through(Plan(accepts="rst"), _STREAM), _UNREACHABLE),
    Fault("proxy that half closes in the headers", through(Plan(cut_after=9, cut="half close"), _STREAM), _UNREACHABLE),
    Fault("black hole", through(Plan(accepts="black hole"), _STREAM), _SILENT, timeouts=HASTY),
    Fault("no first byte", stalling, _SILENT, timeouts=HASTY),
    Fault(
        "silence within the headers", through(Plan(cut_after=20, cut="black hole"), _STREAM), _SILENT, timeouts=HASTY
    ),
    Fault("another protocol", gone_after(b"SSH-2.0-OpenSSH_9.6\r\n"), _NOT_HTTP),
    Fault("binary noise", gone_after(bytes(range(256)) * 4 + b"\r\n\r\n"), _NOT_HTTP),
    Fault("HTTP/2 preface", gone_after(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\r\n\r\n"), _NOT_HTTP),
    Fault("too long a header", saying(reply(WHOLE, JSON, "x: " + "y" * 100_000)), _NOT_HTTP),
    Fault("too many headers", saying(reply(WHOLE, JSON, *(f"x-{n}: y" for n in range(300)))), _NOT_HTTP),
    Fault("too long a status line", gone_after(b"HTTP/1.1 200 " + b"O" * 100_000 + b"\r\n\r\n"), _NOT_HTTP),
    Fault("header without a colon", gone_after(b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n"), _NOT_HTTP),
    Fault("content length that is none", gone_after(b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n"), _NOT_HTTP),
    Fault(
        "two content lengths",
        gone_after(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab"),
        _NOT_HTTP,
    ),
    Fault("early hints", saying(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" + reply(WHOLE, JSON)), Answered()),
    Fault("a 100 that nobody asked for", saying(b"HTTP/1.1 100 Continue\r\n\r\n" + reply(WHOLE, JSON)), Answered()),
    Fault("a hundred 1xx", saying(b"HTTP/1.1 102 Processing\r\n\r\n" * 100 + reply(WHOLE, JSON)), Answered()),
    Fault("1xx without an end", saying(b"HTTP/1.1 102 Processing\r\n\r\n"), _SILENT, timeouts=HASTY),
    Fault("slow first byte", through(Plan(delay_s=0.15), _STREAM), Answered()),
    Fault("pieces of seven bytes", through(Plan(piece_bytes=7), _STREAM), Answered()),
    Fault("no fault", json_body(WHOLE), Answered()),
)
