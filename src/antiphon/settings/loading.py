"""From sources to settings: merge, check every key and value, report all problems at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints
from urllib.parse import urlsplit

import msgspec

from antiphon.settings.problems import Place, PlaceOf, Problem, SettingAtFault, SettingsError, nearest
from antiphon.settings.rules import broken_rules
from antiphon.settings.secret import Secret
from antiphon.settings.sources import Branch, Leaf, Leaves, Node, merge, read_file, read_value
from antiphon.settings.tree import Settings, UpstreamSettings
from antiphon.settings.variables import read_environment, read_overrides, section_in

__all__ = ["load", "upstream_of_url"]

Complete = Callable[[UpstreamSettings, Mapping[str, str]], UpstreamSettings]

_PROVIDER_NAME = re.compile(r"[a-z][a-z0-9_]*")

SettingsT = TypeVar("SettingsT", bound=Settings)
StructT = TypeVar("StructT", bound=msgspec.Struct)


def load(
    kind: type[SettingsT],
    path: Path | None,
    env: Mapping[str, str],
    overrides: Mapping[str, object],
    *,
    dialects: Collection[str] | None,
    check_quirks: Callable[[str, Mapping[str, object]], None] | None,
    complete: Complete | None = None,
) -> SettingsT:
    """See :meth:`antiphon.settings.Settings.load`."""
    problems: list[Problem] = []
    tree: Node = Branch({}, {}, Place("defaults"))
    if path is not None:
        tree = merge(tree, read_file(path, env, problems.append))
    tree = merge(tree, read_environment(kind, env, problems.append))
    tree = merge(tree, read_overrides(overrides))
    builder = _Builder(problems)
    settings = builder.struct(tree, kind, ())
    if settings is not None:
        if complete is not None:
            upstreams = _completed(settings.upstreams, env, complete, builder.place_of, problems.append)
            settings = msgspec.structs.replace(settings, upstreams=upstreams)
        problems += broken_rules(settings, builder.place_of, dialects, check_quirks, has_base_urls=complete is None)
    if problems or settings is None:
        raise SettingsError(problems)
    return settings


def _completed(
    upstreams: tuple[UpstreamSettings, ...],
    env: Mapping[str, str],
    complete: Complete,
    place_of: PlaceOf,
    report: Callable[[Problem], None],
) -> tuple[UpstreamSettings, ...]:
    """The upstreams with what is usual for their providers; as they are where something is missing, which is noted."""

    def one(index: int, upstream: UpstreamSettings) -> UpstreamSettings:
        try:
            return complete(upstream, env)
        except SettingAtFault as fault:
            place = place_of("upstreams", index, fault.key)
            report(Problem(place, f"upstreams[{index}].{fault.key}: {fault.text}"))
        except ValueError:
            pass  # quirks that the provider does not have: a rule of their own tells it
        return upstream

    return tuple(one(index, upstream) for index, upstream in enumerate(upstreams))


def upstream_of_url(text: str) -> dict[str, object]:
    """
    The long form of an upstream that is written as ``URL[#provider]``, named after its host, or as a provider's name.
    """
    if _PROVIDER_NAME.fullmatch(text):
        return {"name": text, "provider": text}
    url, _, dialect = text.partition("#")
    try:
        name = urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:  # not a URL at all; the rules say so
        name = ""
    return {"name": name or "upstream", "base_url": url, "provider": dialect or "openai_chat"}


class _Builder:
    """Builds structs from nodes; what is wrong is noted, and None stands in its place."""

    def __init__(self, problems: list[Problem]) -> None:
        self._problems = problems
        self._places: dict[tuple[str | int, ...], Place] = {}

    def place_of(self, *key: str | int) -> Place:
        """Where the value of a key stands, or the nearest thing around it."""
        while key and key not in self._places:
            key = key[:-1]
        return self._places[key]

    def struct(self, node: Node, kind: type[StructT], key: tuple[str | int, ...]) -> StructT | None:
        self._places[key] = node.place
        if isinstance(node, Leaf) and node.value is None:  # `server:` with nothing below it
            node = Branch({}, {}, node.place)
        if kind is UpstreamSettings and isinstance(node, Leaf) and isinstance(node.value, str):
            node = read_value(upstream_of_url(node.value), node.place)
        if not isinstance(node, Branch):
            self._note(node.place, key, "must be a mapping of keys to values")
            return None
        found = len(self._problems)
        values = self._fields(node, kind, key)
        return kind(**values) if len(self._problems) == found else None

    def _fields(self, node: Branch, kind: type[StructT], key: tuple[str | int, ...]) -> dict[str, Any]:
        fields = {field.name: field for field in msgspec.structs.fields(kind)}
        types = get_type_hints(kind, include_extras=True)
        values = {}
        for name, entry in node.entries.items():
            if name not in fields:
                where = f" in {_dotted(key)}" if key else ""
                self._problems.append(Problem(node.keys[name], f"unknown key '{name}'{where}{nearest(name, fields)}"))
            else:
                values[name] = self._value(entry, types[name], (*key, name))
        for name, field in fields.items():
            if field.required and name not in node.entries:
                self._note(node.place, key, f"has no '{name}', which it needs")
        return values

    def _value(self, node: Node, kind: Any, key: tuple[str | int, ...]) -> Any:
        subsection = section_in(kind)
        if subsection is not None:
            is_left_out = isinstance(node, Leaf) and node.value is None and type(None) in get_args(kind)
            return None if is_left_out else self.struct(node, subsection, key)
        section = _section_of_list(kind)
        if section is not None and isinstance(node, Leaves) and node.items:
            self._places[key] = node.place
            return tuple(self.struct(item, section, (*key, index)) for index, item in enumerate(node.items))
        return self._plain(node, kind, key)

    def _plain(self, node: Node, kind: Any, key: tuple[str | int, ...]) -> Any:
        self._places[key] = node.place
        text = isinstance(node, Leaf) and node.text
        try:
            return msgspec.convert(_plain_value(node), kind, strict=not text, dec_hook=_decode)
        except msgspec.ValidationError as error:
            # The message says what was expected and of what type the value is, not the value.
            self._note(node.place, key, _lower(str(error)))
            return None

    def _note(self, place: Place, key: tuple[str | int, ...], text: str) -> None:
        self._problems.append(Problem(place, f"{_dotted(key) or 'the file'}: {text}"))


def _section_of_list(kind: Any) -> type[msgspec.Struct] | None:
    """``X`` of ``tuple[X, ...]`` where X is a section, through ``Annotated``."""
    arguments = get_args(kind)
    if arguments and getattr(arguments[0], "__origin__", None) is tuple:  # Annotated[tuple[X, ...], Meta]
        arguments = get_args(arguments[0])
    if arguments and isinstance(arguments[0], type) and issubclass(arguments[0], msgspec.Struct):
        return arguments[0]
    return None


def _plain_value(node: Node) -> Any:
    if isinstance(node, Branch):
        return {key: _plain_value(entry) for key, entry in node.entries.items()}
    if isinstance(node, Leaves):
        return [_plain_value(item) for item in node.items]
    return node.value


def _decode(kind: type, value: object) -> object:
    if kind is Secret:
        if not isinstance(value, str):
            raise msgspec.ValidationError("expected a string; put it in quotes")
        if not value.strip():
            raise msgspec.ValidationError("is empty; leave the key out if there is none")
        return Secret(value.strip())
    raise NotImplementedError(kind)


def _dotted(key: tuple[str | int, ...]) -> str:
    """``upstreams[0].name``."""
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
