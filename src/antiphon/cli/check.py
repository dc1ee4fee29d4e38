"""``antiphon check``: is this configuration right, and does what it names answer?"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence

from antiphon.app import build_application
from antiphon.cli.arguments import Command
from antiphon.cli.errors import ConfigurationError
from antiphon.cli.loading import load_settings_with_upstreams
from antiphon.cli.terminal import Terminal
from antiphon.cli.welcome import Probed, probed, unlisted
from antiphon.hub.errors import AntiphonError
from antiphon.settings import Settings, unknown_variables

__all__ = ["check", "warnings_of"]

Answers = Sequence[list[str] | AntiphonError]


def check(command: Command) -> int:
    """Print what is wrong and what is there. Returns 0 if every upstream answers that can be asked for its models."""
    return asyncio.run(_check(command, Terminal(sys.stdout)))


async def _check(command: Command, terminal: Terminal) -> int:
    settings = await load_settings_with_upstreams(command)
    try:
        application = build_application(settings)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    try:
        answers = await probed(application.upstreams)
    finally:
        await application.shutdown()
    terminal.line(
        f"configuration  {terminal.styled('ok', 'green')}  {command.config or 'no file'}, store {settings.store}"
    )
    for upstream, answer in zip(application.upstreams, answers, strict=True):
        _print_upstream(terminal, upstream, answer)
    for name, hint in unknown_variables(command.environment, Settings):
        terminal.warning(f"the environment variable {name} is not a setting{hint}")
    for text in warnings_of(settings, answers):
        terminal.warning(text)
    return 1 if any(isinstance(answer, AntiphonError) for answer in answers) else 0


def _print_upstream(terminal: Terminal, upstream: Probed, answer: list[str] | AntiphonError) -> None:
    where = f"{upstream.name} ({upstream.base_url})"
    if isinstance(answer, AntiphonError):
        terminal.line(f"upstream       {terminal.styled('failed', 'red')}  {where}: {answer.message}")
        return
    found = terminal.styled("ok", "green") if upstream.is_asked else terminal.styled("not tried", "yellow")
    terminal.line(f"upstream       {found}  {where}")
    for model in answer or [f"({unlisted(upstream)})"]:
        terminal.line(f"                   {model}")


def warnings_of(settings: Settings, answers: Answers) -> Iterator[str]:
    """Names that mean more than one thing, and which of these is served."""
    serving: dict[str, str] = {}
    for upstream, answer in zip(settings.upstreams, answers, strict=True):
        for model in answer if isinstance(answer, list) else []:
            if serving.setdefault(model, upstream.name) != upstream.name:
                yield (
                    f"the model '{model}' is served by '{serving[model]}', which is listed first, and not by "
                    f"'{upstream.name}'; give it an alias under models to reach both"
                )
    for index, alias in enumerate(settings.models):
        targets = {(target.upstream, target.model) for target in alias.targets}
        owner = serving.get(alias.name)
        if owner is not None and (owner, alias.name) not in targets:
            yield f"models[{index}]: the alias '{alias.name}' hides the model of that name of '{owner}'"
    yield from _missing_targets(settings, answers)


def _missing_targets(settings: Settings, answers: Answers) -> Iterator[str]:
    listed = {
        upstream.name: answer
        for upstream, answer in zip(settings.upstreams, answers, strict=True)
        if isinstance(answer, list) and answer
    }
    for index, alias in enumerate(settings.models):
        for target in alias.targets:
            if target.upstream in listed and target.model not in listed[target.upstream]:
                yield f"models[{index}]: '{target.upstream}' does not list the model '{target.model}'"
