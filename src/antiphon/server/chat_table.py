"""
The table of operations of stored chat completions. A part of the table of all.

See :mod:`antiphon.server.table` for what a row is.
"""

from __future__ import annotations

from dataclasses import replace

from antiphon.hub.errors import CompletionNotFound, ItemNotFound, QuotaExceeded, UpstreamBroken
from antiphon.hub.format import ErrorForm
from antiphon.server.chat_completions import StoredCompletionsEndpoints
from antiphon.server.routes import Route

__all__ = ["stored_completion_operations"]

_PATH = "/v1/chat/completions"
_ONE = f"{_PATH}/{{completion_id}}"


def stored_completion_operations(stored: StoredCompletionsEndpoints, form: ErrorForm) -> list[Route]:
    """
    Every operation of stored completions, in the order of the published document.

    Args:
        form: How what goes wrong is answered.
    """
    return [replace(route, error_form=form) for route in (*_reading(stored), *_changing(stored))]


def _reading(stored: StoredCompletionsEndpoints) -> list[Route]:
    return [
        Route(
            "GET",
            _PATH,
            stored.list,
            "List stored chat completions",
            name="listChatCompletions",
            tag="Chat",
            scope="responses:read",
            query="ChatCompletionListQuery",
            answer="ChatCompletionList",
            extension=False,
            errors=(CompletionNotFound,),
            details="Those that were asked for with `store: true`, in the order in which they were stored, oldest "
            "first. All filters have to fit.",
        ),
        Route(
            "GET",
            _ONE,
            stored.retrieve,
            "Retrieve a stored chat completion",
            name="getChatCompletion",
            tag="Chat",
            scope="responses:read",
            answer="StoredChatCompletion",
            extension=False,
            errors=(CompletionNotFound, UpstreamBroken),
            details="The same turn is the response with the same digits: it can be retrieved and continued as such.",
        ),
        Route(
            "GET",
            f"{_ONE}/messages",
            stored.messages,
            "List the messages of a stored chat completion",
            name="getChatCompletionMessages",
            tag="Chat",
            scope="responses:read",
            query="ChatMessageListQuery",
            answer="ChatMessageList",
            extension=False,
            errors=(CompletionNotFound, ItemNotFound),
            details="Those that it was asked for with, in the client's own words, oldest first.",
        ),
    ]


def _changing(stored: StoredCompletionsEndpoints) -> list[Route]:
    return [
        Route(
            "POST",
            _ONE,
            stored.update,
            "Update a stored chat completion",
            name="updateChatCompletion",
            tag="Chat",
            scope="responses:write",
            body="UpdateChatCompletion",
            answer="StoredChatCompletion",
            extension=False,
            errors=(CompletionNotFound, QuotaExceeded),
            details="Its metadata is replaced, here and in the response; nothing else of it can be changed.",
        ),
        Route(
            "DELETE",
            _ONE,
            stored.delete,
            "Delete a stored chat completion",
            name="deleteChatCompletion",
            tag="Chat",
            scope="responses:delete",
            answer="DeletedChatCompletion",
            extension=False,
            errors=(CompletionNotFound,),
            details="The response with the same digits goes with it.",
        ),
    ]
