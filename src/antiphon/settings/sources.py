"""
The three sources of settings as one kind of tree: nodes that know their place.

YAML is composed, not loaded: the composed nodes carry line numbers, and no tag can construct an object. ``${NAME}`` in
a string is replaced by the environment variable; ``$${`` stands for a literal ``${``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import yaml

from antiphon.settings.problems import Place, Problem, SettingsError

__all__ = ["Branch", "Leaf", "Leaves", "Node", "merge", "read_file", "read_value"]

_INTERPOLATION = re.compile(r"\$\$\{|\$\{([^}]*)\}?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class Leaf(msgspec.Struct, frozen=True):
    """
    A value.

    Attributes:
        text: It came as text (from the environment or a flag), so a number may be written as one.
    """

    value: object
    place: Place
    text: bool = False


class Leaves(msgspec.Struct, frozen=True):
    """A list."""

    items: tuple[Node, ...]
    place: Place


class Branch(msgspec.Struct, frozen=True):
    """A mapping. ``keys`` has the place of each key."""

    entries: dict[str, Node]
    keys: dict[str, Place]
    place: Place


Node = Leaf | Leaves | Branch


def merge(below: Node, above: Node) -> Node:
    """*above* laid over *below*: mappings are joined key by key, anything else is replaced as a whole."""
    if not (isinstance(below, Branch) and isinstance(above, Branch)):
        return above
    entries = dict(below.entries)
    for key, node in above.entries.items():
        entries[key] = merge(entries[key], node) if key in entries else node
    return Branch(entries, {**below.keys, **above.keys}, below.place)


def read_value(value: object, place: Place) -> Node:
    """A plain Python value (of a flag, or of JSON in a variable) as nodes that all stand at *place*."""
    if isinstance(value, Mapping):
        entries = {str(key): read_value(entry, place) for key, entry in value.items()}
        return Branch(entries, dict.fromkeys(entries, place), place)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return Leaves(tuple(read_value(item, place) for item in value), place)
    return Leaf(value, place, text=isinstance(value, str))


def read_file(path: Path, env: Mapping[str, str], report: Callable[[Problem], None]) -> Branch:
    """
    The tree of a YAML file. Faults that leave a tree are reported; others are raised.

    Raises:
        SettingsError: The file cannot be read, or is not YAML.
    """
    place = Place(str(path))
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        raise SettingsError([Problem(place, f"cannot be read: {error.strerror or error}")]) from error
    except UnicodeDecodeError as error:
        raise SettingsError([Problem(place, "is not text in UTF-8")]) from error
    except yaml.MarkedYAMLError as error:
        raise SettingsError([_syntax_problem(str(path), error)]) from error
    except yaml.YAMLError as error:
        raise SettingsError([Problem(place, "holds characters that YAML does not allow")]) from error
    tree = Branch({}, {}, place) if root is None else _Composed(str(path), env, report).node(root)
    if isinstance(tree, Branch):
        return tree
    raise SettingsError([Problem(tree.place, "the file must be a mapping of keys to values")])


def _syntax_problem(path: str, error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    return Problem(Place(path, mark.line + 1 if mark else None), f"is not valid YAML: {error.problem or error.context}")


class _Composed:
    """Turns composed YAML nodes into ours."""

    def __init__(self, path: str, env: Mapping[str, str], report: Callable[[Problem], None]) -> None:
        self._path = path
        self._env = env
        self._report = report
        self._scalars = yaml.SafeLoader("")
        self._open: list[yaml.Node] = []

    def node(self, node: yaml.Node) -> Node:
        place = self._place(node)
        if node in self._open:
            self._report(Problem(place, "an anchor contains itself"))
            return Leaf(None, place)
        self._open.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return self._branch(node, place)
            if isinstance(node, yaml.SequenceNode):
                return Leaves(tuple(self.node(item) for item in node.value), place)
            return self._leaf(node, place)
        finally:
            self._open.pop()

    def _place(self, node: yaml.Node) -> Place:
        return Place(self._path, node.start_mark.line + 1)

    def _branch(self, node: yaml.MappingNode, place: Place) -> Branch:
        entries: dict[str, Node] = {}
        keys: dict[str, Place] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "a list or mapping as a key"
            if key in entries:
                text = f"'{key}' stands here twice (first on line {keys[key].line})"
                self._report(Problem(self._place(key_node), text))
                continue
            keys[key] = self._place(key_node)
            entries[key] = self.node(value_node)
        return Branch(entries, keys, place)

    def _leaf(self, node: yaml.Node, place: Place) -> Leaf:
        try:
            value = self._scalars.construct_object(node)
        except (yaml.YAMLError, ValueError):  # an unknown tag such as !!python/name, or a date that is none
            self._report(Problem(place, f"'{node.value}' cannot be read as {node.tag}; put it in quotes"))
            return Leaf(None, place)
        if not isinstance(value, str) or "${" not in value:
            return Leaf(value, place)
        return Leaf(self._interpolated(value, place), place, text=True)

    def _interpolated(self, text: str, place: Place) -> str:
        def replaced(match: re.Match[str]) -> str:
            if match.group(0) == "$${":
                return "${"
            name = match.group(1)
            if not _NAME.match(name) or not match.group(0).endswith("}"):
                self._report(Problem(place, "an interpolation is written ${NAME}; for a literal '${' write '$${'"))
            elif name not in self._env:
                self._report(Problem(place, f"the environment variable {name} is not set"))
            return self._env.get(name, "")

        return _INTERPOLATION.sub(replaced, text)
