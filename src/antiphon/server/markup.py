"""
HTML that cannot be forgotten to be escaped: text is escaped when it enters an element, only elements are not.

    element("p", "1 < 2")                       <p>1 &lt; 2</p>
    element("a", "home", href="#home")          <a href="#home">home</a>
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

__all__ = ["Markup", "element", "together"]

_VOID = frozenset({"meta", "input", "br", "hr"})


class Markup(str):
    """Text that is HTML already. Only this module and literals make it."""

    __slots__ = ()


def element(name: str, /, *children: str, **attributes: str | bool) -> Markup:
    """
    One element.

    Args:
        children: Escaped, unless they are markup.
        attributes: ``class_`` is ``class``, other underscores are hyphens; True writes the name alone, False nothing.
    """
    head = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Markup(f"<{name}{head}>")
    return Markup(f"<{name}{head}>{together(children)}</{name}>")


def together(parts: Iterable[str]) -> Markup:
    """Several parts in a row, each escaped unless it is markup."""
    return Markup("".join(part if isinstance(part, Markup) else escape(part) for part in parts))


def _attribute(key: str, value: str | bool) -> str:  # noqa: FBT001  an attribute's value, not a switch
    name = key.rstrip("_").replace("_", "-")
    if isinstance(value, bool):
        return f" {name}" if value else ""
    return f' {name}="{escape(value)}"'
