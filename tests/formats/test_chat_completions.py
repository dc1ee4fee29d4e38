"""Text completions: one prompt, one text; whole and streamed, as OpenAI's client reads them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from openai.types import Completion

from antiphon.formats.chat.completions import CompletionsFormat
from antiphon.hub.errors import ContextLengthExceeded, InvalidRequest, UnsupportedParameter
from antiphon.hub.format import ClientDialect, DialectTurn
from antiphon.hub.items import JsonObject
from antiphon.hub.turn import TurnRequest
from antiphon.streams.assembler import Assembler
from tests.formats.chat_answers import HEX, LOGPROB, client, failed, logging_turn, say, turn

FORMAT: ClientDialect = CompletionsFormat()
PLAIN = turn()


def decode(**fields: Any) -> DialectTurn:
    return FORMAT.decode({"model": "m", "prompt": "Once", **fields})


def request(**fields: Any) -> TurnRequest:
    return decode(**fields).request


def spoken(said: Assembler) -> None:
    said.reasoning_text("Hm.")
    said.text("Hel", (LOGPROB,))
    said.text("lo")
    said.refusal("!")


def whole(asked: DialectTurn = PLAIN, **how: Any) -> JsonObject:
    """The choice of a whole answer, after OpenAI's type has approved of the body."""
    body = FORMAT.encode_response(say(spoken, **how).response, asked)
    Completion.model_validate_json(body, strict=True)
    found: JsonObject = orjson.loads(body)
    assert (f"cmpl-{HEX}", "text_completion") == (found["id"], found["object"])
    [choice] = found["choices"]
    return dict(choice)


@pytest.mark.parametrize("prompt", ["Once", ["Once"]], ids=["text", "list-of-one"])
def test_a_prompt_is_a_message_of_the_user(prompt: Any) -> None:
    """It is asked alone, and nothing of it is kept."""
    part = {"type": "input_text", "text": "Once"}
    asked = request(prompt=prompt)

    assert ({"type": "message", "role": "user", "status": "completed", "content": [part]},) == asked.input
    assert asked.store is False


def test_settings() -> None:
    """They are those of chat, except that an answer is short unless more is wanted, as it always was in this API."""
    asked = request(stop="END", temperature=1, logprobs=2, max_tokens=9, user="u", seed=1)

    assert request().max_output_tokens == 16
    assert (
        asked.stop,
        asked.temperature,
        asked.top_logprobs,
        asked.max_output_tokens,
        asked.user,
        asked.not_applied,
    ) == (("END",), 1.0, 2, 9, "u", ("seed",))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prompt", ["a", "b"]),
        ("prompt", [1, 2]),
        ("prompt", [[1, 2]]),
        ("n", 2),
        ("best_of", 3),
        ("echo", True),
        ("suffix", "end"),
        ("logit_bias", {"5": 1}),
    ],
    ids=str,
)
def test_what_cannot_be_served_is_refused_by_name(field: str, value: Any) -> None:
    """What only a bare text model could do, and more answers than one."""
    with pytest.raises(UnsupportedParameter) as raised:
        decode(**{field: value})

    assert field == raised.value.param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": 7}, "prompt"),
        ({"model": ""}, None),
        ({"messages": []}, "messages"),
        ({"logprobs": 6}, "logprobs"),
        ({"stream_options": {}}, "stream_options"),
    ],
    ids=["null", "empty", "integer", "no-model", "of-chat", "above", "no-stream"],
)
def test_mistakes_are_named(fields: dict[str, Any], param: str | None) -> None:
    """Each field is checked as in chat."""
    with pytest.raises(InvalidRequest) as raised:
        decode(**fields)

    assert param == raised.value.param


def test_everything_that_was_said_is_the_text() -> None:
    """Refusals have no other place here; reasoning is none of it."""
    assert whole() == {"text": "Hello!", "index": 0, "logprobs": None, "finish_reason": "stop"}
    assert whole(status="incomplete", reason="max_output_tokens")["finish_reason"] == "length"


def test_log_probabilities_are_columns() -> None:
    """Tokens, their probabilities, the alternatives and where each token begins."""
    expected = {"tokens": ["Hi"], "token_logprobs": [-0.5], "top_logprobs": [{}], "text_offset": [0]}

    assert expected == whole(logging_turn())["logprobs"]


def test_tokens_of_a_stream_count_on() -> None:
    """Where a token begins is counted through the whole text, whatever came before it with or without probabilities."""

    def script(said: Assembler) -> None:
        said.text("Hi", (LOGPROB,))
        said.text("12345")
        said.text("HiHi", (LOGPROB, LOGPROB))

    chunks = [orjson.loads(one) for one in FORMAT.stream_encoder(logging_turn()).encode_each(say(script).events)]

    offsets = [c["logprobs"]["text_offset"] for chunk in chunks for c in chunk["choices"] if c["logprobs"]]
    assert offsets == [[0], [7, 9]]


def test_openais_client_reads_a_stream() -> None:
    """The pieces make the text of the whole answer; the usage comes last."""
    body = FORMAT.stream_encoder(logging_turn()).encode(say(spoken).events)

    # The SDK has one type for chunks and whole answers, in which the null of all chunks but one is a mistake.
    chunks = list(client(body, stream=True, strict=False).completions.create(model="m", prompt="Once", stream=True))

    assert body.endswith(b"data: [DONE]\n\n")
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == "Hello!"
    assert [c.finish_reason for chunk in chunks for c in chunk.choices if c.finish_reason is not None] == ["stop"]
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 18


def test_padding_and_batches_change_nothing_that_is_said() -> None:
    """The pieces of a padded stream that comes event by event are those of a plain one."""
    padded = FORMAT.stream_encoder(turn(obfuscate=True))

    chunks = [orjson.loads(one) for event in say(spoken).events for one in padded.encode_each([event])]

    assert [choice["text"] for chunk in chunks for choice in chunk["choices"]] == ["Hel", "lo", "!", ""]
    assert all("obfuscation" in chunk for chunk in chunks[:3])


def test_an_error_in_a_stream_is_not_done() -> None:
    """It is the last event."""
    body = FORMAT.stream_encoder(PLAIN).encode(failed("server_error", "Broken."))

    assert b"Broken." in body
    assert b"[DONE]" not in body


def test_an_error_names_the_prompt() -> None:
    """A context that is too long is the prompt."""
    body = orjson.loads(FORMAT.encode_error(ContextLengthExceeded(), request_id="req_1"))

    assert body["error"]["param"] == "prompt"
