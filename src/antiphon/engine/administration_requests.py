"""
What administrators ask for, as data: the same checks whether it comes from the command line or over HTTP.

A field that is not known is refused, and so is a value out of its range; nothing is guessed or cut.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from antiphon.hub.errors import InvalidRequest
from antiphon.hub.principal import TENANT_SCOPES, Limits, Scope

__all__ = [
    "Erase",
    "KeyLimits",
    "NewApiKey",
    "NewTenant",
    "Rotate",
    "TenantChanges",
    "decode",
    "is_tenant",
    "nearest",
]

RequestT = TypeVar("RequestT", bound=msgspec.Struct)

TENANT_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"
MAX_GRACE_S = 30 * 86400

_TENANT = re.compile(TENANT_PATTERN.removesuffix("$") + r"\Z")

TenantName = Annotated[str, Meta(pattern=TENANT_PATTERN)]
ExpiryDays = Annotated[float, Meta(gt=0, le=36500)]
_Label = Annotated[str, Meta(max_length=200)]
_Count = Annotated[int, Meta(ge=1, le=2**53)]
_Days = Annotated[
    float, Meta(gt=0, le=36500, description="How long responses live, in days; null for the gateway's own.")
]
_Bytes = Annotated[int, Meta(ge=0, le=2**62, description="How much may be stored; null for no limit.")]


class _Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The root of the requests below."""


class NewTenant(_Request, frozen=True, kw_only=True):
    """A tenant to be created."""

    id: TenantName
    retention_days: _Days | None = None
    max_stored_bytes: _Bytes | None = None


class TenantChanges(_Request, frozen=True, kw_only=True):
    """What changes of a tenant; what is left out stays as it is. It holds for what is stored from now on."""

    retention_days: _Days | UnsetType | None = UNSET
    max_stored_bytes: _Bytes | UnsetType | None = UNSET


class KeyLimits(_Request, frozen=True, kw_only=True):
    """What a key may use; null where there is no limit."""

    requests_per_minute: _Count | None = None
    tokens_per_minute: _Count | None = None
    parallel_turns: _Count | None = None

    def limits(self) -> Limits:
        """The same, as a principal has them."""
        return Limits(
            requests_per_minute=self.requests_per_minute,
            tokens_per_minute=self.tokens_per_minute,
            parallel_turns=self.parallel_turns,
        )


class NewApiKey(_Request, frozen=True, kw_only=True):
    """
    An API key to be created.

    Attributes:
        name: For people.
        scopes: What it may do; None for everything that a tenant's key can do.
        models: Which models it may ask for; None for all.
        expires_days: How long it works; None for ever.
    """

    name: _Label = ""
    scopes: Annotated[tuple[Scope, ...], Meta(min_length=1)] | None = None
    models: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=200)], ...], Meta(min_length=1)] | None = None
    expires_days: ExpiryDays | None = None
    limits: KeyLimits = KeyLimits()

    def granted(self) -> tuple[Scope, ...]:
        """
        Its scopes, in the order of the alphabet.

        Raises:
            InvalidRequest: One of them is for administrators.
        """
        asked = TENANT_SCOPES if self.scopes is None else frozenset(self.scopes)
        for scope in asked - TENANT_SCOPES:
            raise InvalidRequest(f"Invalid 'scopes': '{scope}' is not for a tenant's key.", param="scopes")
        return tuple(sorted(asked))


class Rotate(_Request, frozen=True, kw_only=True):
    """
    A new secret for an API key.

    Attributes:
        grace_s: How long the secret before it still works, in seconds.
        again: While an earlier rotation's grace lasts: give up the secret that it made, and keep the one before alive.
    """

    grace_s: Annotated[int, Meta(ge=0, le=MAX_GRACE_S)] = 86400
    again: bool = False


class Erase(_Request, frozen=True, kw_only=True):
    """
    Erase a tenant, or what was made on behalf of one of its end users.

    Attributes:
        end_user: As requests name them in ``safety_identifier``, or else in ``user``.
    """

    # Null is refused: a caller who has lost the name must not erase the whole tenant.
    end_user: Annotated[str, Meta(min_length=1, max_length=512)] | UnsetType = UNSET


def is_tenant(name: str) -> bool:
    """Whether a tenant of the operator's can have this name. Ours begin with an underscore."""
    return _TENANT.match(name) is not None


def decode(kind: type[RequestT], values: Mapping[str, Any], *, text: bool = False) -> RequestT:
    """
    The request that these values say.

    Args:
        text: They came as text (in a query, on a command line), so a number may be written as one.

    Raises:
        InvalidRequest: Names the field that is unknown, missing, or has another type or range.
    """
    try:
        return msgspec.convert(dict(values), kind, strict=not text)
    except msgspec.ValidationError as error:
        said, _, path = str(error).partition(" - at `$")
        raise _invalid(kind, said, path.removesuffix("`").removeprefix(".")) from None


_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`\Z", re.DOTALL)
_NOT_ONE_OF = re.compile(r"Invalid enum value '(.*)'\Z", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`\Z", re.DOTALL)


def _invalid(kind: type[msgspec.Struct], said: str, path: str) -> InvalidRequest:
    if match := _UNKNOWN.match(said):
        name = _shown(f"{path}.{match[1]}".lstrip("."))
        hint = nearest(match[1], [field.encode_name for field in msgspec.structs.fields(kind)])
        return InvalidRequest(f"Unknown parameter: '{name}'{hint}", param=name, code="unknown_parameter")
    if match := _MISSING.match(said):
        name = f"{path}.{match[1]}".lstrip(".")
        message = f"Missing required parameter: '{name}'."
        return InvalidRequest(message, param=name, code="missing_required_parameter")
    name = _shown(path)
    if match := _NOT_ONE_OF.match(said):  # the only closed set there is
        word = _shown(match[1])
        return InvalidRequest(f"Invalid '{name}': there is no scope '{word}'{nearest(word, TENANT_SCOPES)}", param=name)
    if TENANT_PATTERN in said:
        said = "a tenant's name has lower-case letters, digits, '_' and '-', and at most 63 of them"
    return InvalidRequest(f"Invalid '{name}': {said[:1].lower()}{said[1:]}.", param=name or None)


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of a sentence about a word that is not known: ``; did you mean 'x'?``, or ``.`` if nothing is near."""
    close = difflib.get_close_matches(word[:100], sorted(known), n=1)
    return f"; did you mean '{close[0]}'?" if close else "."


def _shown(name: str) -> str:
    return "".join(char for char in name[:100] if char.isprintable())
