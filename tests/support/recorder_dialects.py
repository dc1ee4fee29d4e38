"""
What answers of client dialects are held against: schemas of the gateway's own document.

OpenAI's document describes Chat Completions as OpenAI answers them; a gateway passes on what its upstream said, which
may be less. Anthropic's it does not describe at all.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DialectForm", "dialect_form"]


@dataclass(frozen=True)
class DialectForm:
    """
    The schemas of one operation.

    Attributes:
        answer: None for a path that there is not, where everything is an error.
        event: Of one event of its stream; None if it has none.
        named: Whether events say their type in a line of their own.
    """

    answer: str | None
    error: str
    event: str | None = None
    named: bool = False


_MESSAGES = "/v1/messages"
_FORMS = {
    "/v1/chat/completions": DialectForm("ChatCompletion", "Error", "ChatCompletionChunk"),
    "/v1/completions": DialectForm("Completion", "Error", "CompletionChunk"),
    _MESSAGES: DialectForm("MessageAnswer", "MessagesError", "MessageStreamEvent", named=True),
    f"{_MESSAGES}/count_tokens": DialectForm("MessageTokens", "MessagesError"),
}


def dialect_form(method: str, path: str) -> DialectForm | None:
    """The form of a request's answer; None if it is none of a dialect's."""
    if method == "POST" and path in _FORMS:
        return _FORMS[path]
    if path == _MESSAGES or path.startswith(f"{_MESSAGES}/"):
        return DialectForm(None, "MessagesError")
    return None
