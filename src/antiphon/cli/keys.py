"""``antiphon keys …``: what programs and administrators are let in with."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine, Mapping

from antiphon.cli.administered import administered
from antiphon.cli.arguments import Command
from antiphon.cli.json_output import print_json
from antiphon.cli.shown import day, moment
from antiphon.cli.terminal import Terminal
from antiphon.engine.administration import COMMAND_LINE, SYSTEM
from antiphon.engine.administration_requests import NewApiKey, Rotate, decode
from antiphon.hub.principal import TENANT_SCOPES
from antiphon.server import admin_documents as documents
from antiphon.sessions.directory import ApiKeyRecord

__all__ = ["keys"]

_OF_KEY = ("name", "scopes", "models", "expires_days")
_OF_LIMITS = ("requests_per_minute", "tokens_per_minute", "parallel_turns")


def keys(command: Command) -> int:
    """Run one of the commands. Returns the exit code."""
    return asyncio.run(_ACTIONS[command.name](command, Terminal(sys.stdout)))


async def _create(command: Command, terminal: Terminal) -> int:
    new = decode(NewApiKey, _asked(command.options), text=True)
    async with administered(command, create=True) as opened:
        if "admin" in command.options:
            minted = await opened.administration.create_admin_key(new, COMMAND_LINE)
        else:
            minted = await opened.administration.create_key(command.options["tenant"], new, COMMAND_LINE)
    terminal.line(minted.key.text)
    if terminal.is_interactive:
        Terminal(sys.stderr).notice("this key is shown once; the store has only a keyed hash of it")
    return 0


def _asked(options: Mapping[str, object]) -> dict[str, object]:
    asked = {name: options[name] for name in _OF_KEY if name in options}
    limits = {name: options[name] for name in _OF_LIMITS if name in options}
    return {**asked, "limits": limits} if limits else asked


async def _list(command: Command, terminal: Terminal) -> int:
    async with administered(command) as opened:
        found = await opened.administration.keys(COMMAND_LINE, tenant=command.options.get("tenant"))
    if "json" in command.options:
        print_json(terminal, documents.ApiKeyList(data=tuple(map(documents.api_key, found))))
        return 0
    now = time.time()
    terminal.table(
        ["ID", "TENANT", "ENDS IN", "STATE", "LAST USED", "CREATED", "SCOPES", "NAME"],
        [
            [
                key.key_id,
                "(administrator)" if key.tenant == SYSTEM else key.tenant,
                f"…{key.hint}",
                _state(key, now),
                moment(key.last_used_at, "never"),
                day(key.created_at),
                _scopes(key),
                key.name,
            ]
            for key in found
        ],
    )
    return 0


def _state(key: ApiKeyRecord, now: float) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is not None and key.expires_at <= now:
        return "expired"
    if key.previous_until is not None and key.previous_until > now:
        return f"rotated, both until {moment(key.previous_until)}"
    return "active" if key.expires_at is None else f"active until {day(key.expires_at)}"


def _scopes(key: ApiKeyRecord) -> str:
    return "all" if frozenset(key.scopes) == TENANT_SCOPES else ",".join(key.scopes)


async def _rotate(command: Command, terminal: Terminal) -> int:
    asked = decode(Rotate, {name: command.options[name] for name in ("grace_s", "again") if name in command.options})
    async with administered(command) as opened:
        minted = await opened.administration.rotate_key(command.options["key_id"], asked, COMMAND_LINE)
    terminal.line(minted.key.text)
    if terminal.is_interactive:
        until = minted.record.previous_until
        before = "does not work any more" if until is None else f"works until {moment(until)}"
        Terminal(sys.stderr).notice(f"this key is shown once; the one before {before}")
    return 0


async def _revoke(command: Command, terminal: Terminal) -> int:
    async with administered(command) as opened:
        record = await opened.administration.revoke_key(command.options["key_id"], COMMAND_LINE)
    terminal.line(f"{record.key_id} is revoked since {moment(record.revoked_at)}")
    return 0


_ACTIONS: Mapping[str, Callable[[Command, Terminal], Coroutine[None, None, int]]] = {
    "keys create": _create,
    "keys list": _list,
    "keys rotate": _rotate,
    "keys revoke": _revoke,
}
