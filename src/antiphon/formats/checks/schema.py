"""
A small declarative validator: schemas are plain frozen values that check, fill in defaults and say OpenAI's errors.

A schema is data first (its fields say everything that the published document says) and code second: ``check`` takes a
decoded JSON value and returns it in its full form, or raises :class:`~antiphon.formats.checks.flaw.Flaw`. What is
checked is never changed in place. Null means the same as absent wherever a field is optional. Objects report, in this
order: what is missing, what is unknown, then their fields in the order of the schema.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from antiphon.formats.checks.flaw import (
    Flaw,
    brief,
    invalid_type,
    invalid_value,
    listed,
    missing,
    nearest,
    out_of_range,
    too_long,
    unknown,
)

__all__ = [
    "ABSENT",
    "Anything",
    "Arr",
    "Bool",
    "ByType",
    "Choice",
    "Enum",
    "Field",
    "Int",
    "MapOf",
    "Num",
    "Obj",
    "Schema",
    "Str",
    "StrMap",
    "Tagged",
]

ABSENT: Any = object()


class Schema(Protocol):
    """Anything that can check a value."""

    def check(self, value: object) -> Any:
        """
        The value in its full form.

        Raises:
            Flaw: What is wrong with it, and where.
        """
        ...


@runtime_checkable
class Choice(Schema, Protocol):
    """A dialect's own way to tell several forms apart."""

    @property
    def alternatives(self) -> Sequence[Schema]:
        """The forms that a value may have."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Str:
    """
    A string.

    Attributes:
        pattern: A regular expression that the whole string has to match.
        prefix: For ids whose kind clients mix up: what they begin with.
    """

    min_length: int = 0
    max_length: int | None = None
    pattern: str | None = None
    prefix: str | None = None
    expected: str = "a string"

    def check(self, value: object) -> str:
        """See :class:`Schema`."""
        if type(value) is not str:
            raise invalid_type(self.expected, value)
        if self.max_length is not None and len(value) > self.max_length:
            raise too_long("string", self.max_length, len(value))
        if len(value) < self.min_length:
            raise _empty("string", self.min_length)
        if self.pattern is not None and not re.fullmatch(self.pattern, value):
            raise _mismatch(self.pattern)
        if self.prefix is not None and not value.startswith(self.prefix):
            raise _wrong_prefix(value, self.prefix)
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Int:
    """A whole number; ``1.0`` is not one."""

    minimum: int | None = None
    maximum: int | None = None

    def check(self, value: object) -> int:
        """See :class:`Schema`."""
        if type(value) is not int:
            raise invalid_type("an integer", value)
        if self.minimum is not None and value < self.minimum:
            raise out_of_range(value, self.minimum, kind="integer", below=True)
        if self.maximum is not None and value > self.maximum:
            raise out_of_range(value, self.maximum, kind="integer", below=False)
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Num:
    """A number, given back as a float: that is how the API echoes it."""

    minimum: float
    maximum: float

    def check(self, value: object) -> float:
        """See :class:`Schema`."""
        if type(value) is not float and type(value) is not int:
            raise invalid_type("a decimal", value)
        assert isinstance(value, (int, float))
        if value < self.minimum:
            raise out_of_range(value, self.minimum, kind="decimal", below=True)
        if not value <= self.maximum:
            raise out_of_range(value, self.maximum, kind="decimal", below=False)
        return value + 0.0  # also makes 0.0 of -0.0


@dataclass(frozen=True, slots=True)
class Bool:
    """True or false."""

    def check(self, value: object) -> bool:
        """See :class:`Schema`."""
        if value is True or value is False:
            return value
        raise invalid_type("a boolean", value)


@dataclass(frozen=True, slots=True)
class Anything:
    """Free-form JSON: nothing is looked at."""

    def check(self, value: object) -> Any:
        """See :class:`Schema`."""
        return value


@dataclass(frozen=True, slots=True)
class Enum:
    """One of a closed set of strings, in the order in which OpenAI lists them."""

    values: tuple[str, ...]
    expected: str | None = None

    def check(self, value: object) -> str:
        """See :class:`Schema`."""
        if type(value) is not str:
            raise invalid_type(self.expected or self.spoken, value)
        if value not in self.values:
            raise invalid_value(value, self.values)
        return value

    @property
    def spoken(self) -> str:
        """``one of 'auto' or 'disabled'``; long names are shortened, as OpenAI does in sentences about types."""
        shown = [f"{value[:3]}...{value[-3:]}" if len(value) >= 20 else value for value in self.values]
        return f"one of {listed(shown, 'or')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arr:
    """A list whose members have one schema."""

    item: Schema
    min_length: int = 0
    max_length: int | None = None
    expected: str = "an array"

    def check(self, value: object) -> list[Any]:
        """See :class:`Schema`."""
        if type(value) is not list:
            raise invalid_type(self.expected, value)
        if self.max_length is not None and len(value) > self.max_length:
            raise too_long("array", self.max_length, len(value))
        if len(value) < self.min_length:
            raise _empty("array", self.min_length)
        check = self.item.check
        checked: list[Any] = []
        try:
            for part in value:
                checked.append(check(part))  # noqa: PERF401  its length is the index of the member at fault
        except Flaw as flaw:
            raise flaw.under(f"[{len(checked)}]") from None
        return checked


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """
    A member of an object.

    Attributes:
        required: Absent is an error, and so is null.
        default: What stands in for absent and null; :data:`ABSENT` leaves the key out. Never changed by anybody.
        keeps_null: Null says something of its own and stays.
        verbatim_only: It says something that the hub has no words for, and that does not change the form of the answer:
            an upstream of the same dialect may be told (:mod:`antiphon.formats.checks.pruning`).
    """

    schema: Schema
    required: bool = False
    default: Any = ABSENT
    keeps_null: bool = False
    verbatim_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Obj:
    """
    An object.

    Attributes:
        extra: What to do with keys that the schema does not name: ``refuse`` them, or ``keep`` them untouched behind
            the others (without those that are null).
        moved: Names that people bring from elsewhere, with the name that is meant here; only for the hint.
    """

    fields: Mapping[str, Field]
    extra: Literal["refuse", "keep"] = "refuse"
    expected: str = "an object"
    moved: Mapping[str, str] = field(default_factory=dict)
    _required: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        required = tuple(name for name, member in self.fields.items() if member.required)
        object.__setattr__(self, "_required", required)

    def check(self, value: object) -> dict[str, Any]:
        """See :class:`Schema`."""
        if type(value) is not dict:
            raise invalid_type(self.expected, value)
        for name in self._required:
            if name not in value:
                raise missing(name)
        strange = not value.keys() <= self.fields.keys()
        if strange and self.extra == "refuse":
            raise self._unknown(value)
        checked = self._check_fields(value)
        if strange:
            checked.update([pair for pair in value.items() if pair[0] not in self.fields and pair[1] is not None])
        return checked

    def _check_fields(self, value: Mapping[str, Any]) -> dict[str, Any]:
        checked: dict[str, Any] = {}
        name = ""
        try:
            for name, member in self.fields.items():
                part = value.get(name)
                if part is not None or (member.required and not member.keeps_null):
                    checked[name] = member.schema.check(part)
                elif member.keeps_null and name in value:
                    checked[name] = None
                elif member.default is not ABSENT:
                    checked[name] = member.default
        except Flaw as flaw:
            raise flaw.under(f".{name}") from None
        return checked

    def _unknown(self, value: Mapping[str, Any]) -> Flaw:
        name = next(name for name in value if name not in self.fields)
        return unknown(name, self.moved.get(name) or nearest(name, self.fields, value))


@dataclass(frozen=True, slots=True, kw_only=True)
class StrMap:
    """An object of strings under free keys, as in ``metadata``."""

    max_properties: int
    max_name_length: int
    value: Str
    expected: str = "an object"

    def check(self, value: object) -> dict[str, str]:
        """See :class:`Schema`."""
        if type(value) is not dict:
            raise invalid_type(self.expected, value)
        if len(value) > self.max_properties:
            raise _too_many_properties(self.max_properties, len(value))
        for name, part in value.items():
            try:
                if len(name) > self.max_name_length:
                    raise _name_too_long(name, self.max_name_length)
                self.value.check(part)
            except Flaw as flaw:
                raise flaw.under(f".{brief(name)}") from None
        return dict(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class MapOf:
    """
    An object whose members have one schema, under names that the caller chooses.

    Attributes:
        names: A regular expression that every name has to match as a whole.
    """

    value: Schema
    names: str
    max_properties: int
    expected: str = "an object"

    def check(self, value: object) -> dict[str, Any]:
        """See :class:`Schema`."""
        if type(value) is not dict:
            raise invalid_type(self.expected, value)
        if len(value) > self.max_properties:
            raise _too_many_properties(self.max_properties, len(value))
        checked = {}
        for name, part in value.items():
            try:
                if not re.fullmatch(self.names, name):
                    raise _wrong_name(name, self.names)
                checked[name] = self.value.check(part)
            except Flaw as flaw:
                raise flaw.under(f".{brief(name)}") from None
        return checked


@dataclass(frozen=True, slots=True, kw_only=True)
class ByType:
    """A value of one of several JSON types, each with a schema of its own."""

    cases: Mapping[type, Schema]
    expected: str

    def check(self, value: object) -> Any:
        """See :class:`Schema`."""
        case = self.cases.get(type(value))
        if case is None:
            raise invalid_type(self.expected, value)
        return case.check(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tagged:
    """
    A union of objects that one string field tells apart.

    Attributes:
        elsewhere: Tags that are known but not allowed here. OpenAI blames the object for these, and the tag's own field
            for tags that it has never heard of.
        hints: Tags that people bring from elsewhere, with the one that is meant here.
    """

    variants: Mapping[str, Schema]
    tag: str = "type"
    elsewhere: frozenset[str] = frozenset()
    hints: Mapping[str, str] = field(default_factory=dict)
    expected: str = "an object"

    def check(self, value: object) -> Any:
        """See :class:`Schema`."""
        if type(value) is not dict:
            raise invalid_type(self.expected, value)
        tag = value.get(self.tag)
        variant = self.variants.get(tag) if type(tag) is str else None
        if variant is None:
            raise self._flaw(value)
        return variant.check(value)

    def _flaw(self, value: Mapping[str, object]) -> Flaw:
        tag = value.get(self.tag)
        if self.tag not in value:
            return missing(self.tag)
        if type(tag) is not str:
            return invalid_type("a string", tag).under(f".{self.tag}")
        flaw = invalid_value(tag, self.variants, self.hints.get(tag))
        return flaw if tag in self.elsewhere else flaw.under(f".{self.tag}")


def _empty(kind: str, minimum: int) -> Flaw:
    article = "an" if kind == "array" else "a"
    return Flaw(
        f"empty_{kind}",
        lambda path: (
            f"Invalid '{path}': empty {kind}. Expected {article} {kind} with minimum length {minimum}, "
            f"but got an empty {kind} instead."
        ),
    )


def _mismatch(pattern: str) -> Flaw:
    return Flaw(
        "invalid_value",
        lambda path: (
            f"Invalid '{path}': string does not match pattern. Expected a string that matches the pattern '{pattern}'."
        ),
    )


def _wrong_prefix(value: str, prefix: str) -> Flaw:
    shown = brief(value)
    return Flaw(
        "invalid_value",
        lambda path: f"Invalid '{path}': '{shown}'. Expected an ID that begins with '{prefix}'.",
    )


def _too_many_properties(maximum: int, count: int) -> Flaw:
    return Flaw(
        "object_above_max_properties",
        lambda path: (
            f"Invalid '{path}': too many properties. Expected an object with at most {maximum} properties, "
            f"but got an object with {count} properties instead."
        ),
    )


def _wrong_name(name: str, pattern: str) -> Flaw:
    step = f".{brief(name)}"
    return Flaw(
        "invalid_value",
        lambda path: (
            f"Invalid property name in '{path.removesuffix(step)}': '{brief(name)}'. Expected a name that matches the "
            f"pattern '{pattern}'."
        ),
    )


def _name_too_long(name: str, maximum: int) -> Flaw:
    shown = f"{name[:3]}...{name[-3:]}"
    step = f".{brief(name)}"
    return Flaw(
        "property_name_above_max_length",
        lambda path: (
            f"Invalid property name in '{path.removesuffix(step)}': '{shown}' is too long. Expected a string with "
            f"maximum length {maximum}, but got a string with length {len(name)} instead."
        ),
    )
