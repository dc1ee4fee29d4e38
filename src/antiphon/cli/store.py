"""``antiphon store check``: verify a whole session store."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from antiphon.app import open_store
from antiphon.cli.arguments import Command
from antiphon.cli.errors import ConfigurationError
from antiphon.cli.loading import load_settings
from antiphon.cli.terminal import Terminal

__all__ = ["check_store"]


def check_store(command: Command) -> int:
    """Print one line for each problem. Returns 0 if there is none."""
    url = load_settings(command).store
    path = url.removeprefix("sqlite:///")
    if path != url and not Path(path).expanduser().is_file():
        # Opening would make an empty store, and find nothing wrong with it.
        raise ConfigurationError(f"there is no store at {path}; name one with --store sqlite:///path")
    return asyncio.run(_check(url, Terminal(sys.stdout)))


async def _check(url: str, terminal: Terminal) -> int:
    store = open_store(url)
    await store.open()
    try:
        problems = await store.check()
    finally:
        await store.close()
    for problem in problems:
        terminal.line(problem)
    if not problems:
        terminal.line(f"{url} is {terminal.styled('sound', 'green')}")
    return 1 if problems else 0
