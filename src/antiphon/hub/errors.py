"""
Every error that a caller can meet, as one tree.

Each class is one row: HTTP status, OpenAI ``type`` and ``code``, whose fault it is, and whether trying again can
help. Adapters translate foreign exceptions into these at their edge; the server renders them as OpenAI's envelope.
A message says what was wrong, with which value, and what to do. It never holds a secret or stored content.

    AntiphonError
    ├── ClientError                          the caller has to change something
    │   ├── InvalidRequest               400
    │   │   ├── UnsupportedParameter     400  unsupported_parameter
    │   │   ├── PreviousResponseNotFound 400  previous_response_not_found
    │   │   ├── NotContinuable           400  previous_response_not_continuable
    │   │   ├── DuplicateItem            400
    │   │   ├── InvalidEncryptedContent  400  invalid_encrypted_content
    │   │   └── ConversationLocked       400  conversation_locked          (retry helps)
    │   ├── AuthenticationRequired       401  (invalid_api_key if one was sent)
    │   ├── Forbidden                    403
    │   │   └── InsufficientScope             insufficient_permissions
    │   ├── NotFound                     404
    │   │   ├── ResponseNotFound
    │   │   ├── CompletionNotFound
    │   │   ├── ConversationNotFound
    │   │   ├── ItemNotFound
    │   │   ├── PromptNotFound
    │   │   ├── TenantNotFound
    │   │   ├── ApiKeyNotFound
    │   │   └── ModelNotFound                 model_not_found
    │   ├── MethodNotAllowed             405
    │   ├── PayloadTooLarge              413  request_too_large
    │   ├── Conflict                     409  conflict
    │   ├── IdempotencyConflict          409  idempotency_conflict
    │   ├── IdempotencyKeyReused         422  idempotency_key_reused
    │   ├── RequestTimeout               408  request_timeout              (retry helps)
    │   ├── HeadersTooLarge              431  request_headers_too_large
    │   ├── TooManyRequests              429  rate_limit_exceeded          (retry helps)
    │   │   ├── RequestRateExceeded
    │   │   ├── TokenRateExceeded
    │   │   │   └── RequestOverTokenRate                                   (retry does not)
    │   │   └── QuotaExceeded                 insufficient_quota           (retry does not)
    │   └── UnsupportedMediaType         415
    ├── UpstreamError                        the model server behind us failed
    │   ├── UpstreamUnreachable          502  upstream_unreachable         (retry helps)
    │   ├── UpstreamTimeout              504  upstream_timeout             (retry helps)
    │   ├── UpstreamUnavailable          503  upstream_unavailable         (retry helps)
    │   │   └── UpstreamBusy                  upstream_busy
    │   ├── UpstreamRateLimited          429  rate_limit_exceeded          (retry helps)
    │   ├── UpstreamAuthentication       502  upstream_authentication_failed
    │   ├── UpstreamRefused              400  (the upstream's own reason)
    │   │   └── ContextLengthExceeded         context_length_exceeded
    │   ├── UpstreamLacksModel           404  model_not_found
    │   └── UpstreamBroken               502  upstream_broken
    └── GatewayError                         our own fault
        ├── StoreUnavailable             503  store_unavailable            (retry helps)
        │   └── KeysUnavailable               keys_unavailable
        ├── StoreCorrupt                 500  store_corrupt
        ├── StoreConflict                409  store_conflict
        │   ├── SealChanged                   seal_changed
        │   ├── BaseErased                    base_erased
        │   └── LeaseLost                     lease_lost
        ├── StreamOrderViolation         500  stream_order_violation
        ├── ResponseTooLarge             500  response_too_large
        └── ShuttingDown                 503  shutting_down                (retry helps)
"""

from __future__ import annotations

from antiphon.hub.error import (
    AntiphonError,
    Fault,
)
from antiphon.hub.gateway_errors import (
    BaseErased,
    GatewayError,
    KeysUnavailable,
    LeaseLost,
    ResponseTooLarge,
    SealChanged,
    ShuttingDown,
    StoreConflict,
    StoreCorrupt,
    StoreUnavailable,
    StreamOrderViolation,
)
from antiphon.hub.upstream_errors import (
    ContextLengthExceeded,
    UpstreamAuthentication,
    UpstreamBroken,
    UpstreamBusy,
    UpstreamError,
    UpstreamLacksModel,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnavailable,
    UpstreamUnreachable,
)

__all__ = [
    "AntiphonError",
    "ApiKeyNotFound",
    "AuthenticationRequired",
    "BaseErased",
    "ClientError",
    "CompletionNotFound",
    "Conflict",
    "ContextLengthExceeded",
    "ConversationLocked",
    "ConversationNotFound",
    "DuplicateItem",
    "Fault",
    "Forbidden",
    "GatewayError",
    "HeadersTooLarge",
    "InsufficientScope",
    "InvalidEncryptedContent",
    "InvalidRequest",
    "ItemNotFound",
    "KeysUnavailable",
    "LeaseLost",
    "MethodNotAllowed",
    "ModelNotFound",
    "NotContinuable",
    "NotFound",
    "PayloadTooLarge",
    "PreviousResponseNotFound",
    "PromptNotFound",
    "QuotaExceeded",
    "RequestOverTokenRate",
    "RequestRateExceeded",
    "RequestTimeout",
    "ResponseNotFound",
    "ResponseTooLarge",
    "SealChanged",
    "ShuttingDown",
    "StoreConflict",
    "StoreCorrupt",
    "StoreUnavailable",
    "StreamOrderViolation",
    "TenantNotFound",
    "TokenRateExceeded",
    "TooManyRequests",
    "UnsupportedMediaType",
    "UnsupportedParameter",
    "UpstreamAuthentication",
    "UpstreamBroken",
    "UpstreamBusy",
    "UpstreamError",
    "UpstreamLacksModel",
    "UpstreamRateLimited",
    "UpstreamRefused",
    "UpstreamTimeout",
    "UpstreamUnavailable",
    "UpstreamUnreachable",
]

# Clients choose names of models, of any length.
_SHOWN_NAME_CHARS = 200


class ClientError(AntiphonError):
    """The caller has to change the request."""

    status = 400
    type = "invalid_request_error"
    fault = "client"


class InvalidRequest(ClientError):
    """The request breaks a rule of the API; ``param`` names the field."""


class UnsupportedParameter(InvalidRequest):
    """
    A field that is valid in the API and that this gateway, or the chosen upstream, cannot honour.

    Attributes:
        item_id: Of the item of the history that it is about; None if it is about what the request itself says.
        field: Where in that item, such as ``content[1]``; empty for the item itself.
    """

    default_code = "unsupported_parameter"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        item_id: str | None = None,
        field: str = "",
    ) -> None:
        super().__init__(message, param=param, code=code)
        self.item_id = item_id
        self.field = field


class PreviousResponseNotFound(InvalidRequest):
    """``previous_response_id`` names nothing that this tenant has."""

    default_code = "previous_response_not_found"

    def __init__(self, response_id: str) -> None:
        super().__init__(f"Previous response with id '{response_id}' not found.", param="previous_response_id")


class NotContinuable(InvalidRequest):
    """The parent exists and cannot be continued: it is still running, or it failed."""

    default_code = "previous_response_not_continuable"

    def __init__(self, response_id: str, status: str) -> None:
        remedy = (
            "Wait until it has ended" if status in ("queued", "in_progress") else "Continue from the turn before it"
        )
        super().__init__(
            f"Previous response with id '{response_id}' cannot be continued: its status is '{status}'. {remedy}.",
            param="previous_response_id",
        )


class InvalidEncryptedContent(InvalidRequest):
    """A sealed text that was altered, cut, or not sealed here for this tenant. One answer for all of these."""

    default_code = "invalid_encrypted_content"

    def __init__(self, item_id: str | None = None) -> None:
        subject = "The encrypted content" if item_id is None else f"The encrypted content for item {item_id}"
        super().__init__(f"{subject} could not be verified.", param="input")


class DuplicateItem(InvalidRequest):
    """An item is in the request twice, or in the request and in what it stands on."""

    def __init__(self, item_id: str) -> None:
        super().__init__(
            f"Duplicate item found with id {item_id}. Remove duplicate items from your input and try again.",
            param="input",
        )


class ConversationLocked(InvalidRequest):
    """Another turn holds the conversation. Retrying in a few seconds helps."""

    default_code = "conversation_locked"
    retryable = True

    def __init__(self, *, retry_after_s: float = 1.0) -> None:
        super().__init__(
            "Another process is currently operating on this conversation. Please retry in a few seconds.",
            param="conversation",
            retry_after_s=retry_after_s,
        )


class Forbidden(ClientError):
    """The caller may not do this from where it stands (a foreign Host or Origin)."""

    status = 403


class AuthenticationRequired(ClientError):
    """
    No credential, or none that is valid. OpenAI's words; the same for every way in which a key can be wrong.

    Args:
        shown: The key that was sent, shortened so that it is no secret any more; None if none was.
    """

    status = 401

    def __init__(self, shown: str | None = None) -> None:
        if shown is None:
            super().__init__(
                "You didn't provide an API key. You need to provide your API key in an Authorization header using "
                "Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
            )
        else:
            super().__init__(f"Incorrect API key provided: {shown}.", code="invalid_api_key")


class InsufficientScope(Forbidden):
    """The credential is valid, and not for this."""

    default_code = "insufficient_permissions"

    def __init__(self, scope: str) -> None:
        super().__init__(f"You have insufficient permissions for this operation. Missing scopes: {scope}.")


class NotFound(ClientError):
    """An id or a path that names nothing the caller may see."""

    status = 404


class ResponseNotFound(NotFound):
    """No such response for this tenant: never existed, was deleted, has expired or belongs to somebody else."""

    def __init__(self, response_id: str) -> None:
        super().__init__(f"Response with id '{response_id}' not found.")


class CompletionNotFound(NotFound):
    """No such stored completion for this tenant: never existed, is gone, or was not asked for in this dialect."""

    def __init__(self, completion_id: str) -> None:
        super().__init__(f"Completion with id '{completion_id}' not found.")


class ConversationNotFound(NotFound):
    """No such conversation for this tenant."""

    def __init__(self, conversation_id: str) -> None:
        super().__init__(f"Conversation with id '{conversation_id}' not found.")


class ItemNotFound(NotFound):
    """No such item for this tenant, or not in the conversation that was named."""


class PromptNotFound(NotFound):
    """No such prompt for this tenant, or none of this version."""

    def __init__(self, prompt_id: str) -> None:
        super().__init__(f"Prompt with id '{prompt_id}' not found.")


class TenantNotFound(NotFound):
    """Administrators know no such tenant, or it is being erased."""

    def __init__(self, tenant: str, hint: str = ".") -> None:
        super().__init__(f"Tenant '{tenant}' not found{hint}")


class ApiKeyNotFound(NotFound):
    """Administrators know no API key of this id."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"API key with id '{key_id}' not found.")


class ModelNotFound(NotFound):
    """No upstream serves this model."""

    default_code = "model_not_found"

    def __init__(self, model: str) -> None:
        super().__init__(f"The model `{model[:_SHOWN_NAME_CHARS]}` does not exist or you do not have access to it.")


class MethodNotAllowed(ClientError):
    """
    The path exists, the method does not.

    Attributes:
        allowed: The methods that it has.
    """

    status = 405

    def __init__(self, message: str, *, allowed: tuple[str, ...]) -> None:
        super().__init__(message)
        self.allowed = allowed


class PayloadTooLarge(ClientError):
    """The body is over a limit; the message names the limit."""

    status = 413
    default_code = "request_too_large"


class Conflict(ClientError):
    """What is asked for contradicts what is there already; the message says what."""

    status = 409
    default_code = "conflict"


class IdempotencyConflict(ClientError):
    """The request of this idempotency key is being carried out elsewhere, or its answer was not kept."""

    status = 409
    default_code = "idempotency_conflict"

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message, retry_after_s=retry_after_s)


class IdempotencyKeyReused(ClientError):
    """The idempotency key was used for another request."""

    status = 422
    default_code = "idempotency_key_reused"

    def __init__(self) -> None:
        super().__init__("This Idempotency-Key was used with another request. Use a new key for a new request.")


class TooManyRequests(ClientError):
    """A queue of the gateway's own is full. Trying again later helps."""

    status = 429
    type = "rate_limit_error"
    default_code = "rate_limit_exceeded"
    retryable = True


class RequestRateExceeded(TooManyRequests):
    """The caller sent as many requests in the last minute as it may. OpenAI's words."""

    type = "requests"

    def __init__(self, limit: int, used: int, *, retry_after_s: float) -> None:
        super().__init__(
            f"Rate limit reached on requests per min (RPM): Limit {limit}, Used {used}, Requested 1. "
            f"Please try again in {retry_after_s:.1f}s.",
            retry_after_s=retry_after_s,
        )


class TokenRateExceeded(TooManyRequests):
    """The caller used as many tokens in the last minute as it may, with what this request needs. OpenAI's words."""

    type = "tokens"

    def __init__(self, limit: int, used: int, requested: int, *, retry_after_s: float | None) -> None:
        hint = "" if retry_after_s is None else f" Please try again in {retry_after_s:.1f}s."
        super().__init__(
            f"Rate limit reached on tokens per min (TPM): Limit {limit}, Used {used}, Requested {requested}.{hint}",
            retry_after_s=retry_after_s,
        )


class RequestOverTokenRate(TokenRateExceeded):
    """One request needs more tokens than the caller may use in a minute. Waiting does not help."""

    retryable = False

    def __init__(self, limit: int, requested: int) -> None:
        super().__init__(limit, 0, requested, retry_after_s=None)


class QuotaExceeded(TooManyRequests):
    """The tenant has stored as much as it may. Deleting helps; waiting does not."""

    type = "insufficient_quota"
    default_code = "insufficient_quota"
    retryable = False


class RequestTimeout(ClientError):
    """The request did not arrive in time; the message names the limit."""

    status = 408
    default_code = "request_timeout"
    retryable = True


class HeadersTooLarge(ClientError):
    """The request's head is over a limit; the message names the limit."""

    status = 431
    default_code = "request_headers_too_large"


class UnsupportedMediaType(ClientError):
    """The body is not JSON, or carries a content encoding that is not supported."""

    status = 415
