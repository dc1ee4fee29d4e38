"""
Who calls: from a request's credential to its principal.

There is one parser of credentials. It looks at ``Authorization: Bearer``, at ``x-api-key`` where that is the only one,
and at the subprotocol by which a browser opens a WebSocket. What stands in the query or in a cookie is never looked
at, and two credentials are refused: somebody between the client and us might have looked at the other one.

Whatever is wrong with a credential, the answer is the same.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, Protocol

from antiphon.engine.directory import DirectoryCache
from antiphon.hub.api_key import Environment, parse, shown
from antiphon.hub.errors import AuthenticationRequired, InvalidRequest
from antiphon.hub.ids import TenantId
from antiphon.hub.principal import ADMIN_SCOPES, LOCAL, TENANT_SCOPES, Principal, Scope
from antiphon.sessions.directory import ApiKeyRecord

__all__ = [
    "NOBODY",
    "ApiKeys",
    "Authenticator",
    "KeylessUntilFirstKey",
    "NoKeys",
    "RawHeaders",
    "Tokens",
    "credential_of",
    "subprotocol_of",
]

RawHeaders = Iterable[tuple[bytes, bytes]]

# Whoever has not been authenticated: for operations that need no credential, and that no other one can be reached with.
NOBODY: Final = Principal(tenant=TenantId("_nobody"), actor="nobody", scopes=frozenset())

# How OpenAI's own browser client says its key, as a WebSocket from a page can have no headers.
_SUBPROTOCOL: Final = "openai-insecure-api-key."

_NAMES: Final = frozenset((b"authorization", b"x-api-key"))
_BEARER: Final = "bearer"
_NO_MAC: Final = bytes(32)
_SCOPES_OF: Final[dict[Environment, frozenset[Scope]]] = {"live": TENANT_SCOPES, "admin": ADMIN_SCOPES}


class Authenticator(Protocol):
    """Finds out who calls."""

    async def authenticate(self, headers: RawHeaders, *, subprotocols: Sequence[str] = ()) -> Principal:
        """
        Who sent a request.

        Args:
            headers: As they came, with lower-case names; of a WebSocket, of its handshake.
            subprotocols: That a WebSocket's client offered.

        Raises:
            AuthenticationRequired: There is no credential, or none that is valid.
            InvalidRequest: There are two.
            Forbidden: It is valid, and nobody's here.
            StoreUnavailable: It cannot be checked now.
        """
        ...


class Tokens(Protocol):
    """Finds out whose a bearer token is that is no API key; see :class:`antiphon.server.jwt.JwtTokens`."""

    async def principal(self, token: str) -> Principal:
        """
        Who holds a token.

        Raises:
            AuthenticationRequired: It is not valid.
            Forbidden: It is valid, and nobody's here.
        """
        ...


class NoKeys:
    """Everybody is the local principal; credentials are not looked at. For a gateway that only its machine reaches."""

    async def authenticate(self, headers: RawHeaders, *, subprotocols: Sequence[str] = ()) -> Principal:
        return LOCAL


class ApiKeys:
    """
    Asks for an API key of the directory, or for a token.

    Args:
        pepper: Gives what the keys' hashes are made with; asked once, when the first key comes.
        clock: Seconds since the epoch, UTC.
        environment: Which class of keys is let in. An administrator's key is unknown to tenants' listener, and the
            other way round.
        tokens: What is asked about bearer tokens that are no API keys; None where only keys are taken.
    """

    def __init__(
        self,
        directory: DirectoryCache,
        *,
        pepper: Callable[[], Awaitable[bytes]],
        clock: Callable[[], float],
        environment: Environment = "live",
        tokens: Tokens | None = None,
    ) -> None:
        self._directory = directory
        self._read_pepper = pepper
        self._pepper: bytes | None = None
        self._clock = clock
        self._environment = environment
        self._tokens = tokens

    async def authenticate(self, headers: RawHeaders, *, subprotocols: Sequence[str] = ()) -> Principal:
        credential = credential_of(headers, subprotocols)
        if credential is None:
            raise AuthenticationRequired
        if self._tokens is not None and not credential.startswith("sk-"):
            return await self._tokens.principal(credential)
        key = parse(credential)
        record = None
        if key is not None and key.environment == self._environment:
            record = await self._directory.api_key(key.key_id)
            # A key that is not there costs the same hash, and the same comparisons, as one that is.
            if not self._is_key_of(record, key.mac(await self._peppered())):
                record = None
        if record is None or not await self._is_in_force(record):
            raise AuthenticationRequired(shown(credential))
        self._directory.note_use(record.key_id, int(self._clock()))
        return self._principal(record)

    async def _peppered(self) -> bytes:
        if self._pepper is None:
            self._pepper = await self._read_pepper()
        return self._pepper

    def _is_key_of(self, record: ApiKeyRecord | None, mac: bytes) -> bool:
        """Whether a hash is that of a record's key, or of the one before it while that still works."""
        expected = _NO_MAC if record is None else record.mac
        previous = None if record is None else record.previous_mac
        is_present = hmac.compare_digest(expected, mac)
        is_previous = hmac.compare_digest(previous or _NO_MAC, mac)
        if record is None:
            return False
        until = record.previous_until
        return is_present or (is_previous and until is not None and self._clock() < until)

    async def _is_in_force(self, record: ApiKeyRecord) -> bool:
        if record.revoked_at is not None or (record.expires_at is not None and record.expires_at <= self._clock()):
            return False
        tenant = await self._directory.tenant(record.tenant)
        return tenant is None or tenant.state == "active"

    def _principal(self, record: ApiKeyRecord) -> Principal:
        return Principal(
            tenant=record.tenant,
            actor=record.key_id,
            scopes=_SCOPES_OF[self._environment].intersection(record.scopes),
            models=None if record.models is None else frozenset(record.models),
            limits=record.limits,
        )


class KeylessUntilFirstKey:
    """
    Lets everybody in as the local principal for as long as no API key was ever made, and then asks for one.

    Args:
        keys: What asks, from the first key on.
    """

    def __init__(self, directory: DirectoryCache, keys: Authenticator) -> None:
        self._directory = directory
        self._keys = keys

    async def authenticate(self, headers: RawHeaders, *, subprotocols: Sequence[str] = ()) -> Principal:
        if await self._directory.has_api_keys():
            return await self._keys.authenticate(headers, subprotocols=subprotocols)
        return LOCAL


def credential_of(headers: RawHeaders, subprotocols: Sequence[str] = ()) -> str | None:
    """
    The one credential of a request; None if there is none that we take.

    Raises:
        InvalidRequest: There are two, even if they are the same.
    """
    found = [_bearer(value) if name == b"authorization" else _text(value) for name, value in headers if name in _NAMES]
    found += [name.removeprefix(_SUBPROTOCOL) for name in subprotocols if name.startswith(_SUBPROTOCOL)]
    if len(found) > 1:
        raise InvalidRequest("Send one credential: either one Authorization header or one x-api-key header, not both.")
    return (found[0] or None) if found else None


def subprotocol_of(subprotocols: Sequence[str]) -> str | None:
    """
    Which of the subprotocols that a client offered is answered: none, as we speak none.

    But a browser that says its key in one goes away if none is answered. It is answered another one that it offered,
    and the one with the key only if there is no other.
    """
    others = [name for name in subprotocols if not name.startswith(_SUBPROTOCOL)]
    if len(others) == len(subprotocols):
        return None
    return next(iter(others), subprotocols[0])


def _bearer(value: bytes) -> str:
    """The token of an Authorization header; empty for one of another scheme."""
    scheme, _, token = _text(value).partition(" ")
    return token.strip() if scheme.lower() == _BEARER else ""


def _text(value: bytes) -> str:
    return value.decode("latin-1").strip()
