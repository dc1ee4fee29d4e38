"""Streams that break off, stop, lie, or say what no chat completions server should."""

from __future__ import annotations

from tests.support.fault_proxy import Plan
from tests.support.scripted_upstream import delta, finish, sse, usage_body
from tests.transport.servers import CHUNKED, END, chunk, stalling_after
from tests.upstream_faults.doing import (
    CREDENTIAL,
    DONE,
    DOZING,
    EVENTS,
    HELLO,
    SSE,
    choice,
    cut,
    events,
    gone_after,
    prefix,
    resetting_after,
    said,
    streamed,
    through,
    trickling,
)
from tests.upstream_faults.fault import Answered, Broken, Fault

__all__ = ["FAULTS"]

_BROKEN = Broken()
_PARTLY = Broken(said="Hello")
_SAID_ALL = Broken(said="Hello there.")
_STOPPED = Broken(504, "upstream_timeout", said="Hello")
_DOWN = Broken(503, "upstream_unavailable", said="Hello")
_WIRE = CHUNKED + chunk(HELLO) + END
_IN_TEXT = _WIRE.index(b"there")
_CLOSE = b"HTTP/1.0 200 OK\r\n" + SSE.encode() + b"\r\n\r\n"


def _call(index: int | None = 0, **fields: object) -> bytes:
    piece = {"function": {key: fields[key] for key in ("name", "arguments") if key in fields}}
    known = {"id": fields["id"]} if "id" in fields else {}
    return delta(tool_calls=[{**({} if index is None else {"index": index}), **known, **piece}])


def _in_the_middle(event: bytes) -> bytes:
    return prefix(2) + event + b"".join(EVENTS[2:])


_CUTS = (
    Fault("closed behind the head", cut(b""), _BROKEN),
    Fault("closed within the first event", cut(HELLO[:20]), _BROKEN),
    Fault("closed behind the role", cut(prefix(1)), _BROKEN),
    Fault("closed within a text", cut(prefix(2) + EVENTS[2][:60]), _PARTLY),
    Fault("closed between texts", cut(prefix(2)), _PARTLY),
    Fault("closed before the finish", cut(prefix(3)), _SAID_ALL),
    Fault("closed behind the finish", cut(prefix(4)), _SAID_ALL),
    Fault("closed behind the usage", cut(prefix(5)), _SAID_ALL),
    Fault("closed within [DONE]", cut(HELLO[:-4]), _SAID_ALL),
    Fault("closed behind [DONE]", cut(HELLO), Answered()),
    Fault("reset behind the role", resetting_after(CHUNKED + chunk(prefix(1))), _BROKEN),
    Fault("reset between texts", resetting_after(CHUNKED + chunk(prefix(2))), _PARTLY),
    Fault("reset behind the finish", resetting_after(CHUNKED + chunk(prefix(4))), _SAID_ALL),
    Fault("proxy that cuts a text", through(Plan(cut_after=_IN_TEXT), _WIRE), _PARTLY),
    Fault("proxy that resets in a text", through(Plan(cut_after=_IN_TEXT, cut="rst"), _WIRE), _PARTLY),
    Fault("proxy that half closes in a text", through(Plan(cut_after=_IN_TEXT, cut="half close"), _WIRE), _PARTLY),
    Fault(
        "proxy that falls silent", through(Plan(cut_after=_IN_TEXT, cut="black hole"), _WIRE), _STOPPED, timeouts=DOZING
    ),
    Fault("ended behind the head", streamed(), _BROKEN),
    Fault("ended between texts", streamed(prefix(2)), _PARTLY),
    Fault("ended behind the finish", streamed(prefix(4)), _SAID_ALL),
    Fault("ended without [DONE]", streamed(prefix(5)), _SAID_ALL),
    Fault("ended without the last blank line", streamed(HELLO[:-2]), Answered()),
    Fault("closed as HTTP/1.0 does, within a text", gone_after(_CLOSE + prefix(2)), _PARTLY),
    Fault("closed as HTTP/1.0 does, behind the finish", gone_after(_CLOSE + prefix(4)), _SAID_ALL),
)

_SILENCES = (
    Fault("silence behind the head", stalling_after(CHUNKED), Broken(504, "upstream_timeout"), timeouts=DOZING),
    Fault("silence within a text", stalling_after(CHUNKED + chunk(prefix(2))), _STOPPED, timeouts=DOZING),
    Fault(
        "silence before [DONE]",
        stalling_after(CHUNKED + chunk(prefix(5))),
        Broken(504, "upstream_timeout", said="Hello there."),
        timeouts=DOZING,
    ),
    Fault("silence behind [DONE]", stalling_after(CHUNKED + chunk(HELLO)), Answered(), timeouts=DOZING),
    Fault("a trickle", trickling(said("Hello there."), pause_s=0.0), Answered()),
    Fault("comments alone", streamed(b": keep-alive\n\n" * 50), _BROKEN),
    Fault("comments between", streamed(*(b": keep-alive\n\n" + event for event in EVENTS)), Answered()),
    Fault("empty events alone", streamed(b"data:\n\n" * 50), _BROKEN),
    Fault("blank lines alone", streamed(b"\n" * 5000), _BROKEN),
)

_NOISE = (
    Fault("noise between events", streamed(prefix(2), bytes(range(256)) + b"\n\n", *EVENTS[2:]), Answered()),
    Fault("noise in an event", streamed(prefix(2), b"data: \x00\xff\xfe\n\n", HELLO), _PARTLY),
    Fault("half an event", streamed(prefix(2), b'data: {"choices":[{"ind\n\n', HELLO), _PARTLY),
    Fault("half a character", streamed(prefix(2), EVENTS[2].replace(b"there", b"\xc3")), _PARTLY),
    Fault("a page", streamed(b"<html><body>Bad gateway</body></html>\n\n"), _BROKEN),
    Fault("JSON without events", streamed(b'{"choices":[]}\n'), _BROKEN),
    Fault("another event name", streamed(prefix(2), b"event: ping\ndata: {}\n\n", *EVENTS[2:]), Answered()),
    Fault(
        "a line of 10 MB",
        streamed(prefix(2), b"data: " + b"x" * 10_000_000 + b"\n\n"),
        Broken(500, "response_too_large", said="Hello"),
    ),
    Fault(
        "a line without an end",
        streamed(prefix(2), b"data: " + b"x" * 5_000_000),
        Broken(500, "response_too_large", said="Hello"),
    ),
    Fault("CRLF", streamed(HELLO.replace(b"\n", b"\r\n")), Answered()),
    Fault("CR", streamed(HELLO.replace(b"\n", b"\r")), Answered()),
    Fault("a byte order mark", streamed(b"\xef\xbb\xbf" + HELLO), Answered()),
    Fault("no space behind the colon", streamed(HELLO.replace(b"data: ", b"data:")), Answered()),
    Fault("ids and retries", streamed(HELLO.replace(b"data: ", b"id: 1\nretry: 0\ndata: ")), Answered()),
)

_ERRORS = (
    Fault("an error", streamed(prefix(2), sse({"error": {"message": "Boom."}})), _DOWN),
    Fault("an error at first", streamed(sse({"error": {"message": "Boom."}})), Broken(503, "upstream_unavailable")),
    Fault("an error under its name", streamed(prefix(2), b"event: error\n" + sse({"message": "Boom."})), _DOWN),
    Fault("an error in a choice", streamed(prefix(2), sse(choice(delta={}, error={"message": "Boom."}))), _DOWN),
    Fault("an error with the key", streamed(prefix(2), sse({"error": {"message": f"{CREDENTIAL} is no key"}})), _DOWN),
    Fault(
        "an error with a huge code", streamed(prefix(2), sse({"error": {"message": "Boom.", "code": 10**30}})), _DOWN
    ),
    Fault("an error that is a number", streamed(prefix(2), sse({"error": 7})), _DOWN),
    Fault(
        "429 within",
        streamed(prefix(2), sse({"error": {"message": "Slow.", "code": 429}})),
        Broken(429, "rate_limit_exceeded", "rate_limit_error", "Hello", "rate_limit_exceeded"),
    ),
    Fault(
        "too long within",
        streamed(sse({"error": {"message": "x", "code": "context_length_exceeded"}})),
        Broken(400, "context_length_exceeded", "invalid_request_error", "", "context_length_exceeded"),
    ),
    Fault("an error behind [DONE]", streamed(HELLO, sse({"error": {"message": "Boom."}})), Answered()),
)

_ENDS = (
    Fault("[DONE] twice", streamed(HELLO + DONE), Answered()),
    Fault("[DONE] at first", streamed(DONE + HELLO), _BROKEN),
    Fault("[DONE] without a finish", streamed(prefix(3) + DONE), _SAID_ALL),
    Fault("finish twice", streamed(prefix(4) + EVENTS[3] + EVENTS[4] + DONE), Answered()),
    Fault(
        "finish of two kinds",
        streamed(prefix(3) + finish().removesuffix(DONE) + finish("length")),
        Answered(status="incomplete"),
    ),
    Fault("unknown finish", streamed(said("Hello", reason="boredom")), _PARTLY),
    Fault("the key for a finish", streamed(said("Hello", reason=CREDENTIAL)), _PARTLY),
    Fault("finish out of resources", streamed(said("Hello", reason="network_error")), _DOWN),
    Fault("events behind the end", streamed(HELLO + prefix(3)), Answered()),
    Fault("noise behind the end", streamed(HELLO + b"\xff" * 500), Answered()),
    Fault(
        "text behind the finish",
        streamed(prefix(4) + EVENTS[2] + DONE),
        Answered(text="Hello there. there.", usage=None),
    ),
)

_SHAPES = (
    Fault("several choices", streamed(events({"choices": [{"index": 0}, {"index": 1}]}), HELLO), _BROKEN),
    Fault("another choice", streamed(prefix(2), sse({"choices": [{"index": 1, "delta": {"content": "x"}}]})), _PARTLY),
    Fault("another role within", streamed(_in_the_middle(delta(role="user"))), Answered()),
    Fault(
        "another role and text",
        streamed(_in_the_middle(delta(role="system", content=" you"))),
        Answered(text="Hello you there."),
    ),
    Fault("another id within", streamed(_in_the_middle(sse({"id": "other", **choice(delta={})}))), Answered()),
    Fault("negative usage", streamed(_in_the_middle(sse({"choices": [], "usage": {"prompt_tokens": -5}}))), Answered()),
    Fault("huge usage", streamed(_in_the_middle(sse({"choices": [], "usage": {"prompt_tokens": 2**70}}))), _PARTLY),
    Fault("usage in words", streamed(_in_the_middle(sse({"choices": [], "usage": {"prompt_tokens": "7"}}))), _PARTLY),
    Fault("usage that grows", streamed(_in_the_middle(sse({"choices": [], "usage": usage_body(1)}))), Answered()),
    Fault("content that is a number", streamed(prefix(2), sse(choice(delta={"content": 7}))), _PARTLY),
    Fault(
        "content of an unknown type",
        streamed(prefix(2), sse(choice(delta={"content": [{"type": CREDENTIAL}]}))),
        _PARTLY,
    ),
    Fault(
        "content of a long type", streamed(prefix(2), sse(choice(delta={"content": [{"type": "x" * 9000}]}))), _PARTLY
    ),
    Fault(
        "a message within a stream",
        streamed(prefix(2), sse(choice(message={"content": "Hello there."})), *EVENTS[3:]),
        Answered(text="Hello"),
    ),
)

_CALL_END = finish("tool_calls")
_TWO = Answered(text="", output=("function_call", "function_call"))
_ONE = Answered(text="", output=("function_call",))

_CALLS = (
    Fault("a call without a name", streamed(_call(arguments="{}") + _CALL_END), _BROKEN),
    Fault("a call without an id", streamed(_call(name="f", arguments="{}") + _CALL_END), _ONE),
    Fault("a call that changes its name", streamed(_call(name="f") + _call(name="g") + _CALL_END), _BROKEN),
    Fault(
        "arguments before the name", streamed(_call(arguments="{") + _call(name="f", arguments="}") + _CALL_END), _ONE
    ),
    Fault(
        "indices that jump",
        streamed(_call(0, name="f", arguments="{}") + _call(7, name="g", arguments="{}") + _CALL_END),
        _TWO,
    ),
    Fault(
        "indices that run backwards",
        streamed(_call(1, name="f", arguments="{}") + _call(0, name="g", arguments="{}") + _CALL_END),
        _TWO,
    ),
    Fault("a negative index", streamed(_call(-1, name="f", arguments="{}") + _CALL_END), _ONE),
    Fault("a huge index", streamed(_call(10**30, name="f", arguments="{}") + _CALL_END), _ONE),
    Fault("an index that is a word", streamed(_call("0", name="f", arguments="{}") + _CALL_END), _BROKEN),  # type: ignore[arg-type]  # a wrong one
    Fault(
        "calls with one id",
        streamed(_call(0, id="a", name="f", arguments="{}") + _call(1, id="a", name="g", arguments="{}") + _CALL_END),
        _TWO,
    ),
    Fault(
        "calls with one index",
        streamed(_call(0, id="a", name="f", arguments="{}") + _call(0, id="b", name="g", arguments="{}") + _CALL_END),
        _TWO,
    ),
    Fault(
        "calls that alternate",
        streamed(
            _call(0, name="f", arguments="{")
            + _call(1, name="g", arguments="{")
            + _call(0, arguments="}")
            + _call(1, arguments="}")
            + _CALL_END
        ),
        _TWO,
    ),
    Fault(
        "a piece of a call that has ended",
        streamed(
            _call(0, name="f", arguments="{}")
            + _call(1, name="g", arguments="{}")
            + _call(0, arguments="x")
            + _CALL_END
        ),
        _BROKEN,
    ),
    Fault("arguments that are cut off", streamed(_call(name="f", arguments='{"a":')), _BROKEN),
    Fault("arguments that are no JSON", streamed(_call(name="f", arguments="nonsense") + _CALL_END), _ONE),
    Fault("a call that says stop", streamed(_call(name="f", arguments="{}") + finish("stop")), _ONE),
    Fault(
        "a call within a text",
        streamed(prefix(2) + _call(name="f", arguments="{}") + EVENTS[2] + _CALL_END),
        Answered(text="Hello there.", output=("message", "function_call", "message")),
    ),
)

FAULTS = (*_CUTS, *_SILENCES, *_NOISE, *_ERRORS, *_ENDS, *_SHAPES, *_CALLS)
