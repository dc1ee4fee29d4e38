"""
A program of the operator's as a key service: for hardware modules and clouds that have an adapter nowhere else.

It is started for each key, with ``wrap`` or ``unwrap`` as its last argument; never by a shell. It is given base64 on
its standard input and answers base64 on its standard output: of ``wrap`` anything that ``unwrap`` turns back into the
same bytes. In its environment ``ANTIPHON_KEY_TENANT`` and ``ANTIPHON_KEY_VERSION`` say what the key is for, and it may
bind what it answers to them. Which root key it takes is its own affair: it has to know old ones as long as they are in
use.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Literal

from antiphon.crypto.services.service import KeyContext, Wrapped, round_trip
from antiphon.hub.errors import KeysUnavailable

__all__ = ["CommandKeys"]

_REF: Final = "command"
_LARGEST_ANSWER = 64 * 1024


class CommandKeys:
    """
    A key service over a program.

    Args:
        argv: The program and its arguments.
        timeout_s: For one call; then it is killed.
    """

    ref: str = _REF

    def __init__(self, argv: Sequence[str], *, timeout_s: float = 10.0) -> None:
        if not argv:
            raise ValueError("command: needs a program to start.")
        self.place = f"the command '{argv[0]}'"
        self._argv = tuple(argv)
        self._timeout_s = timeout_s

    async def open(self, *, create: bool) -> str | None:
        return None

    async def refs(self) -> tuple[str, ...]:
        return (_REF,)

    async def has(self, ref: str) -> bool:
        return ref == _REF

    async def wrap(self, key: bytes, context: KeyContext) -> Wrapped:
        return Wrapped(_REF, await self._call("wrap", key, context))

    async def unwrap(self, ref: str, blob: bytes, context: KeyContext) -> bytes:
        if ref != _REF:
            raise KeysUnavailable(f"The root key '{ref}' is needed, and {self.place} is not what wrapped with it.")
        return await self._call("unwrap", blob, context)

    async def health(self) -> None:
        await round_trip(self)

    async def _call(self, verb: Literal["wrap", "unwrap"], given: bytes, context: KeyContext) -> bytes:
        try:
            process = await asyncio.create_subprocess_exec(
                *self._argv,
                verb,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={
                    **os.environ,
                    "ANTIPHON_KEY_TENANT": context.tenant,
                    "ANTIPHON_KEY_VERSION": str(context.version),
                },
            )
        except OSError as error:
            raise KeysUnavailable(f"{self.place} cannot be started: {error.strerror}.") from error
        return self._read(verb, process, await self._talk(verb, process, base64.b64encode(given)))

    async def _talk(self, verb: str, process: asyncio.subprocess.Process, given: bytes) -> bytes:
        try:
            async with asyncio.timeout(self._timeout_s):
                answer, _ = await process.communicate(given)
        except TimeoutError:
            raise KeysUnavailable(f"{self.place} did not answer '{verb}' within {self._timeout_s:g} s.") from None
        finally:
            if process.returncode is None:  # it takes too long, or nobody waits for it any more
                with suppress(ProcessLookupError):
                    process.kill()
                await asyncio.shield(process.wait())
        return answer

    def _read(self, verb: str, process: asyncio.subprocess.Process, answer: bytes) -> bytes:
        # What it says on its standard error may hold anything, so it is told by its exit status alone.
        if process.returncode != 0:
            raise KeysUnavailable(f"{self.place} ended '{verb}' with status {process.returncode}.")
        try:
            decoded = base64.b64decode(answer.strip(), validate=True)
        except (binascii.Error, ValueError):
            decoded = b""
        if not decoded or len(answer) > _LARGEST_ANSWER:
            raise KeysUnavailable(f"{self.place} answered '{verb}' with something else than base64.")
        return decoded
