"""
Bearer tokens of an identity provider: JSON Web Tokens (RFC 7519, RFC 8725), and who they stand for here.

What a token's header says about where its key is (``jku``, ``x5u``, ``jwk``, ``x5c``) is not looked at; ``kid`` picks
one of the configured provider's keys, by comparison. Algorithms are those that are configured, all of them asymmetric.
The signature is PyJWT's to check; the claims are checked here, against the clock that is passed in.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from antiphon.engine.directory import DirectoryCache
from antiphon.hub.api_key import shown
from antiphon.hub.errors import AuthenticationRequired, Forbidden
from antiphon.hub.ids import TenantId
from antiphon.hub.principal import TENANT_SCOPES, Limits, Principal, Scope
from antiphon.server.jwks import KeySet

try:
    import jwt
except ImportError as error:
    raise ImportError("Tokens need PyJWT. Install it with: pip install 'antiphon[jwt]'") from error

__all__ = ["Algorithm", "JwtTokens", "TokenRules"]

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]

_MAX_TOKEN_CHARS = 16 * 1024
_MAX_KID_CHARS = 256
_MAX_SUBJECT_CHARS = 512
_MAX_CACHED = 10_000
_MAX_TIME = 2**53
_CACHED_S = 60.0
_TYPES: Final = frozenset(("jwt", "at+jwt", "application/at+jwt"))
_TENANT: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)
_SEGMENT: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRules:
    """
    Which tokens are taken, and what they stand for.

    Attributes:
        issuer, audience: What a token has to say in ``iss``, and among others in ``aud``.
        algorithms: Which signatures are taken.
        tenant_claim: The claim that says whose token it is.
        tenants: The tenant of each of that claim's values. Other values are refused.
        tenant_from_claim: The claim's value is the tenant's name; *tenants* is not looked at.
        scope_claim: The claim that lists what the token may do, as a list or as words with spaces between. Words that
            are no scopes of ours are skipped.
        scopes: What a token without that claim may do.
        limits: What each subject may use.
        leeway_s: By how much the provider's clock may differ from ours.

    Raises:
        ValueError: A tenant, or a combination of tenants, that cannot be.
    """

    issuer: str
    audience: str
    algorithms: frozenset[Algorithm]
    tenant_claim: str = "tenant"
    tenants: Mapping[str, str] = field(default_factory=dict)
    tenant_from_claim: bool = False
    scope_claim: str = "scope"
    scopes: frozenset[Scope] = frozenset()
    limits: Limits = field(default_factory=Limits)
    leeway_s: float = 60.0

    def __post_init__(self) -> None:
        if self.tenant_from_claim == bool(self.tenants):
            raise ValueError("Tokens need either the tenants that their claim stands for, or 'tenant_from_claim'.")
        for tenant in self.tenants.values():
            if not _TENANT.fullmatch(tenant):
                raise ValueError(f"'{tenant}' cannot be a tenant's name.")
        if not self.scopes <= TENANT_SCOPES:
            raise ValueError("A token cannot make an administrator.")


class _Invalid(Exception):
    """A token that is not to be believed; why is nobody's business."""


class JwtTokens:
    """
    Finds out whose a token is; a :class:`~antiphon.server.auth.Tokens`.

    A token that was believed is believed again for a minute, or until it expires: withdrawing a key of the provider's,
    or asking it to end a session, takes effect within that. That its tenant is suspended does within a second.

    Args:
        clock: Seconds since the epoch, UTC.
    """

    def __init__(
        self, rules: TokenRules, keys: KeySet, *, directory: DirectoryCache, clock: Callable[[], float]
    ) -> None:
        self._rules = rules
        self._keys = keys
        self._directory = directory
        self._clock = clock
        self._believed: OrderedDict[bytes, tuple[float, Principal]] = OrderedDict()

    async def principal(self, token: str) -> Principal:
        try:
            principal = await self._principal(token)
        except _Invalid:
            raise AuthenticationRequired(shown(token)) from None
        tenant = await self._directory.tenant(principal.tenant)
        if tenant is not None and tenant.state != "active":
            raise AuthenticationRequired(shown(token))
        return principal

    async def _principal(self, token: str) -> Principal:
        if len(token) > _MAX_TOKEN_CHARS:
            raise _Invalid
        # Of the whole token: nothing that differs anywhere is taken for it.
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        now = self._clock()
        believed = self._believed.get(digest)
        if believed is not None and now < believed[0]:
            return believed[1]
        claims = await self._verified(token)
        expires_at = self._checked(claims, now)
        principal = self._principal_of(claims)
        self._believed[digest] = (min(expires_at, now + _CACHED_S), principal)
        self._believed.move_to_end(digest)
        if len(self._believed) > _MAX_CACHED:
            self._believed.popitem(last=False)
        return principal

    async def _verified(self, token: str) -> dict[str, Any]:
        """The claims of a token that the provider signed."""
        segments = token.split(".")
        if len(segments) != 3:
            raise _Invalid
        header, payload, signature = map(_decoded, segments)
        algorithm, kid = self._checked_header(_object(header))
        key = await self._keys.find(kid, algorithm)
        if key is None:
            raise _Invalid
        signed = ".".join(segments[:2]).encode()
        if not jwt.get_algorithm_by_name(algorithm).verify(signed, key.key, signature):
            raise _Invalid
        return _object(payload)

    def _checked_header(self, header: dict[str, Any]) -> tuple[str, str | None]:
        """The algorithm and the key's name."""
        algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
        if not isinstance(algorithm, str) or algorithm not in self._rules.algorithms:
            raise _Invalid
        if not (kid is None or (isinstance(kid, str) and len(kid) <= _MAX_KID_CHARS)):
            raise _Invalid
        if not isinstance(kind, str) or kind.lower() not in _TYPES or "crit" in header or "b64" in header:
            raise _Invalid
        return algorithm, kid

    def _checked(self, claims: dict[str, Any], now: float) -> float:
        """When the token expires, if all that has to be in it is, and it holds now."""
        audience, subject = claims.get("aud"), claims.get("sub")
        audiences = audience if isinstance(audience, list) else [audience]
        expires_at = _time(claims, "exp")
        is_valid = (
            claims.get("iss") == self._rules.issuer
            and all(isinstance(each, str) for each in audiences)
            and self._rules.audience in audiences
            and isinstance(subject, str)
            and 0 < len(subject) <= _MAX_SUBJECT_CHARS
            and now < expires_at + self._rules.leeway_s
            and all(_time(claims, name) <= now + self._rules.leeway_s for name in ("nbf", "iat") if name in claims)
        )
        if not is_valid:
            raise _Invalid
        return expires_at

    def _principal_of(self, claims: dict[str, Any]) -> Principal:
        who = f"{claims['iss']}\x00{claims['sub']}".encode("utf-8", "surrogatepass")
        return Principal(
            tenant=self._tenant(claims),
            actor=f"jwt:{hashlib.sha256(who).hexdigest()[:32]}",
            scopes=self._scopes(claims),
            limits=self._rules.limits,
        )

    def _tenant(self, claims: dict[str, Any]) -> TenantId:
        """
        The tenant that a token is of.

        Raises:
            Forbidden: It is of none of ours.
        """
        value = claims.get(self._rules.tenant_claim)
        tenant = None
        if isinstance(value, str):
            tenant = value if self._rules.tenant_from_claim else self._rules.tenants.get(value)
        if tenant is None or not _TENANT.fullmatch(tenant):
            raise Forbidden("The token is valid, and its holder belongs to no tenant of this gateway.")
        return TenantId(tenant)

    def _scopes(self, claims: dict[str, Any]) -> frozenset[Scope]:
        claim = claims.get(self._rules.scope_claim)
        if claim is None:
            return self._rules.scopes
        words = claim.split() if isinstance(claim, str) else claim
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise _Invalid
        return TENANT_SCOPES.intersection(words)


def _decoded(segment: str) -> bytes:
    """The bytes of a segment that is written as the standard wants it, and in no other way."""
    if not _SEGMENT.fullmatch(segment):
        raise _Invalid
    try:
        decoded = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except binascii.Error:
        raise _Invalid from None
    if base64.urlsafe_b64encode(decoded).rstrip(b"=") != segment.encode():
        raise _Invalid
    return decoded


def _object(data: bytes) -> dict[str, Any]:
    """A JSON object in which no name stands twice: two readers could believe different ones."""
    try:
        value = json.loads(data.decode(), object_pairs_hook=_once, parse_constant=_refused)
    except (ValueError, RecursionError):
        raise _Invalid from None
    if not isinstance(value, dict):
        raise _Invalid
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _Invalid
    return value


def _refused(_: str) -> None:
    raise _Invalid


def _time(claims: dict[str, Any], name: str) -> float:
    value = claims.get(name)
    # No number that is none is between any two, and none beyond these is a time.
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_MAX_TIME < value < _MAX_TIME:
        raise _Invalid
    return float(value)
