"""``antiphon store …``: looking after a session store, beside whatever server uses it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path

from antiphon.app import seal_store
from antiphon.cli.administered import administered, named_sealing, named_store, named_url
from antiphon.cli.arguments import Command
from antiphon.cli.errors import ConfigurationError
from antiphon.cli.shown import print_receipt, size
from antiphon.cli.terminal import Terminal
from antiphon.engine.administration import COMMAND_LINE

__all__ = ["store"]


def store(command: Command) -> int:
    """Run one of the commands. Returns the exit code."""
    return asyncio.run(_ACTIONS[command.name](command, Terminal(sys.stdout)))


async def _check(command: Command, terminal: Terminal) -> int:
    checked = named_store(command)
    await checked.open()
    try:
        problems = await checked.check()
    finally:
        await checked.close()
    return _verdict(terminal, problems, f"{named_url(command)} is {terminal.styled('sound', 'green')}")


async def _verify(command: Command, terminal: Terminal) -> int:
    async with administered(command) as opened:
        problems = await opened.sealing.verify()
    sound = f"everything in {named_url(command)} {terminal.styled('can be opened', 'green')}"
    return _verdict(terminal, problems, sound)


async def _backup(command: Command, terminal: Terminal) -> int:
    copy = _absolute(command.options["file"])
    copied = named_store(command)
    await copied.open()
    try:
        await copied.backup(str(copy))
    finally:
        await copied.close()
    terminal.line(str(copy))
    if terminal.is_interactive:
        text = f"{size(copy.stat().st_size)}; the keys to it are not in it: keep a copy of them too, elsewhere"
        Terminal(sys.stderr).notice(text)
    return 0


async def _seal(command: Command, terminal: Terminal) -> int:
    service = named_sealing(command)
    if service == "none":
        raise ConfigurationError("sealing.key is 'none', so there is nothing to seal with; name a key, or drop it")
    errors = Terminal(sys.stderr)
    sealed = named_store(command)
    await sealed.open()
    try:
        if not await sealed.has_plain_payloads():
            terminal.line(f"nothing in {named_url(command)} is in the clear")
            return 0
        notice = await seal_store(sealed, service, progress=errors.line)
    finally:
        await sealed.close()
    if notice is not None:
        errors.notice(notice)
    terminal.line(f"{named_url(command)} is {terminal.styled('sealed', 'green')}")
    return 0


async def _rotate_root(command: Command, terminal: Terminal) -> int:
    async with administered(command) as opened:
        rotated = await opened.administration.rotate_root_key(COMMAND_LINE)
    terminal.line(f"{rotated.count} keys are wrapped with '{rotated.ref}' now")
    if rotated.is_new:
        Terminal(sys.stderr).notice(f"'{rotated.ref}' was added to {rotated.place}: renew your copy of it")
    return 0


async def _rotate_tenant(command: Command, terminal: Terminal) -> int:
    name = command.options["tenant"]
    async with administered(command) as opened:
        await opened.administration.tenant(name, COMMAND_LINE)  # one that there is not needs no announcement
        minutes = opened.sealing.shortest_rotation_s / 60
        Terminal(sys.stderr).notice(
            f"this takes {minutes:.0f} minutes at least, so that every server knows the new key before it is used; it "
            "may be cut off, and goes on when it is started again"
        )
        await opened.administration.rotate_tenant_key(name, COMMAND_LINE)
    terminal.line(f"everything of {name} is sealed with its new key")
    return 0


async def _sweep(command: Command, terminal: Terminal) -> int:
    dry_run = "dry_run" in command.options
    async with administered(command) as opened:
        erased = await opened.administration.sweep(COMMAND_LINE, dry_run=dry_run)
    print_receipt(terminal, erased, dry_run=dry_run)
    return 0


def _verdict(terminal: Terminal, problems: Sequence[str], sound: str) -> int:
    for problem in problems:
        terminal.line(problem)
    if not problems:
        terminal.line(sound)
    return 1 if problems else 0


def _absolute(path: str) -> Path:
    return Path(path).expanduser().absolute()


_ACTIONS: Mapping[str, Callable[[Command, Terminal], Coroutine[None, None, int]]] = {
    "store check": _check,
    "store backup": _backup,
    "store seal": _seal,
    "store rotate-root": _rotate_root,
    "store rotate-tenant": _rotate_tenant,
    "store verify": _verify,
    "store sweep": _sweep,
}
