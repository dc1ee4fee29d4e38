"""
The names that ``provider`` may have in a configuration, and what each stands for: a dialect, or a preset of one.

A dialect is a module of :mod:`antiphon.providers`, or an installed distribution's entry point in the group
``antiphon.providers``. Its function ``provider`` makes a provider of its quirks. Nothing is registered anywhere.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import cast

from antiphon import providers
from antiphon.app.presets import PRESETS
from antiphon.app.reach import find_reach
from antiphon.hub.upstream import Known, Provider, UpstreamDefaults
from antiphon.settings import SettingAtFault

__all__ = [
    "check_quirks",
    "defaults_of",
    "dialects",
    "is_provider",
    "make_provider",
    "provider_names",
    "usual_providers",
]

_GROUP = "antiphon.providers"

_Factory = Callable[[Mapping[str, object]], Provider]


def dialects() -> list[str]:
    """The dialects that there are: those of this package, and those that other distributions add."""
    return sorted({*_modules(), *(point.name for point in entry_points(group=_GROUP))})


def provider_names() -> list[str]:
    """What ``provider`` may be: a dialect or a preset."""
    return sorted({*dialects(), *PRESETS})


def is_provider(name: str) -> bool:
    """Whether there is a dialect or a preset of this name."""
    return name in PRESETS or name in _modules() or bool(entry_points(group=_GROUP, name=name))


def make_provider(name: str, quirks: Mapping[str, object]) -> Provider:
    """
    The provider of a dialect or a preset.

    Args:
        quirks: In preference to the preset's own.

    Raises:
        ValueError: There is no such name, or it does not have these quirks.
    """
    preset = PRESETS.get(name)
    if preset is not None:
        return make_provider(preset.dialect, {**preset.quirks, **quirks})
    factory = _factory(name)
    if factory is None:
        raise ValueError(f"unknown provider '{name}'; known: {', '.join(provider_names())}")
    return factory(quirks)


def check_quirks(name: str, quirks: Mapping[str, object]) -> None:
    """
    See whether a dialect or a preset has these quirks.

    Raises:
        ValueError: It has not, or there is no such name.
    """
    make_provider(name, quirks)


def defaults_of(name: str, provider: Provider) -> UpstreamDefaults:
    """How the upstreams of a dialect or a preset are usually reached; nothing in particular, if nobody said."""
    preset = PRESETS.get(name)
    if preset is not None:
        return preset.defaults
    return provider.defaults if isinstance(provider, Known) else UpstreamDefaults()


def usual_providers(environment: Mapping[str, str]) -> list[str]:
    """
    The providers that can be reached with what is in the environment: those whose address and key are. One that cannot
    list its models needs a configuration that names them, and is none of these.

    Presets first, then dialects of which no preset uses the key; each key once.
    """
    names: dict[str, str] = {}
    for name, defaults in _usual_defaults():
        if defaults.key_variable not in names and _is_reachable(defaults, environment) and _lists_models(name):
            names[defaults.key_variable] = name
    return list(names.values())


def _usual_defaults() -> Iterator[tuple[str, UpstreamDefaults]]:
    for preset in PRESETS.values():
        if preset.is_looked_for:
            yield preset.name, preset.defaults
    for dialect in dialects():
        try:
            yield dialect, defaults_of(dialect, make_provider(dialect, {}))
        except ValueError:
            continue  # it cannot do without a configuration, so it is not what nobody configured


def _is_reachable(defaults: UpstreamDefaults, environment: Mapping[str, str]) -> bool:
    if not defaults.base_url or not environment.get(defaults.key_variable, "").strip():
        return False
    try:
        return find_reach(defaults, environment).credential is not None
    except SettingAtFault:  # such as the address of a vendor's customer
        return False


def _lists_models(name: str) -> bool:
    return make_provider(name, {}).list_models() is not None


def _modules() -> list[str]:
    return [module.name for module in pkgutil.iter_modules(providers.__path__)]


def _factory(dialect: str) -> _Factory | None:
    """What makes providers of a dialect; None for one that there is not. A name of ours is never another's."""
    if dialect in _modules():
        return cast(_Factory, importlib.import_module(f"{providers.__name__}.{dialect}").provider)
    points = entry_points(group=_GROUP, name=dialect)
    return None if not points else _loaded(next(iter(points)))


def _loaded(point: EntryPoint) -> _Factory:
    """An entry point names a module with a function ``provider``, or such a function itself."""
    found = point.load()
    return cast(_Factory, getattr(found, "provider", found))
