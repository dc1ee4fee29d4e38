"""
The table of the library's operations: items, lists, forks, transfers and prompts. A part of the table of all.

See :mod:`antiphon.server.table` for what a row is.
"""

from __future__ import annotations

from antiphon.hub.errors import (
    ConversationLocked,
    ConversationNotFound,
    ItemNotFound,
    PromptNotFound,
    ResponseNotFound,
    UnsupportedMediaType,
)
from antiphon.server.conversations import ConversationsEndpoints
from antiphon.server.library import LibraryEndpoints
from antiphon.server.prompts import PromptsEndpoints
from antiphon.server.routes import Route
from antiphon.server.transfer import TransferEndpoints

__all__ = ["library_operations"]


def library_operations(
    library: LibraryEndpoints,
    conversations: ConversationsEndpoints,
    transfer: TransferEndpoints,
    prompts: PromptsEndpoints,
) -> list[Route]:
    """Every operation of the library, in the order of the published document."""
    return [
        _list_of_responses(library),
        *_items(conversations),
        *_of_conversations(conversations),
        *_transfers(transfer),
        *_prompts(prompts),
    ]


def _list_of_responses(library: LibraryEndpoints) -> Route:
    return Route(
        "GET",
        "/v1/responses",
        library.responses,
        "List responses",
        name="listResponses",
        tag="Responses",
        scope="responses:read",
        query="ResponseListQuery",
        answer="ResponseList",
        extension=True,
        errors=(ResponseNotFound,),
        details="In the order in which they were stored, newest first. All filters have to fit.",
    )


def _items(conversations: ConversationsEndpoints) -> list[Route]:
    return [
        Route(
            "POST",
            "/v1/conversations/{conversation_id}/items",
            conversations.add_items,
            "Add items to a conversation",
            name="createConversationItems",
            idempotent=True,
            tag="Conversations",
            scope="conversations:write",
            body="CreateConversationItems",
            query="IncludeQuery",
            answer="ItemList",
            extension=False,
            errors=(ConversationNotFound, ConversationLocked, ItemNotFound),
            details="Answers the new items alone.",
        ),
        Route(
            "GET",
            "/v1/conversations/{conversation_id}/items/{item_id}",
            conversations.item,
            "Retrieve an item of a conversation",
            name="getConversationItem",
            tag="Conversations",
            scope="conversations:read",
            query="IncludeQuery",
            answer="Item",
            extension=False,
            errors=(ConversationNotFound, ItemNotFound),
        ),
        Route(
            "DELETE",
            "/v1/conversations/{conversation_id}/items/{item_id}",
            conversations.remove_item,
            "Take an item out of a conversation",
            name="deleteConversationItem",
            tag="Conversations",
            scope="conversations:delete",
            answer="Conversation",
            extension=False,
            errors=(ConversationNotFound, ConversationLocked, ItemNotFound),
            details="Later turns do not see it. Forks and earlier responses keep it.",
        ),
    ]


def _of_conversations(conversations: ConversationsEndpoints) -> list[Route]:
    return [
        Route(
            "GET",
            "/v1/conversations",
            conversations.list,
            "List conversations",
            name="listConversations",
            tag="Conversations",
            scope="conversations:read",
            query="ConversationListQuery",
            answer="ConversationList",
            extension=True,
            errors=(ConversationNotFound,),
            details="By the time of their creation, newest first. All filters have to fit.",
        ),
        Route(
            "POST",
            "/v1/conversations/{conversation_id}/fork",
            conversations.fork,
            "Fork a conversation",
            name="forkConversation",
            idempotent=True,
            tag="Conversations",
            scope="conversations:write",
            body="ForkConversation",
            optional_body=True,
            answer="Conversation",
            extension=True,
            errors=(ConversationNotFound, ItemNotFound),
            details="A new conversation that begins with this one's items. Nothing is copied, however long it is; "
            "afterwards neither sees what happens in the other.",
        ),
        Route(
            "POST",
            "/v1/conversations/{conversation_id}/rewind",
            conversations.rewind,
            "Rewind a conversation",
            name="rewindConversation",
            tag="Conversations",
            scope="conversations:delete",
            body="RewindConversation",
            answer="RewoundConversation",
            extension=True,
            errors=(ConversationNotFound, ConversationLocked, ItemNotFound, ResponseNotFound),
            details="Takes out everything after an item. Forks and earlier responses keep it.",
        ),
    ]


def _transfers(transfer: TransferEndpoints) -> list[Route]:
    return [
        Route(
            "GET",
            "/v1/conversations/{conversation_id}/export",
            transfer.export,
            "Export a conversation",
            name="exportConversation",
            tag="Conversations",
            scope="conversations:read",
            answer="ConversationLines",
            media_type="application/jsonl",
            extension=True,
            errors=(ConversationNotFound,),
            details="A line that says what it is, then one item a line, oldest first.",
        ),
        Route(
            "POST",
            "/v1/conversations/import",
            transfer.import_,
            "Import a conversation",
            name="importConversation",
            idempotent=True,
            tag="Conversations",
            scope="conversations:write",
            body="ConversationLines",
            body_media_type="application/jsonl",
            answer="Conversation",
            extension=True,
            errors=(UnsupportedMediaType,),
            details="Takes what an export gives, or items alone. The conversation and its items get new ids.",
        ),
    ]


def _prompts(prompts: PromptsEndpoints) -> list[Route]:
    return [
        Route(
            "POST",
            "/v1/prompts",
            prompts.create,
            "Create a prompt",
            name="createPrompt",
            idempotent=True,
            tag="Prompts",
            scope="prompts:write",
            body="CreatePrompt",
            answer="Prompt",
            extension=True,
        ),
        Route(
            "GET",
            "/v1/prompts",
            prompts.list,
            "List prompts",
            name="listPrompts",
            tag="Prompts",
            scope="prompts:read",
            query="PromptListQuery",
            answer="PromptList",
            extension=True,
            errors=(PromptNotFound,),
            details="The newest version of each, newest prompt first.",
        ),
        Route(
            "GET",
            "/v1/prompts/{prompt_id}",
            prompts.retrieve,
            "Retrieve a prompt",
            name="getPrompt",
            tag="Prompts",
            scope="prompts:read",
            query="PromptVersionQuery",
            answer="Prompt",
            extension=True,
            errors=(PromptNotFound,),
        ),
        Route(
            "POST",
            "/v1/prompts/{prompt_id}",
            prompts.revise,
            "Add a version to a prompt",
            name="revisePrompt",
            idempotent=True,
            tag="Prompts",
            scope="prompts:write",
            body="CreatePrompt",
            answer="Prompt",
            extension=True,
            errors=(PromptNotFound,),
            details="The body is the whole version: nothing is taken over from the one before, which stays.",
        ),
        Route(
            "DELETE",
            "/v1/prompts/{prompt_id}",
            prompts.delete,
            "Delete a prompt",
            name="deletePrompt",
            tag="Prompts",
            scope="prompts:delete",
            answer="DeletedPrompt",
            extension=True,
            errors=(PromptNotFound,),
            details="With all its versions. Responses that were made with it stay as they are.",
        ),
    ]
