"""What ``antiphon serve`` says when it serves: where, what, and two lines to paste."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

from antiphon.cli.terminal import Terminal
from antiphon.hub.errors import AntiphonError
from antiphon.settings import Access

__all__ = ["Probed", "probed", "unlisted", "welcome"]

_SHOWN_MODELS = 6
_CALLERS: Mapping[Access, str] = {
    "open": "everybody on this machine",
    "until_first_key": "everybody on this machine, until the first API key is made (antiphon keys create)",
    "credentials": "need an API key",
}
_KEYS: Mapping[Access, str] = {"open": "none", "until_first_key": "none", "credentials": "YOUR_KEY"}


class Probed(Protocol):
    """An upstream as the command line sees it."""

    name: str
    base_url: str

    @property
    def needs_names(self) -> bool:
        """Whether it can only be asked for models that are configured, and none are with it."""
        ...

    @property
    def is_asked(self) -> bool:
        """Whether :meth:`probe` asks it, and so finds out whether it is there."""
        ...

    async def probe(self) -> list[str]:
        """The names of its models, asked for now."""
        ...


async def probed(upstreams: Sequence[Probed]) -> list[list[str] | AntiphonError]:
    """For each upstream its models or why it cannot be asked. All are asked at once."""
    return await asyncio.gather(*(_probe(upstream) for upstream in upstreams))


async def welcome(
    terminal: Terminal,
    base: str,
    upstreams: Sequence[Probed],
    *,
    access: Access = "open",
    notice: str | None = None,
    admin_url: str | None = None,
    has_admin_keys: bool = False,
) -> None:
    """
    Tell what is served, to whom, and how to use it.

    Args:
        notice: What has to be known about the keys that everything is sealed with.
        admin_url: Where administrators are served, if they are.
    """
    answers = await probed(upstreams)
    terminal.line()
    terminal.line(f"  {terminal.styled('base URL', 'dim')}   {terminal.styled(base + '/v1', 'cyan')}")
    for upstream, answer in zip(upstreams, answers, strict=True):
        terminal.line(f"  {terminal.styled('upstream', 'dim')}   {_described(terminal, upstream, answer)}")
    terminal.line(f"  {terminal.styled('callers', 'dim')}    {_CALLERS[access]}")
    if admin_url is not None:
        remedy = "need their key" if has_admin_keys else "need a key first: antiphon keys create --admin"
        terminal.line(f"  {terminal.styled('admin', 'dim')}      {admin_url}/admin/v1  administrators {remedy}")
    model = next((answer[0] for answer in answers if isinstance(answer, list) and answer), "MODEL")
    terminal.line()
    terminal.line(f'  client = openai.OpenAI(base_url="{base}/v1", api_key="{_KEYS[access]}")')
    terminal.line(f'  print(client.responses.create(model="{model}", input="Hello!").output_text)')
    terminal.line()
    if notice is not None:
        terminal.notice(notice)


def unlisted(upstream: Probed) -> str:
    """What is said of an upstream that lists no models."""
    what = "its aliases are served" if upstream.needs_names else "any name is passed on"
    return f"cannot list its models; {what}"


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
        return where + unlisted(upstream)
    more = f" and {len(answer) - _SHOWN_MODELS} more" if len(answer) > _SHOWN_MODELS else ""
    return where + ", ".join(answer[:_SHOWN_MODELS]) + more
