"""
Errors in chat's envelope, which is that of the Responses API, with chat's names of what is at fault.

An error may come from the dialect's own checks, or from further inside, where a field goes by its name in the Responses
API. Places within the context count items there and messages here, so that of those only the field itself is named.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Final

import orjson

from antiphon.hub.errors import AntiphonError
from antiphon.hub.items import JsonObject

__all__ = ["CHAT_NAMES", "ChatErrors", "encode_envelope", "failure_of"]

CHAT_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "input": "messages",
        "instructions": "messages",
        "include": "logprobs",
        "max_output_tokens": "max_completion_tokens",
        "reasoning": "reasoning_effort",
        "text.format": "response_format",
        "text.verbosity": "verbosity",
    }
)

# The types of errors that say more than that something went wrong, by their code.
_TYPES = {
    "context_length_exceeded": "invalid_request_error",
    "insufficient_quota": "insufficient_quota",
    "rate_limit_exceeded": "rate_limit_error",
}

_LEADING = re.compile(r"(?:text\.)?[a-z_]+")


class ChatErrors:
    """
    Errors as OpenAI's: implements :class:`~antiphon.hub.format.ErrorForm`.

    Attributes:
        names: The dialect's names of fields that the Responses API calls otherwise.
    """

    error_schema: Final = "Error"
    id_header: Final = None
    names: ClassVar[Mapping[str, str]] = CHAT_NAMES

    def encode_error(self, error: AntiphonError, *, request_id: str) -> bytes:
        return encode_envelope(error, self.names)

    def shown_status(self, status: int) -> int:
        return status

    def shown_type(self, error_type: str, status: int) -> str:
        return error_type


def encode_envelope(error: AntiphonError, names: Mapping[str, str] = CHAT_NAMES) -> bytes:
    """The JSON body of an error; *names* are the dialect's of fields that the Responses API calls otherwise."""
    envelope = error.envelope()
    envelope["error"]["param"] = _renamed(error.param, names)
    return orjson.dumps(envelope)


def failure_of(response: JsonObject) -> JsonObject:
    """The error body of a response that failed, or was cancelled, after its stream had begun."""
    error = response.get("error") or {"code": "cancelled", "message": "The request was cancelled."}
    code = error["code"]
    body = {"message": error["message"], "type": _TYPES.get(code, "server_error"), "param": None, "code": code}
    return {"error": body}


def _renamed(param: str | None, names: Mapping[str, str]) -> str | None:
    leading = _LEADING.match(param) if param else None
    return param if leading is None else names.get(leading.group(), param)
