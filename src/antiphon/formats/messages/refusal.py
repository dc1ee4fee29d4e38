"""
What is valid in the API and has nothing behind it here, as schemas: it is refused by name, wherever it stands.

Beside the schemas of :mod:`antiphon.formats.checks.schema`, whose flaws are errors of the client. A refusal knows
its path in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from antiphon.formats.checks.flaw import Flaw, brief, invalid_type, missing
from antiphon.formats.checks.pruning import pruned
from antiphon.formats.checks.schema import Schema
from antiphon.hub.errors import UnsupportedParameter

__all__ = ["Only", "Refusal", "Refused", "TaggedOrRefused", "refusal"]


class Refusal(Flaw):
    """A value that cannot be served; its error is an ``UnsupportedParameter``."""

    def error(self) -> UnsupportedParameter:
        """The error for the caller."""
        flaw = super().error()
        return UnsupportedParameter(flaw.message, param=flaw.param)


def refusal(remedy: str, what: str = "") -> Refusal:
    """
    ``Unsupported parameter: 'top_k' is not supported by this gateway. Leave it out.``

    Args:
        remedy: What the caller can do instead.
        what: What stands at the path, if the path alone does not say it.
    """
    shown = f" ({what})" if what else ""
    return Refusal(
        "unsupported_parameter",
        lambda path: f"Unsupported parameter: '{path}'{shown} is not supported by this gateway. {remedy}",
    )


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing but null, or an empty list or object, which ask for nothing."""

    remedy: str = "Leave it out."

    def check(self, value: object) -> Any:
        """See :class:`Schema`."""
        if value in ([], {}):
            return value
        raise refusal(self.remedy)


@dataclass(frozen=True, slots=True)
class Only:
    """
    One value of those that the API allows.

    Attributes:
        schema: What the API allows.
        value: What is allowed here, which changes nothing.
    """

    schema: Schema
    value: object
    remedy: str = "Leave it out."

    def check(self, value: object) -> Any:
        """See :class:`Schema`."""
        checked = self.schema.check(value)
        if checked != self.value:
            raise refusal(self.remedy)
        return checked

    def prune(self, value: object) -> Any:
        """See :class:`antiphon.formats.checks.pruning.Prunable`."""
        return pruned(self.schema, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggedOrRefused:
    """
    A union of objects that ``type`` tells apart; whatever is none of them is refused by that name.

    Attributes:
        noun: What these objects are, in the plural.
        default: The type of an object that does not say it; None if it has to.
        elsewhere: Types that are served in another place than this.
    """

    variants: Mapping[str, Schema]
    noun: str
    default: str | None = None
    elsewhere: frozenset[str] = frozenset()

    def check(self, value: object) -> Any:
        """See :class:`Schema`."""
        if type(value) is not dict:
            raise invalid_type("an object", value)
        tag = value.get("type")
        if tag is None:
            tag = self.default
        if tag is None:
            raise missing("type")
        if type(tag) is not str:
            raise invalid_type("a string", tag).under(".type")
        variant = self.variants.get(tag)
        if variant is None:
            raise self._flaw(tag)
        return variant.check(value)

    def prune(self, value: object) -> Any:
        """See :class:`antiphon.formats.checks.pruning.Prunable`."""
        tag = (value.get("type") or self.default) if type(value) is dict else None
        variant = self.variants.get(tag) if type(tag) is str else None
        return value if variant is None else pruned(variant, value)

    def _flaw(self, tag: str) -> Flaw:
        shown = brief(tag)
        if tag in self.elsewhere:
            return Flaw("invalid_value", lambda path: f"Invalid '{path}': '{shown}' is not allowed here.")
        return refusal("Leave it out.", f"{self.noun} of type '{shown}'")
