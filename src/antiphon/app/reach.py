"""
How an upstream is reached: what its configuration says, and what is usual for its dialect or preset where it says
nothing.

A key from the environment is taken for the place that it belongs to, and for no other: a ``base_url`` that leads
elsewhere needs a key of its own, named in the configuration.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from antiphon.hub.upstream import UpstreamDefaults
from antiphon.settings import Secret, SettingAtFault

__all__ = ["Reach", "find_reach"]

_VARIABLE = re.compile(r"\{([A-Z][A-Z0-9_]*)\}")


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """
    Where an upstream is, and what is shown to it.

    Attributes:
        credential: None for an upstream that wants none, or a signature.
    """

    base_url: str
    credential: Secret | None


def find_reach(
    defaults: UpstreamDefaults,
    environment: Mapping[str, str],
    *,
    base_url: str = "",
    api_key: Secret | None = None,
    key_variable: str | None = None,
) -> Reach:
    """
    Fill in what a configuration leaves out.

    Args:
        base_url: As it is configured; empty for the default.
        api_key: As it is configured; None for that of the environment.
        key_variable: The variable that holds the key, in preference to the usual one.

    Raises:
        SettingAtFault: Something is missing that has no default; says which variable would do.
    """
    found = base_url or _usual_base_url(defaults, environment)
    if api_key is not None and key_variable is not None:
        raise SettingAtFault("key_variable", "there is an api_key as well; drop one")
    if api_key is not None:
        return Reach(base_url=found, credential=api_key)
    if key_variable is not None:
        return Reach(base_url=found, credential=_required_key(key_variable, environment))
    if not defaults.key_variable or not _is_usual(base_url, defaults):
        return Reach(base_url=found, credential=None)
    key = environment.get(defaults.key_variable, "").strip()
    if not key and defaults.signing == "key":
        raise SettingAtFault(
            "api_key", f"is missing: set the environment variable {defaults.key_variable}, or write it"
        )
    return Reach(base_url=found, credential=Secret(key) if key else None)


def _usual_base_url(defaults: UpstreamDefaults, environment: Mapping[str, str]) -> str:
    """The default, its ``{VARIABLES}`` filled in."""
    if not defaults.base_url:
        raise SettingAtFault("base_url", "is missing")

    def value(match: re.Match[str]) -> str:
        said = environment.get(match.group(1), "").strip().rstrip("/")
        if not said:
            text = f"is missing: set the environment variable {match.group(1)}, or write it"
            raise SettingAtFault("base_url", text)
        return said

    return _VARIABLE.sub(value, defaults.base_url)


def _required_key(variable: str, environment: Mapping[str, str]) -> Secret:
    key = environment.get(variable, "").strip()
    if not key:
        state = "empty" if variable in environment else "not set"
        raise SettingAtFault("key_variable", f"the environment variable {variable} is {state}")
    return Secret(key)


def _is_usual(base_url: str, defaults: UpstreamDefaults) -> bool:
    """Whether the usual key belongs at this address: the default's place, or any where each upstream has its own."""
    if not base_url or not defaults.base_url or _VARIABLE.search(defaults.base_url):
        return True
    return _place(base_url) == _place(defaults.base_url)


def _place(url: str) -> tuple[str, str] | None:
    try:
        parts = urlsplit(url)
    except ValueError:  # a broken URL is told elsewhere, and is nobody's place
        return None
    return parts.scheme, parts.netloc.lower()
