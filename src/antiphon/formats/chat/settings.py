"""Settings that several requests of the dialect share: their schemas, and what they are called in the hub."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from antiphon.formats.checks.common import METADATA, unsupported
from antiphon.formats.checks.schema import Anything, Arr, Bool, ByType, Enum, Field, Int, Num, Obj, Str
from antiphon.hub.errors import InvalidRequest

__all__ = [
    "LOGPROBS",
    "SAMPLING",
    "check_model",
    "check_stream_options",
    "refuse_biased",
    "refuse_choices",
    "sampling_of",
    "stop_of",
]

# What a request includes in the hub to get log probabilities.
LOGPROBS = "message.output_text.logprobs"

_FREE_OBJECT = ByType(cases={dict: Anything()}, expected="an object")

SAMPLING: Mapping[str, Field] = {
    "n": Field(schema=Int(minimum=1, maximum=128), default=1),
    "stop": Field(
        schema=ByType(
            cases={str: Str(min_length=1), list: Arr(item=Str(min_length=1), max_length=4)},
            expected="one of a string or array of strings",
        )
    ),
    "temperature": Field(schema=Num(minimum=0, maximum=2)),
    "top_p": Field(schema=Num(minimum=0, maximum=1)),
    "presence_penalty": Field(schema=Num(minimum=-2, maximum=2)),
    "frequency_penalty": Field(schema=Num(minimum=-2, maximum=2)),
    "logit_bias": Field(schema=_FREE_OBJECT, verbatim_only=True),
    "user": Field(schema=Str()),
    "seed": Field(schema=Int(minimum=-(2**63), maximum=2**63 - 1)),
    "safety_identifier": Field(schema=Str(max_length=128)),
    "prompt_cache_key": Field(schema=Str()),
    "prompt_cache_retention": Field(schema=Enum(("in_memory", "24h"))),
    "service_tier": Field(schema=Enum(("auto", "default", "fast", "flex", "priority", "scale"))),
    "stream": Field(schema=Bool(), default=False),
    "stream_options": Field(
        schema=Obj(fields={"include_usage": Field(schema=Bool()), "include_obfuscation": Field(schema=Bool())})
    ),
    "store": Field(schema=Bool(), default=False),
    "metadata": Field(schema=METADATA, default={}),
}

_SAME_NAME = (
    *("temperature", "top_p", "presence_penalty", "frequency_penalty", "user", "safety_identifier"),
    *("prompt_cache_key", "prompt_cache_retention", "service_tier"),
)


def check_model(body: Mapping[str, Any]) -> None:
    """
    Refuse a body without a model, before anything else is looked at.

    Raises:
        InvalidRequest: In OpenAI's words, which name no field.
    """
    if not body.get("model"):
        raise InvalidRequest("you must provide a model parameter")


def check_stream_options(fields: Mapping[str, Any]) -> None:
    """
    Refuse options of a stream where there is none.

    Raises:
        InvalidRequest: Names them.
    """
    if "stream_options" in fields and not fields["stream"]:
        raise InvalidRequest(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.", param="stream_options"
        )


def refuse_choices(fields: Mapping[str, Any], name: str) -> None:
    """
    Refuse more than one answer to one request.

    Raises:
        UnsupportedParameter: Names the field.
    """
    if fields[name] != 1:
        raise unsupported(name, "Send one request for each answer.")


def refuse_biased(fields: Mapping[str, Any]) -> None:
    """
    Refuse biases of tokens: they change what is said, and there is nothing that carries them.

    Raises:
        UnsupportedParameter: Names the field. An empty one says nothing and passes.
    """
    if fields.get("logit_bias"):
        raise unsupported("logit_bias", "Leave it out.")


def stop_of(stop: str | list[str] | None) -> tuple[str, ...]:
    """Checked stop sequences as a tuple."""
    return (stop,) if isinstance(stop, str) else tuple(stop or ())


def sampling_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The hub's settings for checked :data:`SAMPLING` fields."""
    options = fields.get("stream_options", {})
    return {
        "stop": stop_of(fields.get("stop")),
        "stream": fields["stream"],
        "include_obfuscation": options.get("include_obfuscation", True),
        **{name: fields[name] for name in _SAME_NAME if name in fields},
    }
