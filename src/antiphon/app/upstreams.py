"""Upstreams that are reached over HTTP."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

import msgspec

from antiphon.app.aliases import deadlines_of
from antiphon.app.dialects import defaults_of, is_provider, make_provider
from antiphon.app.presets import PRESETS
from antiphon.app.reach import find_reach
from antiphon.engine.droppable import check_names
from antiphon.engine.gates import Capacity
from antiphon.engine.upstreams import Upstream
from antiphon.hub.price import Price
from antiphon.hub.upstream import Provider, Signer, UpstreamDefaults
from antiphon.settings import Secret, SettingAtFault, TimeoutSettings, UpstreamSettings
from antiphon.transport.http import HttpTransport

__all__ = ["complete", "upstream"]

Signing = Literal["key", "sigv4"]

_AWS_SERVICE = "bedrock"
_AWS_REGION_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")


def upstream(
    base_url: str = "",
    *,
    name: str | None = None,
    api_key: str | None = None,
    provider: str | Provider = "openai_chat",
    models: Sequence[str] | None = None,
    timeouts: TimeoutSettings | None = None,
    context_window: int | None = None,
    account: str | None = None,
    capacity: Capacity | None = None,
    price: Price | None = None,
    may_drop: Collection[str] = (),
    key_variable: str | None = None,
    signing: Signing | None = None,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    **quirks: Any,
) -> Upstream:
    """
    An upstream that is reached over HTTP.

        upstream("http://127.0.0.1:9000/v1")
        upstream(provider="deepseek")

    Args:
        base_url: Up to and including the version, such as ``http://127.0.0.1:9000/v1``. Empty for the provider's own.
        name: Shown in headers, logs and errors; None for the preset's, or ``upstream``.
        api_key: Sent where the provider wants it, a bearer token unless it says otherwise. None takes it from the
            environment, if *base_url* is the provider's own.
        provider: The name of a dialect or a preset, or a provider of your own.
        models: What it serves; None asks it.
        context_window: How many tokens its models take; None for what it lists.
        account, capacity, may_drop, price: See :class:`antiphon.engine.upstreams.Upstream`.
        key_variable: The environment variable that holds the key, instead of the provider's usual one.
        signing: ``sigv4`` signs requests with AWS credentials; None does what is usual for the provider.
        headers: Sent with every request.
        query: Added to every request's query.
        environment: None for the process's own.
        quirks: Its deviations from the dialect, as the dialect names them; in preference to a preset's.

    Raises:
        ValueError: An unknown provider or quirk; or an address or a key that is missing (says which variable would do).
    """
    environment = os.environ if environment is None else environment
    speaks = make_provider(provider, quirks) if isinstance(provider, str) else provider
    defaults = defaults_of(provider if isinstance(provider, str) else "", speaks)
    reach = find_reach(
        _signed_by(defaults, signing),
        environment,
        base_url=base_url,
        api_key=Secret(api_key) if api_key else None,
        key_variable=key_variable,
    )
    called = name or (provider if isinstance(provider, str) and provider in PRESETS else "upstream")
    signed = reach.credential is None and (signing or defaults.signing) == "sigv4"
    return Upstream(
        called,
        speaks,
        HttpTransport(
            called,
            reach.base_url,
            credential=reach.credential,
            key_place=defaults.key_place,
            signer=_aws_signer(reach.base_url, environment) if signed else None,
            headers={**defaults.headers, **(headers or {})},
            query=query or {},
            timeouts=timeouts,
        ),
        base_url=reach.base_url,
        models=models,
        context_window=context_window,
        credential=reach.credential,
        account=account,
        capacity=capacity,
        may_drop=may_drop,
        secrets=[Secret(value) for value in (headers or {}).values()],
        price=price,
        sold_at=_sold_at(reach.base_url, provider),
        deadlines=deadlines_of(timeouts or TimeoutSettings()),
        clock=time.monotonic,
    )


def complete(section: UpstreamSettings, environment: Mapping[str, str]) -> UpstreamSettings:
    """
    The same upstream with the address and the key that are usual for its provider, where it says nothing itself.

    Raises:
        SettingAtFault: One of them is missing; says which variable would do.
        ValueError: The provider does not have these quirks.
    """
    if not is_provider(section.provider):
        return section  # a rule of the settings tells it, with its place
    _check_may_drop(section.may_drop)
    defaults = defaults_of(section.provider, make_provider(section.provider, section.quirks))
    reach = find_reach(
        _signed_by(defaults, section.signing),
        environment,
        base_url=section.base_url,
        api_key=section.api_key,
        key_variable=section.key_variable,
    )
    return msgspec.structs.replace(section, base_url=reach.base_url, api_key=reach.credential, key_variable=None)


def _sold_at(base_url: str, provider: str | Provider) -> tuple[str, ...]:
    """
    The addresses by which whoever sells an upstream's models is known: its own, and that of the vendor whose preset it
    is, should it be reached through something else. A dialect alone says nothing of who answers.
    """
    preset = PRESETS.get(provider) if isinstance(provider, str) else None
    addresses = (base_url, preset.defaults.base_url if preset is not None else "")
    return tuple(dict.fromkeys(address for address in addresses if address.startswith("https://")))


def _check_may_drop(names: Collection[str]) -> None:
    try:
        check_names(names)
    except ValueError as error:
        raise SettingAtFault("may_drop", str(error)) from error


def _signed_by(defaults: UpstreamDefaults, signing: Signing | None) -> UpstreamDefaults:
    return defaults if signing is None else msgspec.structs.replace(defaults, signing=signing)


def _aws_signer(base_url: str, environment: Mapping[str, str]) -> Signer:
    """
    What signs requests to AWS.

    Raises:
        SettingAtFault: Nobody says in which region.
    """
    # Imported here: only who signs needs it.
    from antiphon.transport.aws_credentials import AwsCredentialChain  # noqa: PLC0415
    from antiphon.transport.sigv4 import Scope, SigV4Signer, region_of  # noqa: PLC0415

    said = (environment.get(variable, "").strip() for variable in _AWS_REGION_VARIABLES)
    region = region_of(base_url) or next((region for region in said if region), None)
    if region is None:
        raise SettingAtFault("base_url", "names no AWS region, and neither does the environment variable AWS_REGION")
    return SigV4Signer(AwsCredentialChain(environ=environment), Scope(region, _AWS_SERVICE))
