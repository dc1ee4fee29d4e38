"""
``python -m tests.crypto.kills --count 50``: rotation killed with SIGKILL at moments of chance, again and again.

A process writes and reads, another changes the tenant's key over and over and is killed. Whatever was written is read
afterwards, the last rotation is brought to its end, and nothing is left under an earlier key.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import secrets
import signal
import sys
import tempfile
import time
from pathlib import Path

from antiphon.crypto.envelope import HEADER_BYTES, header_of
from antiphon.crypto.resealing import TABLES
from antiphon.crypto.rotation import rotate_tenant
from antiphon.crypto.services import KeyFile
from antiphon.crypto.verification import verify
from antiphon.sessions.store import TenantStore
from antiphon.stores.sqlite import SQLiteSessionStore
from tests.crypto.stage import ACME, QUICK, Writer, rows, sealing

__all__ = ["headers_of", "sweep"]

_LONGEST_LIFE_S = 0.8


async def headers_of(vault: TenantStore) -> set[bytes]:
    """What the payloads of all tables begin with."""
    found = [row.payload for table in TABLES for row in await rows(vault, table)]
    return {payload[:HEADER_BYTES] for payload in found if payload}


async def sweep(folder: Path, *, count: int, seed: int) -> list[str]:
    """Kill *count* rotations of a store in *folder*. Returns what was found wrong."""
    rng = random.Random(seed)  # noqa: S311 - chooses when, hides nothing
    path = folder / "s.db"
    store = SQLiteSessionStore(path)
    await store.open()
    service = KeyFile(folder / "k")
    codec = sealing(store, service, lifetimes=QUICK)
    await codec.open()
    writer = Writer(store, codec)
    await writer.everything("some words")
    said = {await writer.turn(str(number)): str(number) for number in range(40)}
    problems: list[str] = []
    for number in range(count):
        await _rotate_and_kill(folder, writer, said, rng.random() * _LONGEST_LIFE_S)
        wrong = [turn for turn, words in said.items() if await writer.read(turn) != words]
        problems += [f"kill {number}: {turn} says something else" for turn in wrong]
        problems += [f"kill {number}: {line}" for line in await verify(store, codec)]
    await rotate_tenant(store, codec, ACME)
    (key,) = await writer.vault.read_keys()
    if await headers_of(writer.vault) != {header_of(key.version)}:
        problems.append("something is left under an earlier key")
    problems += await verify(store, sealing(store, service)) + await store.check()
    await store.close()
    return problems


async def _rotate_and_kill(folder: Path, writer: Writer, said: dict[str, str], life_s: float) -> None:
    """A rotating process lives for so long, once it has begun; all the while turns are written here."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.crypto.kills", "--rotate", str(folder), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"rotating\n"
    dies_at = time.monotonic() + life_s
    while time.monotonic() < dies_at:
        words = str(len(said))
        said[await writer.turn(words, min(said))] = words
        await asyncio.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert await process.wait() == -signal.SIGKILL


async def _rotate_for_ever(folder: Path) -> None:
    store = SQLiteSessionStore(folder / "s.db")
    await store.open()
    codec = sealing(store, KeyFile(folder / "k"), lifetimes=QUICK)
    await codec.open()
    print("rotating", flush=True)
    while os.getppid() != 1:  # until killed, or left alone
        await rotate_tenant(store, codec, ACME)
    await store.close()


def main() -> int:
    """Run a sweep in a temporary folder. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.crypto.kills", description=__doc__)
    parser.add_argument("--count", type=int, default=50, help="how many kills")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000), help="repeats the moments")
    parser.add_argument("--rotate", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rotate is not None:
        asyncio.run(_rotate_for_ever(options.rotate))
        return 0
    with tempfile.TemporaryDirectory(prefix="antiphon-rotation-") as folder:
        problems = asyncio.run(sweep(Path(folder), count=options.count, seed=options.seed))
    for problem in problems:
        print(f"VIOLATION {problem}", file=sys.stderr)
    print(f"seed {options.seed}: {options.count} kills, {len(problems)} violations")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
