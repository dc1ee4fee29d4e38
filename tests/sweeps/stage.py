"""Where a sweep happens: a gateway process on a file, a model server that does as planned, and a client."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import apsw

from tests.support.gateway_process import GatewayProcess
from tests.sweeps.client import Client, until
from tests.sweeps.upstream import MarkedUpstream

__all__ = ["Stage"]

# Claims and leases run out soon after a kill; a drain does not wait for a model that is silent.
_CONFIG = """\
background: {lease_ttl_s: 1.0, max_running: 6}
server: {drain_timeout_s: 2}
"""


@dataclass(frozen=True)
class Stage:
    """Use :meth:`set`."""

    gateway: GatewayProcess
    upstream: MarkedUpstream
    client: Client

    @classmethod
    @contextlib.asynccontextmanager
    async def set(cls, store: Path) -> AsyncIterator[Stage]:
        """A stage for as long as the block runs; in the end the gateway has to drain and to have logged no fault."""
        config = store.with_suffix(".yaml")
        config.write_text(_CONFIG)
        async with MarkedUpstream.serve() as upstream:
            gateway = GatewayProcess(store, upstream.url, arguments=("--config", str(config)))
            await gateway.start()
            try:
                async with Client.of(gateway) as client:
                    yield cls(gateway, upstream, client)
                await gateway.stop()
            finally:
                await gateway.kill()

    async def crash(self) -> None:
        """Kill the gateway and start the next one on the same file."""
        await self.gateway.kill()
        await self.gateway.start()

    async def restart(self) -> None:
        """End the gateway in order and start the next one on the same file."""
        await self.gateway.stop()
        await self.gateway.start()

    async def settle(self) -> None:
        """
        Wait until no turn is pending any more.

        Raises:
            AssertionError: Some are left behind, as nobody carries them out.
        """

        async def settled() -> bool | None:
            return None if _left_behind(self.gateway.store) else True

        try:
            await until(settled, "turns are left behind")
        except AssertionError as fault:
            raise AssertionError(f"{fault}: {_left_behind(self.gateway.store)}") from None


def _left_behind(file: Path) -> list[str]:
    """The turns that a SQLite store still has as pending, read beside the gateway."""
    connection = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return [f"{row[0]} is {row[1]}" for row in connection.execute("SELECT response_id, status FROM pending")]
    finally:
        connection.close()
