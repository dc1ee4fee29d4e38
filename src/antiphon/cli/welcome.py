"""What ``antiphon serve`` says when it serves: where, what, and two lines to paste."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from antiphon.cli.terminal import Terminal
from antiphon.hub.errors import AntiphonError

__all__ = ["Probed", "probed", "welcome"]

_SHOWN_MODELS = 6


class Probed(Protocol):
    """An upstream as the command line sees it."""

    name: str
    base_url: str

    async def probe(self) -> list[str]:
        """The names of its models, asked for now."""
        ...


async def probed(upstreams: Sequence[Probed]) -> list[list[str] | AntiphonError]:
    """For each upstream its models or why it cannot be asked. All are asked at once."""
    return await asyncio.gather(*(_probe(upstream) for upstream in upstreams))


async def welcome(terminal: Terminal, base: str, upstreams: Sequence[Probed]) -> None:
    """Tell what is served, and how to use it."""
    answers = await probed(upstreams)
    terminal.line()
    terminal.line(f"  {terminal.styled('base URL', 'dim')}   {terminal.styled(base + '/v1', 'cyan')}")
    for upstream, answer in zip(upstreams, answers, strict=True):
        terminal.line(f"  {terminal.styled('upstream', 'dim')}   {_described(terminal, upstream, answer)}")
    model = next((answer[0] for answer in answers if isinstance(answer, list) and answer), "MODEL")
    terminal.line()
    terminal.line(f'  client = openai.OpenAI(base_url="{base}/v1", api_key="none")')
    terminal.line(f'  print(client.responses.create(model="{model}", input="Hello!").output_text)')
    terminal.line()


async def _probe(upstream: Probed) -> list[str] | AntiphonError:
    try:
        return await upstream.probe()
    except AntiphonError as error:
        return error


def _described(terminal: Terminal, upstream: Probed, answer: list[str] | AntiphonError) -> str:
    where = f"{upstream.name} at {upstream.base_url}: "
    if isinstance(answer, AntiphonError):
        return where + terminal.styled(answer.message, "yellow")
    if not answer:
        return where + "cannot list its models; any name is passed on"
    more = f" and {len(answer) - _SHOWN_MODELS} more" if len(answer) > _SHOWN_MODELS else ""
    return where + ", ".join(answer[:_SHOWN_MODELS]) + more
