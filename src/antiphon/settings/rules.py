"""
What a single type cannot say: names that must be unique, references that must exist, URLs that must be such.

Who is let in, and what is sealed with what, is in :mod:`antiphon.settings.access`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from urllib.parse import SplitResult, urlsplit

from antiphon.settings.access import broken_access_rules
from antiphon.settings.problems import PlaceOf, Problem, nearest
from antiphon.settings.secret import is_webhook_secret
from antiphon.settings.tree import ModelSettings, Settings, UpstreamSettings

__all__ = ["STORE_SCHEMES", "broken_rules"]

STORE_SCHEMES = ("memory:", "sqlite:///")
"""How the URL of a store begins."""


_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")

CheckQuirks = Callable[[str, Mapping[str, object]], None]


def broken_rules(
    settings: Settings,
    place_of: PlaceOf,
    dialects: Collection[str] | None,
    check_quirks: CheckQuirks | None,
    *,
    has_base_urls: bool = True,
) -> Iterator[Problem]:
    """
    Every rule that *settings* break, with the place to mend it.

    Args:
        dialects: The providers that there are; None if somebody else knows them.
        check_quirks: Raises ValueError for quirks that a provider does not have; None if somebody else knows them.
        has_base_urls: Whether every upstream has to have one by now; False if somebody else tells which is missing.
    """
    yield from _server(settings, place_of)
    if not settings.store.startswith(STORE_SCHEMES) or settings.store == "sqlite:///":
        text = f"store: '{_without_password(settings.store)}' is not the URL of a store"
        yield Problem(place_of("store"), f"{text}; write 'memory:' (with the quotes) or sqlite:///path")
    yield from _upstreams(settings, place_of, dialects, check_quirks, has_base_urls=has_base_urls)
    yield from _models(settings, place_of)
    yield from _webhooks(settings, place_of)
    yield from broken_access_rules(settings, place_of)


def _server(settings: Settings, place_of: PlaceOf) -> Iterator[Problem]:
    for index, origin in enumerate(settings.server.cors_origins):
        parts = _split(origin)
        if parts is None or parts.path or parts.query or parts.fragment:
            text = f"server.cors_origins[{index}]: '{origin}' is not an origin; write https://name or https://name:port"
            yield Problem(place_of("server", "cors_origins"), text)


def _upstreams(
    settings: Settings,
    place_of: PlaceOf,
    dialects: Collection[str] | None,
    check_quirks: CheckQuirks | None,
    *,
    has_base_urls: bool,
) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for index, upstream in enumerate(settings.upstreams):
        if upstream.name in seen:
            text = f"upstreams[{index}].name: '{upstream.name}' is the name of upstreams[{seen[upstream.name]}] already"
            yield Problem(place_of("upstreams", index, "name"), text)
        seen.setdefault(upstream.name, index)
        if not upstream.name.isascii() or not upstream.name.isprintable():
            text = f"upstreams[{index}].name: is sent in a header, so it must be printable ASCII"
            yield Problem(place_of("upstreams", index, "name"), text)
        if dialects is not None and upstream.provider not in dialects:
            text = f"upstreams[{index}].provider: there is no provider '{upstream.provider}'"
            yield Problem(
                place_of("upstreams", index, "provider"), f"{text}; this version has: {', '.join(sorted(dialects))}"
            )
        else:
            if upstream.base_url or has_base_urls:
                yield from _base_url(index, upstream, place_of)
            if check_quirks is not None:
                yield from _quirks(index, upstream, place_of, check_quirks)
        yield from _sent(index, upstream, place_of)


def _quirks(index: int, upstream: UpstreamSettings, place_of: PlaceOf, check_quirks: CheckQuirks) -> Iterator[Problem]:
    try:
        check_quirks(upstream.provider, upstream.quirks)
    except ValueError as error:
        yield Problem(place_of("upstreams", index, "quirks"), f"upstreams[{index}].quirks: {error}")


def _base_url(index: int, upstream: UpstreamSettings, place_of: PlaceOf) -> Iterator[Problem]:
    parts = _split(upstream.base_url)
    fault = None
    if parts is None:
        fault = "is not a URL such as http://127.0.0.1:9000/v1" if upstream.base_url else "is missing"
    elif parts.username is not None or parts.password is not None:
        fault = "holds a credential; write it as api_key, where it does not show"
    elif parts.query or parts.fragment:
        fault = "must end with its path"
    if fault is not None:
        yield Problem(place_of("upstreams", index, "base_url"), f"upstreams[{index}].base_url: {fault}")


def _sent(index: int, upstream: UpstreamSettings, place_of: PlaceOf) -> Iterator[Problem]:
    """What goes into a request's head: nothing in it may begin another line. A value may be secret and is not shown."""
    if upstream.api_key is not None and not _fits_a_header(upstream.api_key.reveal()):
        text = f"upstreams[{index}].api_key: holds a character that no header can"
        yield Problem(place_of("upstreams", index, "api_key"), text)
    for name, value in upstream.headers.items():
        place = place_of("upstreams", index, "headers")
        if not _HEADER_NAME.fullmatch(name):
            yield Problem(place, f"upstreams[{index}].headers: '{name}' cannot be the name of a header")
        elif not _fits_a_header(value.reveal()):
            yield Problem(place, f"upstreams[{index}].headers: '{name}' holds a character that no header can")


def _fits_a_header(value: str) -> bool:
    return value.isascii() and value.isprintable()


def _models(settings: Settings, place_of: PlaceOf) -> Iterator[Problem]:
    names = [upstream.name for upstream in settings.upstreams]
    seen: set[str] = set()
    for index, model in enumerate(settings.models):
        if model.name in seen:
            text = f"models[{index}].name: '{model.name}' stands in the list twice"
            yield Problem(place_of("models", index, "name"), text)
        seen.add(model.name)
        for number, target in enumerate(model.targets):
            if target.upstream not in names:
                text = f"models[{index}].targets[{number}].upstream: there is no upstream '{target.upstream}'"
                place = place_of("models", index, "targets", number, "upstream")
                yield Problem(place, text + nearest(target.upstream, names))
        yield from _orders(index, model, place_of)


def _orders(index: int, model: ModelSettings, place_of: PlaceOf) -> Iterator[Problem]:
    have_orders = any(target.order is not None for target in model.targets)
    for number, target in enumerate(model.targets):
        place = place_of("models", index, "targets", number)
        if have_orders and target.order is None:
            text = "has no order; either all targets of a model say one or none does"
            yield Problem(place, f"models[{index}].targets[{number}]: {text}")
        if not have_orders and target.weight is not None:
            text = "has no effect without an order: targets of the same order share the turns by weight"
            yield Problem(place, f"models[{index}].targets[{number}].weight: {text}")


def _webhooks(settings: Settings, place_of: PlaceOf) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, webhook in enumerate(settings.webhooks):
        if _split(webhook.url) is None:
            text = f"webhooks[{index}].url: is not a URL such as https://example.com/hooks"
            yield Problem(place_of("webhooks", index, "url"), text)
        if webhook.url in seen:
            text = f"webhooks[{index}].url: stands in the list twice; name its events in one place"
            yield Problem(place_of("webhooks", index, "url"), text)
        seen.add(webhook.url)
        if not is_webhook_secret(webhook.secret.reveal()):
            text = f"webhooks[{index}].secret: write 'whsec_' and at least 16 random bytes in base64"
            yield Problem(place_of("webhooks", index, "secret"), text)


def _split(url: str) -> SplitResult | None:
    """The parts of an http URL with a host, or None."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is none, or a broken IPv6 address
        return None
    return parts if usable and url.isprintable() and " " not in url else None


def _without_password(url: str) -> str:
    """A URL for a message: what stands before an ``@`` may be a password."""
    head, separator, tail = url.rpartition("@")
    return f"{head.partition('://')[0]}://***@{tail}" if separator else url
