"""Tokens of an identity provider, as settings describe them."""

from __future__ import annotations

import time

from antiphon.app.gateway import Gateway
from antiphon.hub.principal import TENANT_SCOPES, Scope
from antiphon.server.auth import Tokens
from antiphon.settings import (
    JwtSettings,
)
from antiphon.transport.fetching import fetch_document

__all__ = ["tokens_of"]


def tokens_of(section: JwtSettings, gateway: Gateway) -> Tokens:
    """
    What finds out whose a token is.

    Raises:
        ValueError: The settings ask for a scope that there is not, or the extra that tokens need is not installed.
    """
    try:
        from antiphon.server.jwks import KeySet, read_file  # noqa: PLC0415 - needs an extra that few have
        from antiphon.server.jwt import JwtTokens, TokenRules  # noqa: PLC0415
    except ImportError as error:
        raise ValueError(str(error)) from error
    if gateway.directory is None:
        raise ValueError("tokens need a session store, which knows the tenants")
    rules = TokenRules(
        issuer=section.issuer,
        audience=section.audience,
        algorithms=frozenset(section.algorithms),
        tenant_claim=section.tenant_claim,
        tenants=section.tenants,
        tenant_from_claim=section.tenant_from_claim,
        scope_claim=section.scope_claim,
        scopes=frozenset(_scope(name) for name in section.scopes),
    )
    keys = (
        KeySet(section.jwks_url, fetch_document, clock=time.monotonic, log=gateway.log)
        if section.jwks_url is not None
        else KeySet(section.jwks_file or "", read_file, clock=time.monotonic, log=gateway.log)
    )
    return JwtTokens(rules, keys, directory=gateway.directory, clock=time.time)


def _scope(name: str) -> Scope:
    for scope in TENANT_SCOPES:
        if scope == name:
            return scope
    raise ValueError(
        f"auth.jwt.scopes: there is no scope '{name}' for tokens; known: {', '.join(sorted(TENANT_SCOPES))}"
    )
