"""
A request's settings as fields of the body, everything but the context, the tools and the thinking.

A default of the API is never spelled out. What would change what the model says and has no words here is refused by
name; what changes nothing in it is reported as not applied. Not sent at all: ``metadata`` and ``store`` (the state is
ours), ``max_tool_calls`` (it concerns hosted tools only).
"""

from __future__ import annotations

from collections.abc import Iterator

from antiphon.hub.errors import UnsupportedParameter
from antiphon.hub.items import JsonObject
from antiphon.hub.turn import TurnRequest
from antiphon.providers.anthropic.families import Family
from antiphon.providers.anthropic.quirks import Quirks

__all__ = ["JSON_INSTRUCTION", "asks_for_json", "encode_format", "encode_settings", "max_tokens_of", "not_applied"]

JSON_INSTRUCTION = "Answer with one JSON object and nothing else."

_DEFAULT_MAX_TOKENS = 8192
_LOGPROBS = "message.output_text.logprobs"
_LEAST_TOP_P_WITH_THINKING = 0.95
# The API's tiers, and what each is called here. "auto" takes the faster capacity where there is some.
_SERVICE_TIERS = {"auto": None, "default": "standard_only", "priority": "auto"}


def max_tokens_of(request: TurnRequest, family: Family) -> int:
    """The limit of the output, which the API demands: the request's, else the most that the model can."""
    return request.max_output_tokens or family.max_output_tokens or _DEFAULT_MAX_TOKENS


def encode_settings(request: TurnRequest, family: Family, quirks: Quirks, *, thinks: bool) -> JsonObject:
    """
    The settings of a request as body fields.

    Args:
        thinks: Whether thinking is asked for, beside which the API takes hardly any sampling parameter.

    Raises:
        UnsupportedParameter: A setting that the dialect or the model does not have.
    """
    _refuse_unsayable(request)
    fields = _sampling(request, family, thinks=thinks)
    if request.stop:
        fields["stop_sequences"] = _stop_sequences(request)
    end_user = request.safety_identifier or request.user
    if end_user is not None:
        fields["metadata"] = {"user_id": end_user}
    if quirks.host == "anthropic" and _SERVICE_TIERS.get(request.service_tier or "auto") is not None:
        fields["service_tier"] = _SERVICE_TIERS[request.service_tier or "auto"]
    return fields


def encode_format(request: TurnRequest, family: Family, quirks: Quirks) -> JsonObject | None:
    """
    The ``output_config.format`` for a request's text format; None for plain text.

    Raises:
        UnsupportedParameter: A format that the dialect or the model does not have.
    """
    text_format = request.text.get("format") or {"type": "text"}
    match text_format["type"]:
        case "text":
            return None
        case "json_object" if quirks.json_object == "instruction":
            return None
        case "json_schema" if family.structured:
            return {"type": "json_schema", "schema": text_format["schema"]}
        case "json_schema":
            reason = "This upstream's model cannot be held to a JSON schema."
        case kind:
            reason = f"Text format '{kind}' cannot be asked of this upstream. Use 'text' or 'json_schema'."
    raise UnsupportedParameter(reason, param="text.format.type")


def asks_for_json(request: TurnRequest) -> bool:
    """Whether the text is wanted as JSON of no particular schema."""
    return (request.text.get("format") or {}).get("type") == "json_object"


def not_applied(request: TurnRequest, family: Family, quirks: Quirks) -> Iterator[str]:
    """The client's names of what it asked for and what changes nothing in what the model says."""
    for name in ("prompt_cache_key", "prompt_cache_retention"):
        if getattr(request, name) is not None:
            yield name
    if request.user is not None and request.safety_identifier is not None:
        yield "user"
    if request.service_tier not in (None, *(_SERVICE_TIERS if quirks.host == "anthropic" else ("auto", "default"))):
        yield "service_tier"
    if request.top_logprobs and _LOGPROBS not in request.include:
        yield "top_logprobs"
    if (request.text.get("format") or {}).get("description"):
        yield "text.format.description"
    summary = request.reasoning.get("summary") or request.reasoning.get("generate_summary")
    if summary and (family.thinking != "adaptive" or summary != "auto"):
        yield "reasoning.summary"  # there is one kind of summary, and models with a budget decide about it themselves
    if quirks.replay_thinking == "never" and request.reasoning.get("context") not in (None, "auto"):
        yield "reasoning.context"


def _refuse_unsayable(request: TurnRequest) -> None:
    for name in ("presence_penalty", "frequency_penalty"):
        if getattr(request, name):
            raise _refused(f"This upstream has no '{name}'. Leave it out.", name)
    if _LOGPROBS in request.include:
        raise _refused("This upstream gives no log probabilities. Ask for none.", "include")
    if request.text.get("verbosity") not in (None, "medium"):
        raise _refused("This upstream has no 'verbosity'. Leave it out, and say it in words.", "text.verbosity")
    if request.reasoning.get("mode") not in (None, "standard"):
        mode = request.reasoning["mode"]
        raise _refused(f"Reasoning mode '{mode}' cannot be asked of this upstream. Use 'standard'.", "reasoning.mode")


def _sampling(request: TurnRequest, family: Family, *, thinks: bool) -> JsonObject:
    """Temperature and top_p. 1 is the default of both, and is not sent: several models refuse to be told."""
    fields: JsonObject = {
        name: value for name in ("temperature", "top_p") if (value := getattr(request, name)) not in (None, 1)
    }
    temperature = fields.get("temperature", 0)
    if temperature > 1:
        raise _refused(f"This upstream takes a temperature between 0 and 1, not {temperature}.", "temperature")
    for name in fields:
        if family.sampling == "none":
            raise _refused(f"This upstream's model has no '{name}'. Leave it out.", name)
        if thinks and (name == "temperature" or fields[name] < _LEAST_TOP_P_WITH_THINKING):
            raise _refused(f"This upstream takes no '{name}' of {fields[name]} while the model reasons.", name)
    if family.sampling == "one" and len(fields) > 1:
        raise _refused("This upstream's model takes 'temperature' or 'top_p', not both.", "top_p")
    return fields


def _stop_sequences(request: TurnRequest) -> list[str]:
    for text in request.stop:
        if not text or text.isspace():
            raise _refused("This upstream takes no text for 'stop' that is nothing but white space.", "stop")
    return list(request.stop)


def _refused(reason: str, param: str) -> UnsupportedParameter:
    return UnsupportedParameter(reason, param=param)
