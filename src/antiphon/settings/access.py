"""
Who is let in, and what is sealed with what: the rules that keep a gateway from being open by mistake.

Most can be told from the settings alone, before anything is opened. Whether an address that others can reach is
guarded depends on the API keys in the store as well: :func:`access_of` decides that at the start.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Literal
from urllib.parse import urlsplit

from antiphon.settings.problems import PlaceOf, Problem, nearest
from antiphon.settings.tree import JwtSettings, Settings

__all__ = [
    "SEALING_SCHEMES",
    "Access",
    "AccessRefused",
    "access_of",
    "broken_access_rules",
    "check_administration",
    "is_loopback",
]

Access = Literal["open", "until_first_key", "credentials"]

SEALING_SCHEMES = ("file", "env", "command", "aws-kms", "vault")
"""How a reference to a root key begins, before the colon."""

_SCHEME = re.compile(r"[a-z][a-z-]*\Z")
_TENANT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\Z")

_MAKE_A_KEY = """\
make one first, on this machine and with the same store:
  antiphon tenants create NAME
  antiphon keys create --tenant NAME"""


class AccessRefused(Exception):
    """It is not safe to serve like this; says what to do."""


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is reachable from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def access_of(settings: Settings, *, store_has_keys: bool) -> Access:
    """
    How callers are let in, by settings that break no rule.

    Returns:
        ``open`` serves everybody; ``until_first_key`` does, and asks for credentials from the first key on;
        ``credentials`` asks for them from the start.

    Raises:
        AccessRefused: Others can reach the address, and there is neither a key nor an issuer of tokens.
    """
    host, has_credentials = settings.server.host, store_has_keys or settings.auth.jwt is not None
    if not is_loopback(host) and not has_credentials:
        raise AccessRefused(
            f"other machines can reach {host}, and there is no API key yet: "
            + (
                _MAKE_A_KEY
                if settings.store != "memory:"
                else "a store in memory cannot have any, so use sqlite:///path"
            )
        )
    if settings.auth.mode == "none" or settings.server.no_auth:
        return "open"
    if settings.auth.mode == "keys" or has_credentials:
        return "credentials"
    return "until_first_key"


def check_administration(settings: Settings, *, store_has_admin_keys: bool) -> None:
    """
    See whether the administrators' listener may be opened. Without a key nobody is let in; where others can reach it,
    that is a mistake to be told at once.

    Raises:
        AccessRefused: Others can reach it, and there is no administrator's key.
    """
    admin = settings.admin
    if admin.port is not None and not is_loopback(admin.host) and not store_has_admin_keys:
        raise AccessRefused(
            f"other machines can reach the administrators' address {admin.host}, and there is no administrator's key "
            f"yet: make one first, on this machine and with the same store:\n  antiphon keys create --admin"
        )


def broken_access_rules(settings: Settings, place_of: PlaceOf) -> Iterator[Problem]:
    """Every rule of this page that settings break by themselves."""
    yield from _open_to_all(settings, place_of)
    yield from _administration(settings, place_of)
    yield from _sealing(settings, place_of)
    if settings.auth.jwt is not None:
        yield from _tokens(settings.auth.jwt, settings, place_of)


def _open_to_all(settings: Settings, place_of: PlaceOf) -> Iterator[Problem]:
    server, auth = settings.server, settings.auth
    if server.no_auth and auth.mode == "keys":
        yield Problem(place_of("server", "no_auth"), "server.no_auth: contradicts auth.mode, which is 'keys'; drop one")
    if (server.no_auth or auth.mode == "none") and not is_loopback(server.host):
        said = "--no-auth is" if server.no_auth else "auth.mode 'none' is"
        yield Problem(
            place_of("server", "host"),
            f"server.host: '{server.host}' can be reached from other machines, and {said} for this machine alone: "
            f"whoever reaches the gateway could read every conversation and spend your upstreams' credit. Listen on "
            f"127.0.0.1, or drop it and make keys with 'antiphon tenants create' and 'antiphon keys create'.",
        )


def _administration(settings: Settings, place_of: PlaceOf) -> Iterator[Problem]:
    admin, server = settings.admin, settings.server
    if admin.port is None:
        if admin.host != "127.0.0.1" or admin.allowed_hosts:
            key = "host" if admin.host != "127.0.0.1" else "allowed_hosts"
            text = f"admin.{key}: has no effect without admin.port; set that too, or drop this"
            yield Problem(place_of("admin", key), text)
    elif admin.port and admin.port == server.port and admin.host == server.host:
        text = f"admin.port: {admin.port} is where the gateway itself listens; administrators need a port of their own"
        yield Problem(place_of("admin", "port"), text)
    elif settings.store == "memory:":
        text = "admin.port: a store in memory begins without an administrator's key, so nobody could be let in"
        yield Problem(place_of("admin", "port"), f"{text}; use sqlite:///path, or drop this")


def _sealing(settings: Settings, place_of: PlaceOf) -> Iterator[Problem]:
    fault = _fault_of_key(settings.sealing.key)
    if fault is not None:
        yield Problem(place_of("sealing", "key"), f"sealing.key: {fault}")


def _fault_of_key(key: str | None) -> str | None:
    """What is wrong with a reference to a root key. What was written may be the key itself, so it is never repeated."""
    if key is None or key == "none":
        return None
    forms = "file:PATH, env:NAME, command:ARGV, aws-kms:ARN, vault:URL#transit/key, or none"
    scheme, separator, rest = key.partition(":")
    if not separator or not _SCHEME.match(scheme):
        return f"says where the key is, and is not the key; write {forms}"
    if scheme not in SEALING_SCHEMES:
        return f"there is no kind of key service '{scheme}'{nearest(scheme, SEALING_SCHEMES)}; write {forms}"
    return None if rest.strip() else f"names nothing behind '{scheme}:'; write {forms}"


def _tokens(jwt: JwtSettings, settings: Settings, place_of: PlaceOf) -> Iterator[Problem]:
    def problem(key: str, text: str) -> Problem:
        return Problem(place_of("auth", "jwt", key), f"auth.jwt.{key}: {text}")

    if settings.auth.mode == "none" or settings.server.no_auth:
        yield problem("issuer", "has no effect where everybody is let in; drop it, or what lets everybody in")
    if (jwt.jwks_url is None) == (jwt.jwks_file is None):
        yield problem("jwks_url", "write either this or auth.jwt.jwks_file: where the issuer's public keys are")
    if jwt.jwks_url is not None and not _is_safe_to_fetch(jwt.jwks_url):
        yield problem("jwks_url", "must be an https:// URL: whoever can change what is there can make tokens")
    if jwt.tenant_from_claim == bool(jwt.tenants):
        yield problem("tenants", "write either this or auth.jwt.tenant_from_claim: a token without a tenant is refused")
    for value, tenant in jwt.tenants.items():
        if not _TENANT.match(tenant):
            text = f"'{tenant}' (of '{value}') cannot be a tenant's name: lower-case letters, digits, '_' and '-'"
            yield problem("tenants", text)


def _is_safe_to_fetch(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:  # a port that is none, or a broken IPv6 address
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)))
