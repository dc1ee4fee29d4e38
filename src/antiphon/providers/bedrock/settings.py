"""
A request's settings as fields of the Converse body, everything but messages, system and tools.

Not sent at all: ``metadata`` and ``store`` (the state is ours), ``max_tool_calls`` (it concerns hosted tools only).
What would change the model's answer and cannot be said is refused; what would not is reported as not applied.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import orjson

from antiphon.hub.errors import InvalidRequest, UnsupportedParameter
from antiphon.hub.items import JsonObject
from antiphon.hub.turn import ModelCall, TurnRequest
from antiphon.providers.bedrock.quirks import Quirks

__all__ = ["Settings", "encode_settings"]

# Where Claude says at which text it stopped; with other models nothing is there, and nothing comes back.
_STOP_SEQUENCE_PATH = "/stop_sequence"
_LOGPROBS = "message.output_text.logprobs"
_WITHOUT_EFFECT = ("user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention")
_SERVICE_TIERS = frozenset({"default", "flex", "priority"})
_NOVA_EFFORTS = frozenset({"low", "medium", "high"})
_LEAST_THINKING = 1024


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """
    Body fields, and what they leave out.

    Attributes:
        not_applied: The client's names of what it asked for and Converse has no words for.
    """

    fields: JsonObject
    not_applied: tuple[str, ...]


def encode_settings(call: ModelCall, quirks: Quirks) -> Settings:
    """
    The settings of *call* as body fields.

    Raises:
        UnsupportedParameter: Something that Converse, or this model, has no words for.
    """
    request = call.request
    _refuse_unsayable(request)
    effort = _effort(request, quirks)
    fields: JsonObject = {
        "inferenceConfig": _inference(request),
        "outputConfig": {**_text_format(request.text.get("format") or {"type": "text"}), **effort.output},
        "additionalModelRequestFields": {**quirks.additional_fields, **effort.model},
        "guardrailConfig": _guardrail(quirks),
    }
    if request.stop:
        fields["additionalModelResponseFieldPaths"] = [_STOP_SEQUENCE_PATH]
    if request.service_tier in _SERVICE_TIERS:
        fields["serviceTier"] = {"type": request.service_tier}
    return Settings(
        fields={name: value for name, value in fields.items() if value},
        not_applied=tuple(_not_applied(request, quirks)),
    )


def _refuse_unsayable(request: TurnRequest) -> None:
    for name in ("presence_penalty", "frequency_penalty"):
        if getattr(request, name):
            raise UnsupportedParameter(f"'{name}' is not supported by this upstream. Leave it out.", param=name)
    if request.temperature is not None and request.temperature > 1:
        raise UnsupportedParameter("This upstream takes a temperature between 0 and 1.", param="temperature")
    if _LOGPROBS in request.include:
        raise UnsupportedParameter("This upstream does not report log probabilities.", param="include")
    if request.text.get("verbosity") not in (None, "medium"):
        raise UnsupportedParameter(
            "This upstream's models have no verbosity. Ask for few words in the instructions.", param="text.verbosity"
        )
    if request.reasoning.get("mode") not in (None, "standard"):
        raise UnsupportedParameter(
            f"Reasoning mode '{request.reasoning['mode']}' cannot be asked of this upstream. Use 'standard'.",
            param="reasoning.mode",
        )


def _inference(request: TurnRequest) -> JsonObject:
    values = {"maxTokens": request.max_output_tokens, "temperature": request.temperature, "topP": request.top_p}
    stop = {"stopSequences": list(request.stop)} if request.stop else {}
    return {name: value for name, value in values.items() if value is not None} | stop


def _text_format(text_format: JsonObject) -> JsonObject:
    match text_format["type"]:
        case "text":
            return {}
        case "json_schema":
            # The schema goes up as a text of its own, and is always kept to.
            try:
                schema: JsonObject = {"schema": orjson.dumps(text_format["schema"]).decode()}
            except orjson.JSONEncodeError as error:
                raise InvalidRequest("The schema cannot be written as JSON.", param="text.format.schema") from error
            schema |= {name: text_format[name] for name in ("name", "description") if text_format.get(name)}
            return {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}}
        case other:
            raise UnsupportedParameter(
                f"Text format '{other}' cannot be asked of this upstream. Use 'text' or 'json_schema'.",
                param="text.format.type",
            )


class _Effort(msgspec.Struct, frozen=True, kw_only=True):
    """An effort, in the fields of the output and in those that only the model understands."""

    output: JsonObject = {}
    model: JsonObject = {}


def _effort(request: TurnRequest, quirks: Quirks) -> _Effort:
    effort = request.reasoning.get("effort")
    if effort is None:
        return _Effort()
    wanted = {} if effort == "none" else {"effort": effort}
    match quirks.reasoning:
        case "effort":  # which has no word for none; most models think only when they are asked to
            return _Effort(output=wanted)
        case "adaptive":
            return _Effort(output=wanted, model={"thinking": {"type": "adaptive" if wanted else "disabled"}})
        case "budget":
            if not wanted:
                return _Effort()
            return _Effort(model={"thinking": {"type": "enabled", "budget_tokens": _budget(effort, request, quirks)}})
        case "nova":
            return _Effort(model={"reasoningConfig": _nova(effort)})
        case "reasoning_effort":
            return _Effort(model={"reasoning_effort": effort})
        case "none":
            if wanted:
                raise _no_effort(effort, "none")
            return _Effort()


def _budget(effort: str, request: TurnRequest, quirks: Quirks) -> int:
    """What an effort is worth, within the limit of output, which counts the thinking as well."""
    budget = quirks.thinking_budgets.get(effort)
    if budget is None:
        raise _no_effort(effort, *quirks.thinking_budgets)
    if request.max_output_tokens is None or request.max_output_tokens > budget:
        return budget
    if request.max_output_tokens <= _LEAST_THINKING:
        raise UnsupportedParameter(
            f"This upstream's model needs 'max_output_tokens' over {_LEAST_THINKING} to think. Raise it, or ask for "
            "reasoning effort 'none'.",
            param="max_output_tokens",
        )
    return max(_LEAST_THINKING, request.max_output_tokens - _LEAST_THINKING)


def _nova(effort: str) -> JsonObject:
    if effort == "none":
        return {"type": "disabled"}
    if effort not in _NOVA_EFFORTS:
        raise _no_effort(effort, "none", "low", "medium", "high")
    return {"type": "enabled", "maxReasoningEffort": effort}


def _no_effort(effort: str, *known: str) -> UnsupportedParameter:
    efforts = ", ".join(f"'{name}'" for name in known)
    return UnsupportedParameter(
        f"Reasoning effort '{effort}' cannot be asked of this upstream. It has {efforts}.", param="reasoning.effort"
    )


def _guardrail(quirks: Quirks) -> JsonObject:
    if not quirks.guardrail:
        return {}
    return {"guardrailIdentifier": quirks.guardrail, "guardrailVersion": quirks.guardrail_version}


def _not_applied(request: TurnRequest, quirks: Quirks) -> Iterator[str]:
    for name in _WITHOUT_EFFECT:
        if getattr(request, name) is not None:
            yield name
    if request.top_logprobs:
        yield "top_logprobs"
    if request.service_tier is not None and request.service_tier not in (*_SERVICE_TIERS, "auto"):
        yield "service_tier"
    if request.reasoning.get("summary") or request.reasoning.get("generate_summary"):
        yield "reasoning.summary"
    if request.reasoning.get("effort") == "none" and quirks.reasoning == "effort":
        yield "reasoning.effort"
