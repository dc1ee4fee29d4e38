"""``antiphon tenants …``: who shares the gateway."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Mapping
from contextlib import aclosing

import orjson

from antiphon.cli.administered import Administered, administered
from antiphon.cli.arguments import Command
from antiphon.cli.errors import CommandFailed, ConfigurationError
from antiphon.cli.json_output import print_json
from antiphon.cli.shown import day, moment, print_receipt, size
from antiphon.cli.terminal import Terminal
from antiphon.engine.administration import COMMAND_LINE, TenantDetails
from antiphon.engine.administration_requests import NewTenant, TenantChanges, decode
from antiphon.server import admin_documents as documents
from antiphon.sessions.directory import ApiKeyRecord, TenantRecord

__all__ = ["tenants"]


def tenants(command: Command) -> int:
    """Run one of the commands. Returns the exit code."""
    return asyncio.run(_ACTIONS[command.name](command, Terminal(sys.stdout)))


async def _create(command: Command, terminal: Terminal) -> int:
    new = decode(NewTenant, {"id": command.options["tenant"], **_configured(command)}, text=True)
    async with administered(command, create=True) as opened:
        record = await opened.administration.create_tenant(new, COMMAND_LINE)
    terminal.line(record.id)
    return 0


async def _list(command: Command, terminal: Terminal) -> int:
    async with administered(command) as opened:
        found = await opened.administration.tenants(COMMAND_LINE)
    if "json" in command.options:
        print_json(terminal, documents.TenantList(data=tuple(map(documents.tenant, found))))
        return 0
    terminal.table(
        ["TENANT", "STATE", "STORED", "AT MOST", "RETENTION", "CREATED"],
        [
            [
                tenant.id,
                tenant.state,
                size(tenant.stored_bytes),
                _quota(tenant),
                _retention(tenant),
                day(tenant.created_at),
            ]
            for tenant in found
        ],
    )
    return 0


async def _show(command: Command, terminal: Terminal) -> int:
    async with administered(command) as opened:
        details = await opened.administration.tenant(command.options["tenant"], COMMAND_LINE)
    if "json" in command.options:
        print_json(terminal, documents.tenant_with_keys(details))
    else:
        _print_details(terminal, details)
    return 0


def _print_details(terminal: Terminal, details: TenantDetails) -> None:
    record = details.record
    terminal.facts(
        ("tenant", record.id),
        ("state", record.state),
        ("created", moment(record.created_at)),
        ("stored", _stored(record)),
        ("retention", _retention(record)),
        *(("sealing key", f"version {key.version}, {key.state}, wrapped by {key.root_ref}") for key in details.keys),
        *(("API key", f"{key.key_id}  {_named(key)}{_state(key)}") for key in details.api_keys),
    )


def _named(key: ApiKeyRecord) -> str:
    return f"{key.name}, " if key.name else ""


def _state(key: ApiKeyRecord) -> str:
    if key.revoked_at is not None:
        return f"revoked {moment(key.revoked_at)}"
    return f"last used {moment(key.last_used_at, 'never')}"


async def _suspend(command: Command, terminal: Terminal) -> int:
    async with administered(command) as opened:
        record = await opened.administration.suspend(command.options["tenant"], COMMAND_LINE)
    terminal.line(f"{record.id} is {record.state}")
    return 0


async def _resume(command: Command, terminal: Terminal) -> int:
    async with administered(command) as opened:
        record = await opened.administration.resume(command.options["tenant"], COMMAND_LINE)
    terminal.line(f"{record.id} is {record.state}")
    return 0


async def _set(command: Command, terminal: Terminal) -> int:
    given = _configured(command)
    if not given:
        raise ConfigurationError("say what to change: --retention-days DAYS, --max-stored-bytes BYTES")
    changes = decode(TenantChanges, given, text=True)
    async with administered(command) as opened:
        record = await opened.administration.configure(command.options["tenant"], changes, COMMAND_LINE)
    terminal.facts(("tenant", record.id), ("stored", _stored(record)), ("retention", _retention(record)))
    return 0


async def _export(command: Command, _: Terminal) -> int:
    name, end_user = command.options["tenant"], command.options.get("end_user")
    async with administered(command) as opened:
        lines = opened.administration.export(name, COMMAND_LINE, end_user=end_user)
        async with aclosing(lines):
            async for line in lines:
                sys.stdout.buffer.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
    sys.stdout.buffer.flush()
    return 0


async def _erase(command: Command, terminal: Terminal) -> int:
    name, end_user = command.options["tenant"], command.options.get("end_user")
    dry_run = "dry_run" in command.options
    async with administered(command) as opened:
        if not dry_run and "yes" not in command.options:
            await _ask(opened, name, end_user)
        erased = await opened.administration.erase(name, COMMAND_LINE, end_user=end_user, dry_run=dry_run)
    if "json" in command.options:
        print_json(terminal, documents.receipt(erased, name, dry_run=dry_run))
    else:
        print_receipt(terminal, erased, dry_run=dry_run)
    return 0


async def _ask(opened: Administered, name: str, end_user: str | None) -> None:
    """See that it is meant: what was erased cannot be had back."""
    if not sys.stdin.isatty():
        raise ConfigurationError("what was erased cannot be had back: say --yes, or look first with --dry-run")
    await opened.administration.tenant(name, COMMAND_LINE)  # one that there is not needs no question
    what = f"the tenant '{name}' and everything that it has" if end_user is None else f"'{end_user}' of '{name}'"
    print(f"This erases {what}. Type the tenant's name to go on: ", end="", file=sys.stderr, flush=True)
    # The event loop has nothing else to do meanwhile.
    if sys.stdin.readline().strip() != name:
        raise CommandFailed("nothing was erased")


def _configured(command: Command) -> dict[str, object]:
    given: dict[str, object] = {}
    for name, nothing in (("retention_days", "default"), ("max_stored_bytes", "none")):
        if name in command.options:
            value = command.options[name]
            given[name] = None if value == nothing else value
    return given


def _quota(tenant: TenantRecord) -> str:
    return "no limit" if tenant.max_stored_bytes is None else size(tenant.max_stored_bytes)


def _stored(tenant: TenantRecord) -> str:
    limit = tenant.max_stored_bytes
    return (
        f"{size(tenant.stored_bytes)}, no limit" if limit is None else f"{size(tenant.stored_bytes)} of {size(limit)}"
    )


def _retention(tenant: TenantRecord) -> str:
    return "as configured" if tenant.retention_days is None else f"{tenant.retention_days:g} days"


_ACTIONS: Mapping[str, Callable[[Command, Terminal], Coroutine[None, None, int]]] = {
    "tenants create": _create,
    "tenants list": _list,
    "tenants show": _show,
    "tenants suspend": _suspend,
    "tenants resume": _resume,
    "tenants set": _set,
    "tenants export": _export,
    "tenants erase": _erase,
}
