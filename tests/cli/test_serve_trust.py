"""``antiphon serve`` and its keys: what a start makes and refuses, and what administrators do while it runs."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from .running import Finished, ended, finished, first_line, running

UPSTREAM = ["--upstream", "http://127.0.0.1:9/v1"]  # nobody there: nothing of this asks a model


async def told(process: asyncio.subprocess.Process) -> list[str]:
    """What a server says when it serves."""
    lines = [await first_line(process)]
    while "client.responses.create" not in lines[-1]:
        lines.append(await first_line(process))
    return lines


async def status_of(url: str, key: str | None = None) -> int:
    """How a GET is answered."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    async with aiohttp.ClientSession() as http, http.get(url, headers=headers) as answer:
        return answer.status


async def until(condition: Callable[[], Awaitable[Any]]) -> None:
    """Wait for what another process brings about."""
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.05)


async def stopped(process: asyncio.subprocess.Process) -> Finished:
    """Ask a server to end, and take its last words."""
    process.send_signal(signal.SIGTERM)
    return await ended(process)


async def test_a_first_start(tmp_path: Path) -> None:
    """It says who is let in, where the new key is and what depends on it; the second start has nothing to tell."""
    async with running("serve", *UPSTREAM, "--port", "0", cwd=tmp_path) as process:
        lines = await told(process)
        first = await stopped(process)
    async with running("serve", *UPSTREAM, "--port", "0", cwd=tmp_path) as process:
        await told(process)
        second = await stopped(process)

    key_file = tmp_path / "antiphon.db.key"
    assert "  callers    everybody on this machine, until the first API key is made (antiphon keys create)" in lines
    assert f"'{key_file}'" in first.out
    assert "Without it nothing in the store can be read" in first.out
    assert key_file.read_text().split()[-1] not in first.out + first.err
    assert (first.code, second.code, "note:" in second.out) == (0, 0, False)


async def test_a_missing_key(tmp_path: Path) -> None:
    """A store whose key is gone is not served: code 2, one message, the key that is needed, and where it was sought."""
    await finished("tenants", "create", "acme", cwd=tmp_path)
    await finished("audit", "verify", "--tenant", "acme", cwd=tmp_path)
    key_file = tmp_path / "antiphon.db.key"
    check, secret = key_file.read_text().split()[-2:]
    key_file.unlink()

    done = await finished("serve", *UPSTREAM, "--port", "0", cwd=tmp_path)

    assert (done.code, done.out) == (2, "")
    assert len(done.err.splitlines()) == 1
    assert check in done.err
    assert str(key_file) in done.err
    assert secret not in done.err
    assert not key_file.exists()


async def test_what_is_in_the_clear_is_sealed_at_the_start(tmp_path: Path) -> None:
    """A store that was kept in the clear is sealed before it is served, and stderr says so."""
    await finished("keys", "create", "--admin", "--key", "none", cwd=tmp_path)

    async with running("serve", *UPSTREAM, "--port", "0", cwd=tmp_path) as process:
        await told(process)
        done = await stopped(process)
    again = await finished("store", "seal", cwd=tmp_path)

    assert done.code == 0
    assert "sealing what is stored: _system: 1 payloads sealed" in done.err
    assert "in the clear" in again.out


async def test_commands_reach_a_running_server(tmp_path: Path) -> None:
    """Keys that are made, suspended and revoked on the command line act in a running server within a moment."""
    async with running("serve", *UPSTREAM, "--port", "0", cwd=tmp_path) as process:
        base = (await told(process))[0].removeprefix("listening on ")
        url = f"{base}/v1/conversations/conv_none"
        keyless = await status_of(url)
        await finished("tenants", "create", "acme", cwd=tmp_path)
        key = (await finished("keys", "create", "--tenant", "acme", cwd=tmp_path)).out.strip()

        async def answers(key: str | None, status: int) -> bool:
            return await status_of(url, key) == status

        await until(lambda: answers(None, 401))
        with_key = await status_of(url, key)
        await finished("tenants", "suspend", "acme", cwd=tmp_path)
        await until(lambda: answers(key, 401))
        await finished("tenants", "resume", "acme", cwd=tmp_path)
        await until(lambda: answers(key, 404))
        await finished("keys", "revoke", key.split("-")[3], cwd=tmp_path)
        await until(lambda: answers(key, 401))
        done = await stopped(process)

    assert (keyless, with_key, done.code) == (404, 404, 0)
    assert key.split("-")[4] not in done.out + done.err


async def test_administrators_have_a_listener_of_their_own(tmp_path: Path) -> None:
    """It is told where, asks for an administrator's key, and has none of the tenants' operations."""
    key = (await finished("keys", "create", "--admin", cwd=tmp_path)).out.strip()

    async with running("serve", *UPSTREAM, "--port", "0", "--admin-port", "0", cwd=tmp_path) as process:
        lines = await told(process)
        (admin,) = (match[1] for match in map(re.compile(r"  admin      (\S+)").match, lines) if match)
        base = lines[0].removeprefix("listening on ")
        found = [
            await status_of(f"{admin}/tenants"),
            await status_of(f"{admin}/tenants", key),
            await status_of(f"{admin.removesuffix('/admin/v1')}/v1/models", key),
            await status_of(f"{base}/admin/v1/tenants", key),
        ]
        done = await stopped(process)

    assert found == [401, 200, 404, 404]
    assert "  callers    need an API key" in lines
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize("extra", [[], ["--admin-port", "0", "--admin-host", "0.0.0.0"]], ids=["gateway", "admin"])  # noqa: S104
async def test_nothing_is_served_to_others_without_keys(tmp_path: Path, extra: list[str]) -> None:
    """Where other machines come there have to be keys first: code 2, and the commands that make them."""
    host = [] if extra else ["--host", "0.0.0.0"]  # noqa: S104 - refused

    done = await finished("serve", *UPSTREAM, "--port", "0", *host, *extra, cwd=tmp_path)

    assert (done.code, done.out) == (2, "")
    assert "antiphon keys create" in done.err
