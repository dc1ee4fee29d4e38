"""Answers that are errors by their status."""

from __future__ import annotations

from tests.transport.servers import CHUNKED, chunk, reply, saying, stalling_after
from tests.upstream_faults.doing import (
    CREDENTIAL,
    DOZING,
    JSON,
    bomb,
    complaint,
    error,
    gone_after,
    html,
    resetting_after,
)
from tests.upstream_faults.fault import Broken, Fault, Refused

__all__ = ["FAULTS"]

_INVALID = Refused(400, None, "invalid_request_error", elsewhere=False)
_NO_MODEL = Refused(404, "model_not_found", "invalid_request_error")
_NO_KEY = Refused(502, "upstream_authentication_failed")
_BROKEN = Refused(502, "upstream_broken")
_LATE = Refused(504, "upstream_timeout")
_DOWN = Refused(503, "upstream_unavailable", tries=2)
_LIMIT = "rate_limit_exceeded"
_TOO_LONG = Refused(400, "context_length_exceeded", "invalid_request_error", elsewhere=False)


def _limited(*, tries: int = 1, retry_after: str | None = None, code: str = _LIMIT) -> Refused:
    return Refused(429, code, "rate_limit_error", tries=tries, retry_after=retry_after)


def _dated(retry_after: str, date: str = "Sun, 22 Nov 2026 10:00:00 GMT") -> tuple[str, str]:
    return f"date: {date}", f"retry-after: {retry_after}"


FAULTS = (
    Fault("400", complaint(400), _INVALID),
    Fault("400 context", complaint(400, "too long", code="context_length_exceeded"), _TOO_LONG),
    Fault("400 unknown model", complaint(400, "The model `m` does not exist"), _NO_MODEL),
    Fault("401", complaint(401), _NO_KEY),
    Fault("401 that echoes the key", complaint(401, f"Incorrect: {CREDENTIAL}."), _NO_KEY),
    Fault("401 that echoes the key after much text", complaint(401, "x" * 455 + CREDENTIAL), _NO_KEY),
    Fault(
        "400 whose code is the key",
        complaint(400, code=CREDENTIAL),
        Refused(400, "***", _INVALID.type, elsewhere=False),
    ),
    Fault("402", complaint(402), _limited(code="insufficient_quota")),
    Fault("403", complaint(403), _NO_KEY),
    Fault("404 model", complaint(404, "No such model: m", code="model_not_found"), _NO_MODEL),
    Fault("404 path", complaint(404, "Not Found"), _BROKEN),
    Fault("405", complaint(405), _BROKEN),
    Fault("408", complaint(408), _LATE),
    Fault("409", complaint(409), _INVALID),
    Fault("413", complaint(413), _INVALID),
    Fault("418", complaint(418), _INVALID),
    Fault("422", complaint(422), _INVALID),
    Fault("429", complaint(429), _limited(tries=2)),
    Fault("429 retry soon", complaint(429, "Slow.", "retry-after: 0"), _limited(tries=2, retry_after="1")),
    Fault(
        "429 retry in milliseconds", complaint(429, "Slow.", "retry-after-ms: 5"), _limited(tries=2, retry_after="1")
    ),
    Fault("429 retry later", complaint(429, "Slow.", "retry-after: 30"), _limited(retry_after="30")),
    Fault("429 retry in fractions", complaint(429, "Slow.", "retry-after: 30.2"), _limited(retry_after="31")),
    Fault(
        "429 retry at a date",
        complaint(429, "Slow.", *_dated("Sun, 22 Nov 2026 10:01:30 GMT")),
        _limited(retry_after="90"),
    ),
    Fault(
        "429 retry at a date that has passed",
        complaint(429, "Slow.", *_dated("Sun, 22 Nov 2026 09:00:00 GMT")),
        _limited(tries=2, retry_after="1"),
    ),
    Fault(
        "429 retry in 7973 years",
        complaint(429, "Slow.", *_dated("Fri, 31 Dec 9999 23:59:59 GMT")),
        _limited(retry_after="86400"),
    ),
    Fault("429 retry on no day", complaint(429, "Slow.", *_dated("Sun, 99 Nov 2026 25:61:61 GMT")), _limited(tries=2)),
    Fault(
        "429 retry at a date without one",
        complaint(429, "Slow.", "retry-after: Fri, 31 Dec 9999 23:59:59 GMT"),
        _limited(tries=2),
    ),
    Fault("429 retry yesterday", complaint(429, "Slow.", "retry-after: -86400"), _limited(tries=2)),
    Fault("429 retry never", complaint(429, "Slow.", "retry-after: inf"), _limited(tries=2)),
    Fault("429 retry nan", complaint(429, "Slow.", "retry-after: nan"), _limited(tries=2)),
    Fault("429 retry in 1e300 s", complaint(429, "Slow.", "retry-after: 1e300"), _limited(retry_after="86400")),
    Fault("429 retry in many digits", complaint(429, "Slow.", "retry-after: " + "9" * 5000), _limited(tries=2)),
    Fault("429 retry in words", complaint(429, "Slow.", "retry-after: soon; drop table"), _limited(tries=2)),
    Fault("429 two answers", complaint(429, "Slow.", "retry-after: 1", "retry-after: 2"), _limited(tries=2)),
    Fault("429 no money", complaint(429, "Pay.", code="insufficient_quota"), _limited(code="insufficient_quota")),
    Fault("500", complaint(500), _DOWN),
    Fault("500 context", complaint(500, "the request exceeds the available context size"), _TOO_LONG),
    Fault("501", complaint(501), _INVALID),
    Fault("502 of a proxy", html("502 Bad Gateway"), _DOWN),
    Fault("503", complaint(503), _DOWN),
    Fault(
        "503 retry later",
        complaint(503, "Busy.", "retry-after: 30"),
        Refused(503, "upstream_unavailable", retry_after="30"),
    ),
    Fault("504 of a proxy", html("504 Gateway Time-out"), _LATE),
    Fault("520", complaint(520), _DOWN),
    Fault("524", complaint(524), _LATE),
    Fault("529", complaint(529), _DOWN),
    Fault("599", complaint(599), _DOWN),
    Fault("600", complaint(600), _BROKEN),
    Fault("999", complaint(999), _BROKEN),
    Fault("300", complaint(300), _BROKEN),
    Fault("301", saying(reply(b"", "location: http://127.0.0.1:1/v1", status="301 Moved")), _BROKEN),
    Fault("302 to itself", saying(reply(b"", "location: /v1/chat/completions", status="302 Found")), _BROKEN),
    Fault(
        "307 with a page", saying(reply(b"<a>", "location: //x", "content-type: text/html", status="307 Go")), _BROKEN
    ),
    Fault("308 without a place", saying(reply(b"", status="308 Permanent")), _BROKEN),
    Fault("304", saying(b"HTTP/1.1 304 Not Modified\r\n\r\n"), _BROKEN),
    Fault("204", saying(b"HTTP/1.1 204 No Content\r\n\r\n"), Broken()),
    Fault(
        "101", gone_after(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"), Broken()
    ),
    Fault("empty 503", saying(reply(b"", status="503 Busy")), _DOWN),
    Fault("503 of noise", saying(reply(bytes(range(256)), status="503 Busy")), _DOWN),
    Fault("503 of broken JSON", saying(reply(b'{"error": {"mess', JSON, status="503 Busy")), _DOWN),
    Fault("503 of deep JSON", saying(reply(b"[" * 100_000, JSON, status="503 Busy")), _DOWN),
    Fault(
        "503 with addresses",
        complaint(503, "http://10.1.2.3:8000/v1?key=abc and http://node-7:1/ and 10.1.2.3:5 no"),
        _DOWN,
    ),
    Fault("503 cut off", gone_after(b"HTTP/1.1 503 Busy\r\ncontent-length: 900\r\n\r\n" + error("Bu")), _DOWN),
    Fault("503 reset", resetting_after(b"HTTP/1.1 503 Busy\r\ncontent-length: 900\r\n\r\n" + error("Bu")), _DOWN),
    Fault(
        "503 that stops",
        stalling_after(b"HTTP/1.1 503 Busy\r\ncontent-length: 900\r\n\r\n{"),
        _DOWN,
        timeouts=DOZING,
    ),
    Fault(
        "429 with a lie about gzip",
        saying(reply(error("x"), "content-encoding: gzip", status="429 Slow")),
        _limited(tries=2),
    ),
    Fault("500 bomb", saying(reply(bomb("gzip"), "content-encoding: gzip", status="500 Boom")), _DOWN),
    Fault(
        "500 without an end",
        stalling_after(CHUNKED.replace(b"200 OK", b"500 No") + chunk(b"x" * 2_000_000)),
        _DOWN,
    ),
)
