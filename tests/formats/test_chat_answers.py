"""Answers in chat's words: whole, streamed, and the same either way; read by OpenAI's own client."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import openai
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from antiphon.formats.chat import ChatFormat
from antiphon.formats.chat.frames import BUCKET
from antiphon.hub import events as ev
from antiphon.hub.errors import UpstreamBroken
from antiphon.hub.format import ClientDialect, DialectTurn
from antiphon.hub.ids import Family
from antiphon.hub.items import JsonObject
from antiphon.providers.openai_chat.decode import ChatReplyDecoder
from antiphon.streams.accumulator import Accumulator
from antiphon.streams.assembler import Assembler
from tests.formats.chat_answers import HEX, LOGPROB, Said, Script, client, failed, logging_turn, say, turn
from tests.streams.fixed_ids import FAMILY, counting_ids

FORMAT: ClientDialect = ChatFormat()
PLAIN = turn()
CITATION = {"type": "url_citation", "start_index": 0, "end_index": 2, "url": "https://x.example", "title": "t"}
FILE_CITATION = {"type": "file_citation", "file_id": "file_1", "filename": "a.txt", "index": 0}
CHAT_USAGE = {
    "prompt_tokens": 11,
    "completion_tokens": 7,
    "total_tokens": 18,
    "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 2, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 4,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}


def whole(said: Said, asked: DialectTurn = PLAIN) -> JsonObject:
    """The body of the answer, after OpenAI's types have approved of it."""
    body = FORMAT.encode_response(said.response, asked)
    ChatCompletion.model_validate_json(body, strict=True)
    parsed: JsonObject = orjson.loads(body)
    return parsed


def message(script: Script, **how: Any) -> JsonObject:
    found: JsonObject = whole(say(script, **how))["choices"][0]["message"]
    return found


def streamed(said: Said, asked: DialectTurn = PLAIN) -> list[JsonObject]:
    """The chunks of a stream, after checking the frames around them, and that ``[DONE]`` is the last."""
    blocks = FORMAT.stream_encoder(asked).encode(said.events).decode().removesuffix("\n\n").split("\n\n")
    assert all(block.startswith("data: ") and "\n" not in block for block in blocks)
    assert blocks.pop() == "data: [DONE]"
    return [orjson.loads(block.removeprefix("data: ")) for block in blocks]


def deltas(script: Script) -> list[JsonObject]:
    return [chunk["choices"][0]["delta"] for chunk in streamed(say(script)) if chunk["choices"]]


def folded(said: Said, asked: DialectTurn = PLAIN) -> JsonObject:
    """The choice that OpenAI's accumulator makes of the chunks of a stream."""
    chunks = FORMAT.stream_encoder(asked).encode_each(said.events)
    return _folded(ChatCompletionChunk.model_validate_json(chunk) for chunk in chunks)


def _folded(chunks: Iterable[ChatCompletionChunk]) -> JsonObject:
    state = ChatCompletionStreamState()
    for chunk in chunks:
        state.handle_chunk(chunk)
    choice = state.current_completion_snapshot.choices[0]
    return {**choice.to_dict(), "message": _comparable(choice.message.to_dict())}


# What the accumulator adds to messages and calls.
_ADDED = frozenset({"audio", "function_call", "parsed", "parsed_arguments", "index"})


def _comparable(message: dict[str, Any]) -> JsonObject:
    """A message without what the accumulator adds, and with empty lists for those that are absent."""
    lists = {name: message.get(name) or [] for name in ("annotations", "tool_calls")}
    found: JsonObject = _without_added({**message, **lists})
    return found


def _without_added(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_added(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {name: _without_added(part) for name, part in value.items() if name not in _ADDED}


# Answers of all kinds: what the model says.


def text(said: Assembler) -> None:
    said.text("Hel")
    said.text("lo")


def refusal(said: Assembler) -> None:
    said.refusal("I can")
    said.refusal("not.")


def thoughtful(said: Assembler) -> None:
    said.reasoning_text("Hm.")
    said.reasoning_text(" So.")
    said.text("Yes")


def summed_up(said: Assembler) -> None:
    said.reasoning_summary("First.")
    said.text("Yes")
    said.reasoning_text("Then.")


def only_thinking(said: Assembler) -> None:
    said.reasoning_text("Hm.")


def calls(said: Assembler) -> None:
    said.open_function_call("a", name="look")
    said.call_delta("a", '{"q":')
    said.call_delta("a", "1}")
    said.open_function_call("b", name="look")
    said.call_delta("b", "{}")


def text_and_call(said: Assembler) -> None:
    said.text("Let me look.")
    said.open_function_call("a", name="look")
    said.call_delta("a", "{}")


def cited(said: Assembler) -> None:
    said.text("So.")
    said.annotation(CITATION)
    said.annotation({**CITATION, "title": "u"})
    said.annotation(FILE_CITATION)


def nothing(said: Assembler) -> None:
    """An answer of no tokens at all."""


SCRIPTS = [text, refusal, thoughtful, summed_up, only_thinking, calls, text_and_call, cited, nothing]


# Whole answers.


def test_a_whole_answer_is_chats() -> None:
    """Every field of the body, by the example of a plain text."""
    expected = {
        "id": f"chatcmpl-{HEX}",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello", "refusal": None, "annotations": []},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "service_tier": "default",
        "usage": CHAT_USAGE,
    }

    assert expected == whole(say(text))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_openais_client_reads_every_whole_answer(script: Script) -> None:
    """Its strict validation takes the body, and finds the message in it."""
    said = say(script)

    read = client(FORMAT.encode_response(said.response, PLAIN), stream=False).chat.completions.create(
        model="m", messages=[]
    )

    assert whole(said)["choices"][0]["message"] == read.choices[0].message.to_dict()


def test_refusals_are_no_content() -> None:
    """A refusal stands in its own field, and the content is null."""
    said = message(refusal)

    assert (said["content"], said["refusal"]) == (None, "I cannot.")


def test_reasoning_is_reasoning_content() -> None:
    """Thoughts and summaries of them are joined with a blank line between their parts."""
    assert message(thoughtful)["reasoning_content"] == "Hm. So."
    assert message(summed_up)["reasoning_content"] == "First.\n\nThen."


def test_calls_have_the_ids_by_which_they_are_answered() -> None:
    """A call's id is the item's ``call_id``; nothing was said, so the content is null."""
    said = say(calls)
    shown = whole(said)["choices"][0]

    assert [item["call_id"] for item in said.response["output"]] == [c["id"] for c in shown["message"]["tool_calls"]]
    assert shown["message"]["tool_calls"][0]["function"] == {"name": "look", "arguments": '{"q":1}'}
    assert (shown["message"]["content"], shown["finish_reason"]) == (None, "tool_calls")


def test_calls_of_custom_tools_keep_their_kind() -> None:
    """Free-form input stays free-form."""
    expected = {"type": "custom", "custom": {"name": "patch", "input": "*** "}}

    [call] = message(custom)["tool_calls"]

    assert expected == {name: call[name] for name in ("type", "custom")}


def test_citations_of_urls_are_annotations() -> None:
    """They are nested as chat has them; citations of files have no words there."""
    expected = {"start_index": 0, "end_index": 2, "url": "https://x.example", "title": "t"}

    first, second = message(cited)["annotations"]

    assert {"type": "url_citation", "url_citation": expected} == first
    assert second["url_citation"]["title"] == "u"


def test_places_of_citations_count_through_the_whole_content() -> None:
    """Texts are joined, so that what stands in the second one is further on."""

    def twice(said: Assembler) -> None:
        said.text("12345")
        said.refusal("-")
        said.text("67")
        said.annotation(CITATION)

    found = message(twice)

    assert found["content"] == "1234567"
    [citation] = found["annotations"]
    assert (citation["url_citation"]["start_index"], citation["url_citation"]["end_index"]) == (5, 7)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("max_output_tokens", "length"), ("content_filter", "content_filter"), ("max_tool_calls", "length")],
)
def test_what_was_cut_short_says_why(reason: str, expected: str) -> None:
    """An incomplete response ends in the reason that chat has for it, even after calls."""
    said = say(calls, status="incomplete", reason=reason)

    assert expected == whole(said)["choices"][0]["finish_reason"]
    assert expected == streamed(said)[-2]["choices"][0]["finish_reason"]


def test_log_probabilities_come_if_they_were_asked_for() -> None:
    """They stand beside the message; without being asked for they are null."""
    said = say(lambda assembler: assembler.text("Hi", (LOGPROB,)))

    assert whole(said, logging_turn())["choices"][0]["logprobs"] == {"content": [LOGPROB], "refusal": None}
    assert whole(said)["choices"][0]["logprobs"] is None


def test_usage_that_nobody_counted_is_absent() -> None:
    """An upstream that counts nothing gives no zeros to be billed by."""
    said = say(text, usage=None)

    assert "usage" not in whole(said)
    assert all(chunk["choices"] for chunk in streamed(said))


def test_a_call_that_chat_has_no_words_for_is_an_error() -> None:
    """A call that waits for the client is never left out, whole or streamed."""
    said = say(text)
    call = {"id": "sh_1", "type": "shell_call", "call_id": "call_1", "action": {}, "status": "completed"}
    said.response["output"].append(call)

    with pytest.raises(UpstreamBroken, match="shell_call"):
        FORMAT.encode_response(said.response, PLAIN)
    with pytest.raises(UpstreamBroken, match="shell_call"):
        FORMAT.stream_encoder(PLAIN).encode([said.events[0], ev.OutputItemAdded(0, call)])


# Streams.


def test_a_stream_of_text_is_chats() -> None:
    """Who speaks, the pieces, the reason of the end, the usage: each in a chunk of its own."""
    head = {"id": f"chatcmpl-{HEX}", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "m"}

    def chunk(delta: JsonObject, finish_reason: str | None = None, **more: Any) -> JsonObject:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return {**head, "choices": [choice], "usage": None, **more}

    expected = [
        chunk({"role": "assistant", "content": "", "refusal": None}),
        chunk({"content": "Hel"}),
        chunk({"content": "lo"}),
        chunk({}, "stop", service_tier="default"),
        {**head, "choices": [], "service_tier": "default", "usage": CHAT_USAGE},
    ]

    assert expected == streamed(say(text))


def test_calls_are_numbered() -> None:
    """Each begins with its index, id and name; its pieces have the index alone."""
    first, *pieces = deltas(calls)
    shown = [piece["tool_calls"][0] for piece in pieces if "tool_calls" in piece]

    assert first == {"role": "assistant", "content": None, "refusal": None}
    assert [piece["index"] for piece in shown] == [0, 0, 0, 1, 1]
    assert ["id" in piece for piece in shown] == [True, False, False, True, False]
    assert shown[0]["function"] == {"name": "look", "arguments": ""}
    assert shown[1] == {"index": 0, "function": {"arguments": '{"q":'}}


def test_the_usage_comes_only_if_it_was_asked_for() -> None:
    """Without ``include_usage`` no chunk says anything of it."""
    chunks = streamed(say(text), turn(usage_in_stream=False))

    assert all("usage" not in chunk and chunk["choices"] for chunk in chunks)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_openais_client_folds_a_stream_to_the_whole_answer(script: Script) -> None:
    """Its accumulator makes the same message of the chunks, with the same end."""
    said = say(script)
    expected = whole(said)["choices"][0]

    body = FORMAT.stream_encoder(PLAIN).encode(said.events)
    found = _folded(client(body, stream=True).chat.completions.create(model="m", messages=[], stream=True))

    assert _comparable(expected["message"]) == found["message"]
    assert expected["finish_reason"] == found["finish_reason"]


def test_openais_client_folds_log_probabilities() -> None:
    """Those of all pieces together are those of the whole answer."""

    def script(said: Assembler) -> None:
        said.text("Hi", (LOGPROB,))
        said.text("Hi", (LOGPROB, LOGPROB))

    said = say(script)

    assert whole(said, logging_turn())["choices"][0]["logprobs"] == folded(said, logging_turn())["logprobs"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_every_chunk_is_of_the_sdks_type(script: Script) -> None:
    """Each validates strictly, padded or not."""
    for asked in (PLAIN, turn(obfuscate=True)):
        for chunk in FORMAT.stream_encoder(asked).encode_each(say(script).events):
            ChatCompletionChunk.model_validate_json(chunk, strict=True)


def custom(said: Assembler) -> None:
    said.open_custom_call("a", name="patch")
    said.call_delta("a", "*** ")


def test_custom_calls_stream_as_openai_streams_them() -> None:
    """The SDK's type of a chunk knows functions alone; the wire is the whole answer's form with an index."""
    begun, piece, _ = deltas(custom)[1:]

    assert begun["tool_calls"][0]["custom"] == {"name": "patch", "input": ""}
    assert begun["tool_calls"][0]["type"] == "custom"
    assert piece["tool_calls"][0] == {"index": 0, "custom": {"input": "*** "}}


def test_an_error_in_a_stream_raises_in_openais_client() -> None:
    """The last event is the error, and no ``[DONE]`` says that all is well."""
    body = FORMAT.stream_encoder(PLAIN).encode(failed("rate_limit_exceeded", "Slow down."))

    assert b"[DONE]" not in body
    with (
        client(body, stream=True).chat.completions.create(model="m", messages=[], stream=True) as stream,
        pytest.raises(openai.APIError, match="Slow down") as raised,
    ):
        list(stream)
    assert (raised.value.type, raised.value.code) == ("rate_limit_error", "rate_limit_exceeded")


def test_a_cancelled_stream_says_so() -> None:
    """A response that somebody cancelled has no error of its own; the stream ends in one all the same."""
    said = say(text)
    response = {**said.response, "status": "cancelled"}

    body = FORMAT.stream_encoder(PLAIN).encode([*said.events[:-1], ev.ResponseFailed(response)])

    assert b'"code":"cancelled"' in body


def test_padding_hides_how_long_a_piece_is() -> None:
    """Pieces that differ in length by less than a bucket are chunks of one size."""

    def sizes(*pieces: str) -> set[int]:
        def script(said: Assembler) -> None:
            for piece in pieces:
                said.text(piece)

        blocks = FORMAT.stream_encoder(turn(obfuscate=True)).encode_each(say(script).events)
        return {len(block) for block in blocks if b'"delta":{"content"' in block}

    assert len(sizes(*("x" * length for length in range(1, BUCKET - 2)))) == 1
    assert len(sizes("x", "x" * BUCKET)) == 2


def test_many_batches_are_one_stream() -> None:
    """However the events come in batches, the bytes are the same."""
    said = say(text_and_call)
    encoder = FORMAT.stream_encoder(PLAIN)

    one_by_one = b"".join(encoder.encode([event]) for event in said.events)

    assert FORMAT.stream_encoder(PLAIN).encode(said.events) == one_by_one


@pytest.mark.parametrize("model", ["100%", '%b"', "\\", "[\x00]"])
@pytest.mark.parametrize("obfuscate", [False, True], ids=["plain", "padded"])
def test_a_models_name_changes_nothing_that_is_said(model: str, obfuscate: bool) -> None:
    """Pieces of text are written from a template, into which a name may not reach."""
    chunks = streamed(say(text, model=model), turn(obfuscate=obfuscate))

    assert {chunk["model"] for chunk in chunks} == {model}
    assert [c["delta"].get("content") for chunk in chunks for c in chunk["choices"]] == ["", "Hel", "lo", None]


PIECES = st.text(min_size=1, max_size=6) | st.sampled_from(["\x00", '"%b"', "\u2028", "é🙂"])
STEPS = st.one_of(
    st.tuples(st.just("text"), PIECES),
    st.tuples(st.just("refusal"), PIECES),
    st.tuples(st.just("reasoning_text"), PIECES),
    st.tuples(st.just("function"), PIECES),
)


def _perform(steps: list[tuple[str, str]]) -> Script:
    def script(said: Assembler) -> None:
        for number, (kind, value) in enumerate(steps):
            if kind == "function":
                said.open_function_call(number, name="look")
                said.call_delta(number, value)
            else:
                getattr(said, kind)(value)

    return script


@settings(max_examples=40, deadline=None)
@given(steps=st.lists(STEPS, max_size=8), obfuscate=st.booleans())
def test_any_stream_folds_to_its_whole_answer(steps: list[tuple[str, str]], obfuscate: bool) -> None:
    """Whatever is said in whatever order, OpenAI's accumulator and the whole answer agree."""
    said = say(_perform(steps))

    assert _comparable(whole(said)["choices"][0]["message"]) == folded(said, turn(obfuscate=obfuscate))["message"]


def _read_back(body: bytes) -> list[JsonObject]:
    """The items that the provider of the same dialect makes of a stream, without what is minted anew."""
    decoder = ChatReplyDecoder(counting_ids(), Family(FAMILY), "here")
    accumulator = Accumulator()
    events = [*decoder.feed(body), *decoder.finish()]
    accumulator.feed(event for event in events if not isinstance(event, ev.ReplyEnd))
    return [_without_ids(item) for item in accumulator.output()]


def _without_ids(item: JsonObject) -> JsonObject:
    return {name: value for name, value in item.items() if name not in ("id", "call_id")}


@pytest.mark.parametrize("script", [text, refusal, thoughtful, only_thinking, calls, text_and_call, custom])
def test_another_gateway_reads_what_was_said(script: Script) -> None:
    """The provider of the same dialect makes the same items of the stream."""
    said = say(script)

    assert [_without_ids(item) for item in said.response["output"]] == _read_back(
        FORMAT.stream_encoder(PLAIN).encode(said.events)
    )
