"""What an entry of the audit trail says: the closed set of actions, the outcome of an error, and the request's id."""

from __future__ import annotations

import re
from contextvars import ContextVar
from typing import Literal

from antiphon.hub.errors import AntiphonError, NotFound, UpstreamError
from antiphon.hub.ids import TenantId
from antiphon.hub.principal import Principal

__all__ = ["OK", "REQUEST_ID", "Action", "Deed", "outcome_of", "plain_text", "system"]

Action = Literal[
    # Turns. One that is written down before it is carried out has an entry for its end as well.
    "response.create",
    "response.continue",
    "response.end",
    "response.cancel",
    "response.update",
    "response.delete",
    "response.expire",
    "response.read",
    "response.follow",
    "response.list",
    "items.read",
    "context.compact",
    "context.count",
    "embedding.create",
    # The library.
    "conversation.create",
    "conversation.update",
    "conversation.delete",
    "conversation.fork",
    "conversation.rewind",
    "conversation.append",
    "conversation.remove",
    "conversation.read",
    "conversation.list",
    "conversation.export",
    "prompt.create",
    "prompt.revise",
    "prompt.delete",
    "prompt.read",
    "prompt.list",
    "request.replay",
    "webhooks.read",
    # People, the trail itself, and who was not let in.
    "end_user.read",
    "end_user.export",
    "end_user.erase",
    "audit.read",
    "access.refused",
    # Administration.
    "tenant.create",
    "tenant.update",
    "tenant.suspend",
    "tenant.resume",
    "tenant.read",
    "tenant.list",
    "tenant.export",
    "tenant.erase",
    "key.create",
    "key.update",
    "key.rotate",
    "key.revoke",
    "key.list",
    "sealing.rotate",
    "sealing.rewrap",
    "store.backup",
    "store.compact",
]

# Something that is done, and to what (an id, or nothing).
Deed = tuple[Action, str]

OK = "ok"

# The id of the request that is being answered: set by whoever takes requests, empty outside of one.
REQUEST_ID: ContextVar[str] = ContextVar("antiphon_request_id", default="")

# Callers choose the ids that they ask for: none fills the trail or says more than an id can.
_MAX_TEXT = 128
_CODE = re.compile(r"[a-z0-9_]{1,64}")
# Of the codes that model servers send, those that mean one thing everywhere; others are words of the server's own.
_OF_UPSTREAMS = frozenset({"context_length_exceeded", "insufficient_quota", "rate_limit_exceeded"})
_WORD_START = re.compile(r"(?<!^)(?=[A-Z])")


def plain_text(text: str) -> str:
    """*text* as an entry has it: printable ASCII, and no longer than an id may be."""
    cut = text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "~"
    return cut if cut.isascii() and cut.isprintable() else "".join(char if " " <= char <= "~" else "?" for char in cut)


def outcome_of(error: BaseException | None) -> str:
    """How something went: ``ok``, or the code of the error; of one without a code, the name of its class."""
    if error is None:
        return OK
    if not isinstance(error, AntiphonError):
        return "server_error"
    is_ours = not isinstance(error, UpstreamError) or error.code in (error.default_code, *_OF_UPSTREAMS)
    if error.code is not None and is_ours and _CODE.fullmatch(error.code):
        return error.code
    # What was looked for is in the action: an unknown id has one outcome, whatever it is of.
    kind = NotFound if isinstance(error, NotFound) else type(error)
    return _WORD_START.sub("_", kind.__name__).lower()


def system(tenant: TenantId) -> Principal:
    """Who does what nobody asked for: the sweeper, the scheduler."""
    return Principal(tenant=tenant, actor="system", scopes=frozenset())
