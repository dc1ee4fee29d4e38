"""Answers with status 200 whose body is not what it should be."""

from __future__ import annotations

import gzip
import json

from tests.support.scripted_upstream import whole
from tests.transport.servers import CHUNKED, chunk, reply, saying
from tests.upstream_faults.doing import (
    CREDENTIAL,
    HELLO,
    JSON,
    SSE,
    WHOLE,
    bomb,
    error,
    gone_after,
    html,
    json_body,
    resetting_after,
)
from tests.upstream_faults.fault import Answered, Broken, Fault, Refused

__all__ = ["FAULTS"]

_BROKEN = Broken()
# The head comes together with what cannot follow it, so there has been no answer.
_NOT_HTTP = Refused(502, "upstream_broken")
_HTTP_1_0 = b"HTTP/1.0 200 OK\r\n"
_LENGTH = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"


def _with(**fields: object) -> bytes:
    return json.dumps({**whole("Hello there."), **fields}).encode()


def _counting(usage: object) -> bytes:
    return _with(usage=usage)


def _ending(reason: object) -> bytes:
    return json.dumps(whole("Hello there.", finish_reason=reason)).encode()  # type: ignore[arg-type]  # a wrong one


FAULTS = (
    Fault("a page", html("200 OK"), _BROKEN),
    Fault("empty", json_body(b""), _BROKEN),
    Fault("empty without a type", saying(reply(b"")), _BROKEN),
    Fault("spaces", json_body(b" \n "), _BROKEN),
    Fault("an image", saying(reply(b"\x89PNG", "content-type: image/png")), _BROKEN),
    Fault("a type with the key", saying(reply(WHOLE, f"content-type: text/{CREDENTIAL}")), _BROKEN),
    Fault("a long type", saying(reply(WHOLE, "content-type: text/" + "x" * 9000)), _BROKEN),
    Fault("the type in capitals", saying(reply(WHOLE, "CONTENT-TYPE: Application/JSON; Charset=UTF-8")), Answered()),
    Fault("JSON of another type", saying(reply(WHOLE, "content-type: application/problem+json")), Answered()),
    Fault("a number", json_body(b"42"), _BROKEN),
    Fault("a list", json_body(b"[1]"), _BROKEN),
    Fault("null", json_body(b"null"), _BROKEN),
    Fault("a string", json_body(b'"hello"'), _BROKEN),
    Fault("an empty object", json_body(b"{}"), _BROKEN),
    Fault("half an object", json_body(WHOLE[: len(WHOLE) // 2]), _BROKEN),
    Fault("two objects", json_body(WHOLE + WHOLE), _BROKEN),
    Fault("deep JSON", json_body(b'{"choices":' + b"[" * 50_000), _BROKEN),
    Fault("no UTF-8", json_body(WHOLE.replace(b"Hello", b"\xff\xfe")), _BROKEN),
    Fault("half a character", json_body(WHOLE.replace(b"Hello", b"\xc3")), _BROKEN),
    Fault("half a surrogate pair", json_body(WHOLE.replace(b"Hello", b"\\ud83d")), _BROKEN),
    Fault("no choices", json_body(_with(choices=[])), _BROKEN),
    Fault("null for choices", json_body(_with(choices=None)), _BROKEN),
    Fault("choices that are none", json_body(_with(choices="many")), _BROKEN),
    Fault("several choices", json_body(_with(choices=[*whole("a")["choices"], *whole("b")["choices"]])), _BROKEN),  # type: ignore[misc]  # a list
    Fault("no message", json_body(_with(choices=[{"index": 0, "finish_reason": "stop"}])), _BROKEN),
    Fault("no finish_reason", json_body(_ending(None)), _BROKEN),
    Fault("unknown finish_reason", json_body(_ending("boredom")), _BROKEN),
    Fault("the key for a finish_reason", json_body(_ending(CREDENTIAL)), _BROKEN),
    Fault("a number for a finish_reason", json_body(_ending(7)), _BROKEN),
    Fault("cut by length", json_body(_ending("length")), Answered(status="incomplete")),
    Fault("filtered", json_body(_ending("content_filter")), Answered(status="incomplete")),
    Fault("out of resources", json_body(_ending("insufficient_system_resource")), Broken(503, "upstream_unavailable")),
    Fault("another role", json_body(WHOLE.replace(b'"assistant"', b'"user"')), Answered()),
    Fault("no usage", json_body(_counting(None)), Answered(usage=None)),
    Fault(
        "negative usage", json_body(_counting({"prompt_tokens": -1, "completion_tokens": -9})), Answered(usage=(0, 0))
    ),
    Fault("huge usage", json_body(_counting({"prompt_tokens": 10**30})), _BROKEN),
    Fault("usage in words", json_body(_counting({"prompt_tokens": "seven"})), _BROKEN),
    Fault("usage in a list", json_body(_counting([7, 3])), _BROKEN),
    Fault("usage in fractions", json_body(_counting({"prompt_tokens": 7.5})), _BROKEN),
    Fault(
        "a call whose arguments hold a huge number",
        json_body(
            json.dumps(whole(None, tool_calls=[{"function": {"name": "f", "arguments": {"n": 10**30}}}])).encode()
        ),
        Answered(text="", output=("function_call",)),
    ),
    Fault("an error", json_body(error("No.", code="server_error")), Broken(503, "upstream_unavailable")),
    Fault("an error that is a text", json_body(b'{"error": "No."}'), Broken(503, "upstream_unavailable")),
    Fault(
        "an error with the key",
        json_body(error(f"Key {CREDENTIAL} has expired", code=401)),
        Broken(502, "upstream_authentication_failed"),
    ),
    Fault("an error with a huge code", json_body(error("No.", code=10**30)), Broken(503, "upstream_unavailable")),
    Fault(
        "429 within",
        json_body(error("Slow.", code=429)),
        Broken(429, "rate_limit_exceeded", "rate_limit_error", stream_code="rate_limit_exceeded"),
    ),
    Fault("a lie about gzip", json_body(WHOLE, "content-encoding: gzip"), _BROKEN),
    Fault("a lie about deflate", json_body(WHOLE, "content-encoding: deflate"), _BROKEN),
    Fault("gzip", json_body(gzip.compress(WHOLE), "content-encoding: gzip"), Answered()),
    Fault("half of a gzip", json_body(gzip.compress(WHOLE)[:-20], "content-encoding: gzip"), _BROKEN),
    Fault("gzip bomb", json_body(bomb("gzip"), "content-encoding: gzip"), _BROKEN),
    Fault("deflate bomb", json_body(bomb("deflate"), "content-encoding: deflate"), _BROKEN),
    Fault("longer than its length", gone_after(_LENGTH % (len(WHOLE) - 9) + WHOLE), _NOT_HTTP),
    Fault("shorter than its length", gone_after(_LENGTH % (len(WHOLE) + 9) + WHOLE), _BROKEN),
    Fault("closed in the middle", gone_after(_LENGTH % len(WHOLE) + WHOLE[:100]), _BROKEN),
    Fault("reset in the middle", resetting_after(_LENGTH % len(WHOLE) + WHOLE[:100]), _BROKEN),
    Fault("closed behind the head", gone_after(_LENGTH % len(WHOLE)), _BROKEN),
    Fault("chunks that are none", gone_after(CHUNKED + b"zz\r\nnonsense\r\n"), _NOT_HTTP),
    Fault("a chunk of negative size", gone_after(CHUNKED + b"-5\r\nhello\r\n"), _NOT_HTTP),
    Fault("a chunk of huge size", gone_after(CHUNKED + b"ffffffffffffffff\r\nhello"), _BROKEN),
    Fault("a chunk longer than its size", gone_after(CHUNKED + b"3\r\nhello\r\n0\r\n\r\n"), _NOT_HTTP),
    Fault("a chunk without an end", gone_after(CHUNKED + chunk(HELLO)[:200]), Broken(said="")),
    Fault("HTTP/1.0", gone_after(_HTTP_1_0 + JSON.encode() + b"\r\n\r\n" + WHOLE), Answered()),
    Fault("HTTP/1.0 cut off", gone_after(_HTTP_1_0 + JSON.encode() + b"\r\n\r\n" + WHOLE[:-9]), _BROKEN),
    Fault("HTTP/1.0 stream", gone_after(_HTTP_1_0 + SSE.encode() + b"\r\n\r\n" + HELLO), Answered()),
    Fault("more than anybody keeps", json_body(b" " * 5_000_000 + WHOLE), _BROKEN),
    Fault("bytes behind the answer", saying(reply(WHOLE, JSON) + b"HTTP/1.1 200 OK\r\n"), Answered()),
)
