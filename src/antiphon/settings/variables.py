"""
The names by which a key is known outside the file: environment variables and flags.

Every key has one variable: ``ANTIPHON_`` and the key with its section, in capitals (``server.port`` is
``ANTIPHON_SERVER_PORT``). A key that has a flag can be set by the flag's name too (``ANTIPHON_PORT``). A list is
written as JSON, or as words with commas between them; a mapping as JSON.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import msgspec

from antiphon.settings.problems import Place, Problem
from antiphon.settings.sources import Branch, Node, merge, read_value

__all__ = [
    "FLAGS",
    "flag_variable",
    "keys_of",
    "read_environment",
    "read_overrides",
    "section_in",
    "unknown_variables",
    "variables_of",
]

Key = tuple[str, ...]

FLAGS: dict[Key, str] = {
    ("server", "host"): "--host",
    ("server", "port"): "--port",
    ("server", "no_auth"): "--no-auth",
    ("store",): "--store",
    ("sealing", "key"): "--key",
    ("admin", "host"): "--admin-host",
    ("admin", "port"): "--admin-port",
    ("upstreams",): "--upstream",
    ("log_level",): "--log-level",
}
"""The keys that have a flag of ``antiphon serve``."""


def flag_variable(flag: str) -> str:
    """The environment variable of a flag: ``--no-auth`` is ``ANTIPHON_NO_AUTH``."""
    return "ANTIPHON_" + flag.removeprefix("--").replace("-", "_").upper()


def variables_of(key: Key) -> tuple[str, ...]:
    """The variables that set a key: its own, and that of its flag if it has one."""
    own = "ANTIPHON_" + "_".join(key).upper()
    short = flag_variable(FLAGS[key]) if key in FLAGS else own
    return (own,) if short == own else (short, own)


Shape = Literal["value", "list", "mapping"]


def keys_of(section: type[msgspec.Struct], above: Key = ()) -> Iterator[tuple[Key, Shape]]:
    """Every key of a section and its subsections, with what its value is."""
    for field in msgspec.structs.fields(section):
        key = (*above, field.name)
        subsection = section_in(field.type)
        if subsection is not None:
            yield from keys_of(subsection, key)
        else:
            yield key, _shape(field.type)


def section_in(kind: Any) -> type[msgspec.Struct] | None:
    """``X`` of ``X`` or ``X | None`` where X is a section."""
    for candidate in get_args(kind) if get_origin(kind) in (UnionType, Union) else (kind,):
        if isinstance(candidate, type) and issubclass(candidate, msgspec.Struct):
            return candidate
    return None


def _shape(kind: Any) -> Shape:
    match msgspec.inspect.type_info(kind):
        case msgspec.inspect.VarTupleType() | msgspec.inspect.ListType():
            return "list"
        case msgspec.inspect.DictType():
            return "mapping"
        case _:
            return "value"


def read_environment(section: type[msgspec.Struct], env: Mapping[str, str], report: Callable[[Problem], None]) -> Node:
    """The tree of all keys that are set in the environment."""
    tree: Node = Branch({}, {}, Place("environment"))
    for key, shape in keys_of(section):
        names = [name for name in variables_of(key) if name in env]
        if len({env[name] for name in names}) > 1:
            report(Problem(Place(names[0]), f"is not what {names[1]} says, and both set {'.'.join(key)}: unset one"))
        if names:
            place = Place(names[0])
            tree = merge(tree, _branch(key, read_value(_read(env[names[0]], shape, place, report), place)))
    return tree


def read_overrides(overrides: Mapping[str, object]) -> Node:
    """The tree of the values that the command line gave, by dotted key."""
    tree: Node = Branch({}, {}, Place("command line"))
    for dotted, value in overrides.items():
        key = tuple(dotted.split("."))
        tree = merge(tree, _branch(key, read_value(value, Place(FLAGS.get(key, dotted)))))
    return tree


def _branch(key: Key, node: Node) -> Branch:
    for name in reversed(key):
        node = Branch({name: node}, {name: node.place}, node.place)
    assert isinstance(node, Branch)
    return node


def _read(text: str, shape: Shape, place: Place, report: Callable[[Problem], None]) -> object:
    if shape == "value":
        return text
    if shape == "list" and not text.lstrip().startswith("["):
        return [word.strip() for word in text.split(",") if word.strip()]
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        remedy = "write a JSON list, or words with commas between" if shape == "list" else "write a JSON object"
        begins = "begins with '[' and " if shape == "list" else ""
        report(Problem(place, f"{begins}is not valid JSON; {remedy}"))
        return [] if shape == "list" else {}


def unknown_variables(env: Mapping[str, str], section: type[msgspec.Struct]) -> Iterator[tuple[str, str]]:
    """
    Variables that begin like ours and set nothing, with the nearest that does.

    They are no error: an orchestrator puts variables named after services into every process, and a service may well
    be called antiphon.
    """
    known = {name for key, _ in keys_of(section) for name in variables_of(key)}
    known |= {flag_variable(flag) for flag in ("--config", "--once")}
    for name in sorted(env):
        if name.startswith("ANTIPHON_") and name not in known:
            close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.8)
            yield name, f"; did you mean {close[0]}?" if close else ""
