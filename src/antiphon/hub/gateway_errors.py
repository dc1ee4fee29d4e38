"""The errors that are our own fault; a branch of :mod:`antiphon.hub.errors`."""

from __future__ import annotations

from antiphon.hub.error import AntiphonError

__all__ = [
    "BaseErased",
    "GatewayError",
    "KeysUnavailable",
    "LeaseLost",
    "ResponseTooLarge",
    "SealChanged",
    "ShuttingDown",
    "StoreConflict",
    "StoreCorrupt",
    "StoreUnavailable",
    "StreamOrderViolation",
]


class GatewayError(AntiphonError):
    """Our own fault."""


class StoreUnavailable(GatewayError):
    """The session store cannot be reached, is full or read-only. Nothing was stored."""

    status = 503
    default_code = "store_unavailable"
    retryable = True


class KeysUnavailable(StoreUnavailable):
    """
    The key service does not answer, or does not have the key. Nothing is read or written without it.

    Its message is the operator's: it names files, services and keys, and stands in the log.
    """

    default_code = "keys_unavailable"

    @property
    def told(self) -> str:
        return "A key that is needed cannot be had at the moment. Try again; the gateway's log says more."


class StoreCorrupt(GatewayError):
    """A history has a gap or a payload cannot be opened. Never answered with a shortened history."""

    default_code = "store_corrupt"


class StoreConflict(GatewayError):
    """Something changed between resolve and commit. Nothing was stored."""

    status = 409
    default_code = "store_conflict"


class SealChanged(StoreConflict):
    """A family's keys were changed while something was sealed for it. To be sealed again, with the new ones."""

    default_code = "seal_changed"


class BaseErased(StoreConflict):
    """The history that this turn stands on was erased while it ran."""

    default_code = "base_erased"


class LeaseLost(StoreConflict):
    """The conversation's lease passed to somebody else while this turn ran, or it was deleted or edited."""

    default_code = "lease_lost"


class StreamOrderViolation(GatewayError):
    """A provider emitted events in an order that the Responses stream does not allow."""

    default_code = "stream_order_violation"


class ResponseTooLarge(GatewayError):
    """The answer grew over ``max_response_bytes``."""

    default_code = "response_too_large"


class ShuttingDown(GatewayError):
    """The gateway drains and takes no new turns."""

    status = 503
    default_code = "shutting_down"
    retryable = True
