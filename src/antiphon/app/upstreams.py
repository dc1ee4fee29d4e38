"""Upstreams that are reached over HTTP, and the dialects that there are for them."""

from __future__ import annotations

import importlib
import pkgutil
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

from antiphon import providers
from antiphon.engine.upstreams import Upstream
from antiphon.hub.upstream import Provider
from antiphon.settings import (
    Secret,
    TimeoutSettings,
)
from antiphon.transport.http import HttpTransport

__all__ = ["check_quirks", "dialects", "upstream"]


def upstream(
    base_url: str,
    *,
    name: str = "upstream",
    api_key: str | None = None,
    provider: str | Provider = "openai_chat",
    models: Sequence[str] | None = None,
    timeouts: TimeoutSettings | None = None,
    context_window: int | None = None,
    **quirks: Any,
) -> Upstream:
    """
    An upstream that is reached over HTTP.

    Args:
        base_url: Up to and including the version, such as ``http://127.0.0.1:9000/v1``.
        name: Shown in headers, logs and errors.
        api_key: Sent as a bearer token.
        provider: A dialect's name, or a provider of your own.
        models: What it serves; None asks it.
        context_window: How many tokens its models take; None for what it lists.
        quirks: Its deviations from the dialect, as the dialect names them.

    Raises:
        ValueError: An unknown dialect or quirk.
    """
    credential = Secret(api_key) if api_key else None
    return Upstream(
        name,
        _provider(provider, quirks) if isinstance(provider, str) else provider,
        HttpTransport(name, base_url, credential=credential, timeouts=timeouts),
        base_url=base_url,
        models=models,
        context_window=context_window,
        credential=credential,
        clock=time.monotonic,
    )


def dialects() -> list[str]:
    """The dialects that there are: the modules of :mod:`antiphon.providers`."""
    return sorted(module.name for module in pkgutil.iter_modules(providers.__path__))


def check_quirks(dialect: str, quirks: Mapping[str, object]) -> None:
    """
    See whether a dialect has these quirks.

    Raises:
        ValueError: It has not, or there is no such dialect.
    """
    _provider(dialect, quirks)


def _provider(dialect: str, quirks: Mapping[str, object]) -> Provider:
    if dialect not in dialects():
        raise ValueError(f"unknown provider '{dialect}'; known: {', '.join(dialects())}")
    module = importlib.import_module(f"{providers.__name__}.{dialect}")
    return cast(Provider, module.provider(quirks))
