"""``antiphon audit …``: who did what, and when."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from antiphon.cli.administered import administered
from antiphon.cli.arguments import Command
from antiphon.cli.errors import ConfigurationError
from antiphon.cli.json_output import print_json
from antiphon.cli.shown import moment
from antiphon.cli.terminal import Terminal
from antiphon.engine.administration import COMMAND_LINE
from antiphon.server import admin_documents as documents
from antiphon.sessions.directory import AuditPage, AuditRecord

__all__ = ["audit"]

_PAGE = 500


def audit(command: Command) -> int:
    """Run one of the commands. Returns the exit code."""
    action = _list if command.name == "audit list" else _verify
    return asyncio.run(action(command, Terminal(sys.stdout)))


async def _list(command: Command, terminal: Terminal) -> int:
    left = _number(command, "limit")
    after = _number(command, "after") or 0
    wanted: dict[str, Any] = {name: command.options.get(name) for name in ("object_id", "actor")}
    found: list[AuditRecord] = []
    has_more = True
    async with administered(command) as opened:
        while has_more and (left is None or len(found) < left):
            limit = _PAGE if left is None else min(_PAGE, left - len(found))
            page = await opened.administration.audit(
                command.options["tenant"], COMMAND_LINE, after=after, limit=limit, **wanted
            )
            found += page.records
            has_more = page.has_more and bool(page.records)
            after = found[-1].index if found else after
    if "json" in command.options:
        print_json(terminal, documents.audit_list(AuditPage(records=tuple(found), has_more=has_more)))
    else:
        _print(terminal, found)
    return 0


def _print(terminal: Terminal, records: list[AuditRecord]) -> None:
    terminal.table(
        ["INDEX", "WHEN", "ACTOR", "ACTION", "OBJECT", "OUTCOME"],
        [
            [
                str(record.index),
                moment(record.entry.at_ms // 1000),
                record.entry.actor,
                record.entry.action,
                record.entry.object_id,
                record.entry.outcome,
            ]
            for record in records
        ],
    )


async def _verify(command: Command, terminal: Terminal) -> int:
    name = command.options["tenant"]
    async with administered(command) as opened:
        problems = await opened.administration.verify_audit(name, COMMAND_LINE)
    for problem in problems:
        terminal.line(problem)
    if not problems:
        terminal.line(f"the audit trail of {name} is {terminal.styled('sound', 'green')}")
    return 1 if problems else 0


def _number(command: Command, name: str) -> int | None:
    text = command.options.get(name)
    if text is None:
        return None
    if not str(text).isdigit():
        raise ConfigurationError(f"--{name}: '{text}' is not a number")
    return int(text)
