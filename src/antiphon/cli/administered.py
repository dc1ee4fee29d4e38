"""A store opened for an administrator at the command line, beside whatever server uses it."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import msgspec

from antiphon.app import StoreSealing, administration_of, codec_of, key_service, open_store
from antiphon.cli.arguments import Command
from antiphon.cli.errors import ConfigurationError
from antiphon.cli.loading import load_settings
from antiphon.cli.terminal import Terminal
from antiphon.crypto.services import KeyService
from antiphon.engine.administration import Administration
from antiphon.hub.ids import IdFactory
from antiphon.sessions.sessions import Sessions
from antiphon.sessions.store import SessionStore
from antiphon.telemetry import Log

__all__ = ["Administered", "administered", "named_sealing", "named_store", "named_url"]

_SQLITE = "sqlite:///"


class Administered(msgspec.Struct, frozen=True, kw_only=True):
    """What an administrator's command works with."""

    administration: Administration
    sealing: StoreSealing


@asynccontextmanager
async def administered(command: Command, *, create: bool = False) -> AsyncIterator[Administered]:
    """
    The store that a command names, open, with the keys to it.

    Args:
        create: Make the store, and its key file, if there is none yet. What was made is told on stderr.

    Raises:
        ConfigurationError: There is no such store.
        KeysUnavailable: It was sealed with other keys.
    """
    store, log = named_store(command, create=create), Log("warning")
    codec = codec_of(store, named_sealing(command), log=log)
    sessions = Sessions(store, ids=IdFactory(time.time), clock=time.time, codec=codec)
    await sessions.open()
    try:
        if codec.notice is not None:
            Terminal(sys.stderr).notice(codec.notice)
        administration = administration_of(sessions, codec, log=log)
        try:
            yield Administered(administration=administration, sealing=StoreSealing(store, codec))
        finally:
            await administration.close()
    finally:
        await sessions.close()


def named_sealing(command: Command) -> KeyService | Literal["none"] | None:
    """
    The key service that a command names.

    Raises:
        ConfigurationError: It names none that there is.
    """
    try:
        return key_service(load_settings(command))
    except ValueError as error:
        raise ConfigurationError(f"sealing.key: {error}") from error


def named_url(command: Command) -> str:
    """The URL of the store that a command names."""
    return load_settings(command).store


def named_store(command: Command, *, create: bool = False) -> SessionStore:
    """
    The store that a command names, not opened yet.

    Args:
        create: It may be one that is still to be made.

    Raises:
        ConfigurationError: There is no such store.
    """
    url = named_url(command)
    path = Path(url.removeprefix(_SQLITE)).expanduser()
    if not url.startswith(_SQLITE):
        raise ConfigurationError(
            "a store in memory is in the process of its server alone; name one in a file with --store sqlite:///path"
        )
    if not create and not path.is_file():
        # Opening would make an empty store.
        raise ConfigurationError(f"there is no store at {path}; name one with --store sqlite:///path")
    return open_store(url)
