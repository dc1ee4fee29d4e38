"""
The table of all operations: where each one is, who answers it, and what the published document says of it.

One row is one operation. A row without documentation does not build, and a row that names a schema which the client
format does not have stops the server from starting.
"""

from __future__ import annotations

from antiphon.hub.errors import (
    BaseErased,
    ConversationLocked,
    ConversationNotFound,
    DuplicateItem,
    InvalidEncryptedContent,
    ItemNotFound,
    ModelNotFound,
    NotContinuable,
    PreviousResponseNotFound,
    PromptNotFound,
    ResponseNotFound,
    ShuttingDown,
    StoreUnavailable,
    UnsupportedParameter,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnavailable,
    UpstreamUnreachable,
)
from antiphon.server.conversations import ConversationsEndpoints
from antiphon.server.headers import ABOUT_TURNS, OF_RATES, OF_TURNS
from antiphon.server.responses import ResponsesEndpoints
from antiphon.server.routes import Route
from antiphon.server.service import ServiceEndpoints
from antiphon.server.webhooks import WebhooksEndpoints

__all__ = ["operations"]


def operations(
    responses: ResponsesEndpoints,
    conversations: ConversationsEndpoints,
    webhooks: WebhooksEndpoints,
    service: ServiceEndpoints,
) -> list[Route]:
    """Every operation of the gateway, in the order of the published document."""
    return [*_responses(responses), *_conversations(conversations), *_webhooks(webhooks), *_service(service)]


def _responses(responses: ResponsesEndpoints) -> list[Route]:
    return [
        Route(
            "POST",
            "/v1/responses",
            responses.create,
            "Run a turn",
            name="createResponse",
            tag="Responses",
            scope="responses:write",
            body="CreateResponse",
            answer="Response",
            events="ResponseStreamEvent",
            idempotent=True,
            request_headers=ABOUT_TURNS,
            answer_headers=(*OF_TURNS, *OF_RATES),
            extension=False,
            errors=(
                UnsupportedParameter,
                PreviousResponseNotFound,
                NotContinuable,
                ConversationNotFound,
                ConversationLocked,
                ItemNotFound,
                DuplicateItem,
                PromptNotFound,
                ModelNotFound,
                BaseErased,
                ShuttingDown,
                UpstreamRefused,
                UpstreamRateLimited,
                UpstreamUnreachable,
                UpstreamUnavailable,
                UpstreamTimeout,
            ),
            details=(
                "Asks the model, with the history that 'previous_response_id' or 'conversation' names before the "
                "input. The turn is stored before its end is told, so its id can be used at once."
            ),
        ),
        Route(
            "GET",
            "/v1/responses/{response_id}",
            responses.retrieve,
            "Retrieve a response",
            name="getResponse",
            tag="Responses",
            scope="responses:read",
            query="RetrieveQuery",
            answer="Response",
            extension=False,
            events="ResponseStreamEvent",
            answer_headers=OF_TURNS,
            errors=(ResponseNotFound,),
            details=(
                "One that still runs is answered as it is now. With 'stream=true', its stream from after event "
                "'starting_after' on: what was said before is said again, byte for byte, and what follows as it comes."
            ),
        ),
        Route(
            "POST",
            "/v1/responses/{response_id}/cancel",
            responses.cancel,
            "Cancel a background response",
            name="cancelResponse",
            tag="Responses",
            scope="responses:write",
            answer="Response",
            extension=False,
            errors=(ResponseNotFound,),
            details="Keeps what was produced. One that is cancelled already is answered as it is.",
        ),
        Route(
            "POST",
            "/v1/responses/compact",
            responses.compact,
            "Compact a context",
            name="compactContext",
            idempotent=True,
            tag="Responses",
            scope="responses:write",
            body="CompactContext",
            answer="CompactedResponse",
            request_headers=("x-antiphon-drop",),
            answer_headers=("x-antiphon-not-applied", *OF_RATES),
            extension=False,
            errors=(
                PreviousResponseNotFound,
                NotContinuable,
                ItemNotFound,
                ModelNotFound,
                InvalidEncryptedContent,
                UpstreamRefused,
                UpstreamUnavailable,
            ),
            details="The users' messages as they were, and a compaction item for the rest. Nothing is stored.",
        ),
        Route(
            "POST",
            "/v1/responses/input_tokens",
            responses.input_tokens,
            "Count the tokens of an input",
            name="countInputTokens",
            tag="Responses",
            scope="responses:write",
            body="CountInput",
            answer="InputTokens",
            request_headers=("x-antiphon-drop",),
            answer_headers=("x-antiphon-token-count", *OF_RATES),
            extension=False,
            errors=(
                PreviousResponseNotFound,
                NotContinuable,
                ConversationNotFound,
                ItemNotFound,
                ModelNotFound,
                InvalidEncryptedContent,
                UpstreamRefused,
                UpstreamUnavailable,
            ),
            details="Exact where the model's server can count; else an estimate, as a header says.",
        ),
        Route(
            "DELETE",
            "/v1/responses/{response_id}",
            responses.delete,
            "Delete a response",
            name="deleteResponse",
            tag="Responses",
            scope="responses:delete",
            query="DeletionQuery",
            answer="DeletedResponse",
            extension=False,
            errors=(ResponseNotFound, ConversationLocked),
            details="Its id is unknown at once; its items are erased when nothing stands on them any more.",
        ),
        Route(
            "GET",
            "/v1/responses/{response_id}/input_items",
            responses.input_items,
            "List what the model saw",
            name="listInputItems",
            tag="Responses",
            scope="responses:read",
            query="PageQuery",
            answer="ItemList",
            extension=False,
            errors=(ResponseNotFound, ItemNotFound),
            details="The history that the turn stood on, then the turn's own input.",
        ),
    ]


def _webhooks(webhooks: WebhooksEndpoints) -> list[Route]:
    return [
        Route(
            "GET",
            "/v1/webhook_deliveries",
            webhooks.deliveries,
            "List webhook deliveries",
            name="listWebhookDeliveries",
            tag="Webhooks",
            scope="webhooks:read",
            query="DeliveryListQuery",
            answer="WebhookDeliveryList",
            extension=True,
            details="Newest first. A delivery goes with its response.",
        ),
    ]


def _conversations(conversations: ConversationsEndpoints) -> list[Route]:
    return [
        Route(
            "POST",
            "/v1/conversations",
            conversations.create,
            "Create a conversation",
            name="createConversation",
            tag="Conversations",
            scope="conversations:write",
            body="CreateConversation",
            optional_body=True,
            idempotent=True,
            answer="Conversation",
            extension=False,
            errors=(ItemNotFound,),
        ),
        Route(
            "GET",
            "/v1/conversations/{conversation_id}",
            conversations.retrieve,
            "Retrieve a conversation",
            name="getConversation",
            tag="Conversations",
            scope="conversations:read",
            answer="Conversation",
            extension=False,
            errors=(ConversationNotFound,),
        ),
        Route(
            "POST",
            "/v1/conversations/{conversation_id}",
            conversations.update,
            "Update a conversation's metadata",
            name="updateConversation",
            tag="Conversations",
            scope="conversations:write",
            body="UpdateConversation",
            answer="Conversation",
            extension=False,
            errors=(ConversationNotFound,),
        ),
        Route(
            "DELETE",
            "/v1/conversations/{conversation_id}",
            conversations.delete,
            "Delete a conversation",
            name="deleteConversation",
            tag="Conversations",
            scope="conversations:delete",
            query="DeletionQuery",
            answer="DeletedConversation",
            extension=False,
            errors=(ConversationNotFound, ConversationLocked),
            details="Its items go with it. Responses that were made in it stay readable until they expire.",
        ),
        Route(
            "GET",
            "/v1/conversations/{conversation_id}/items",
            conversations.items,
            "List a conversation's items",
            name="listConversationItems",
            tag="Conversations",
            scope="conversations:read",
            query="PageQuery",
            answer="ItemList",
            extension=False,
            errors=(ConversationNotFound, ItemNotFound),
        ),
    ]


def _service(service: ServiceEndpoints) -> list[Route]:
    return [
        Route(
            "GET",
            "/v1/models",
            service.models,
            "List the models",
            name="listModels",
            tag="Models",
            scope="models:read",
            answer="ModelList",
            extension=False,
        ),
        Route(
            "GET",
            "/v1/models/{model}",
            service.model,
            "Retrieve a model",
            name="retrieveModel",
            tag="Models",
            scope="models:read",
            answer="Model",
            extension=False,
            errors=(ModelNotFound,),
            details="A slash inside the name is written as %2F.",
        ),
        Route(
            "GET",
            "/livez",
            service.live,
            "Whether the process serves",
            name="live",
            tag="Service",
            scope="public",
            answer="Health",
            extension=True,
        ),
        Route(
            "GET",
            "/readyz",
            service.ready,
            "Whether turns can be taken",
            name="ready",
            tag="Service",
            scope="public",
            answer="Health",
            extension=True,
            errors=(ShuttingDown, StoreUnavailable),
        ),
    ]
