"""Documents on stdout, for programs."""

from __future__ import annotations

import msgspec
import orjson

from antiphon.cli.terminal import Terminal

__all__ = ["print_json"]


def print_json(terminal: Terminal, document: msgspec.Struct) -> None:
    """A document as indented JSON, as the administrators' API answers it."""
    terminal.line(orjson.dumps(msgspec.to_builtins(document), option=orjson.OPT_INDENT_2).decode())
