"""
One whole life of a gateway on a store: every kind of turn, what is erased, a tenant's new key, a moved log, the end.

What clients are told goes into a ledger before anything else is done. A step that is refused is left out, and so is
what needs it; the life goes on. It takes the same steps in the same order every time.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import apsw
import orjson

from antiphon import AntiphonError, Gateway, Principal, SQLiteSessionStore
from antiphon.crypto.codec import SealingCodec
from antiphon.crypto.rotation import rotate_tenant
from antiphon.engine.administration_requests import NewApiKey, NewTenant
from antiphon.engine.plan import TurnOptions
from antiphon.formats.responses import ResponsesFormat
from antiphon.hub.ids import TenantId
from antiphon.sessions.keys import KeyedRequest
from antiphon.stores.sqlite import writer
from tests.faults.echo import MODEL, echo_gateway
from tests.faults.ledger import Answered, Asked, Ended, Erased, Ledger, Made, Refused, Said
from tests.faults.vfs import FaultyDisk

__all__ = ["OPERATOR", "TENANTS", "body_of", "key_of", "live", "principal_of"]

T = TypeVar("T")

TENANTS = ("acme", "globex")
OPERATOR = Principal(tenant=TenantId("_system"), actor="cli", scopes=frozenset({"admin"}))


def principal_of(tenant: str) -> Principal:
    """Who asks for a tenant's turns."""
    return Principal(tenant=TenantId(tenant), actor="life")


def body_of(turn: str, **fields: Any) -> dict[str, Any]:
    """The request of a turn: its name is in what it says."""
    return {"model": MODEL, "input": f"this is {turn}", **fields}


def key_of(key: str, body: dict[str, Any]) -> KeyedRequest:
    """An idempotent request."""
    return KeyedRequest(key, "POST /v1/responses", body)


async def live(store: Path, ledger: Ledger, disk: FaultyDisk | None = None) -> None:
    """Live on a store, telling the ledger."""
    writer._LOOK_EVERY_S = 0.0  # a disk that has failed is looked at by the next turn, not by the next second's
    life = _Life(store, ledger)
    await life.run()
    ledger.add(Ended(tuple(disk.points) if disk is not None else ()))


class _Life:
    def __init__(self, store: Path, ledger: Ledger) -> None:
        self._store = SQLiteSessionStore(store, busy_timeout_s=1.0)
        self._ledger = ledger
        self._ids: dict[str, str] = {}

    async def run(self) -> None:
        for part in (self._first_part, self._second_part):
            async with self._gateway() as gateway:
                if gateway is not None:
                    await part(gateway)

    @asynccontextmanager
    async def _gateway(self) -> AsyncIterator[Gateway | None]:
        """A gateway on the store; none if it does not start at the third try."""
        gateway = None
        for _ in range(3):
            gateway = echo_gateway(self._store)
            # apsw raises what the disk did while SQLite closed a file, too; of the system's own disk it does not hear.
            with suppress(AntiphonError, apsw.Error):
                await gateway.startup()
                break
            with suppress(AntiphonError, apsw.Error):
                await gateway.shutdown(0.0)
            gateway = None
        yield gateway
        if gateway is not None:
            with suppress(apsw.Error):
                await gateway.shutdown(5.0)

    async def _first_part(self, gateway: Gateway) -> None:
        await self._found(gateway)
        await self._turn(gateway, "a1")
        await self._turn(gateway, "a2", "a1")
        await self._stream(gateway, "a3", "a2")
        await self._turn(gateway, "a4", "a2")
        await self._turn(gateway, "g1", tenant="globex")
        await self._conversation(gateway, "c")
        for turn in ("c1", "c2"):
            await self._turn(gateway, turn, "c")
        await self._stream(gateway, "b1", "a3", background=True)
        for _ in range(2):
            await self._turn(gateway, "k1", "a4", key="key-1")
        await self._turn(gateway, "k2", "g1", key="key-1", tenant="globex")

    async def _second_part(self, gateway: Gateway) -> None:
        await self._try("checkpoint", self._store.checkpoint())
        for turn, parent in (("d1", None), ("d2", "d1"), ("d3", "d1")):
            await self._turn(gateway, turn, parent)
        await self._erase(gateway, "d1", "d2", "d3")
        assert isinstance(gateway.codec, SealingCodec)
        await self._try("rotation", rotate_tenant(self._store, gateway.codec, TenantId("acme"), pause=_no_pause))
        await self._conversation(gateway, "e")
        await self._turn(gateway, "e1", "e")
        await self._erase(gateway, "e")
        await self._turn(gateway, "c3", "c")
        await self._stream(gateway, "b2", "b1", background=True)
        await self._turn(gateway, "a5", "b2")

    async def _found(self, gateway: Gateway) -> None:
        assert gateway.administration is not None
        for tenant in TENANTS:
            await self._try(f"tenant {tenant}", gateway.administration.create_tenant(NewTenant(id=tenant), OPERATOR))
            await self._try(f"key of {tenant}", gateway.administration.create_key(tenant, NewApiKey(), OPERATOR))

    async def _turn(
        self, gateway: Gateway, turn: str, parent: str | None = None, *, key: str | None = None, tenant: str = "acme"
    ) -> None:
        if (body := self._body(turn, parent, key=key, tenant=tenant)) is None:
            return
        options = TurnOptions(key=key_of(key, body)) if key else None
        response = await self._try(turn, gateway.respond(body, principal_of(tenant), options=options))
        if response is not None:
            self._answered(turn, dict(response))

    async def _stream(
        self, gateway: Gateway, turn: str, parent: str | None = None, *, background: bool = False
    ) -> None:
        if (body := self._body(turn, parent, background=background)) is not None:
            response = await self._try(turn, self._listen(gateway, turn, body))
            if response is not None:
                self._answered(turn, response)

    async def _listen(self, gateway: Gateway, turn: str, body: dict[str, Any]) -> dict[str, Any] | None:
        encoder = gateway.format.stream_encoder(obfuscate=False)
        response: dict[str, Any] = {}
        async for event in gateway.stream(body, principal_of("acme")):
            [line] = encoder.encode_each([event])
            response = orjson.loads(line).get("response", response)
            self._ledger.add(Said(turn, response["id"], line.decode()))
        return response if response.get("status") == "completed" else None

    async def _conversation(self, gateway: Gateway, name: str) -> None:
        item = {"type": "message", "role": "user", "content": f"this is {name}"}
        draft = ResponsesFormat().decode_conversation({"items": [item], "metadata": {"name": name}})
        body = await self._try(name, gateway.create_conversation(draft, principal_of("acme")))
        if body is not None:
            self._ids[name] = body["id"]
            self._ledger.add(Made("acme", name, dict(body)))

    async def _erase(self, gateway: Gateway, *names: str) -> None:
        """Erase the first of these, with all that stands on it: the others."""
        if not names[0].isalpha():
            erasing = gateway.delete(self._ids.get(names[0], "resp_none"), principal_of("acme"), cascade=True)
        else:
            erasing = gateway.delete_conversation(self._ids.get(names[0], "conv_none"), principal_of("acme"))
        self._ledger.add(Erased(names, done=False))
        if await self._try(f"erasing {names[0]}", erasing) is not None:
            self._ledger.add(Erased(names, done=True))

    def _body(
        self, turn: str, parent: str | None, *, key: str | None = None, tenant: str = "acme", background: bool = False
    ) -> dict[str, Any] | None:
        """The request; None if there is nothing that the turn could continue."""
        if parent is not None and parent not in self._ids:
            return None
        fields: dict[str, Any] = {"background": True} if background else {}
        is_conversation = parent is not None and parent.isalpha()
        if parent is not None:
            fields["conversation" if is_conversation else "previous_response_id"] = self._ids[parent]
        conversation = self._ids[parent] if parent is not None and is_conversation else None
        self._ledger.add(Asked(tenant, turn, parent, conversation, key, background))
        return body_of(turn, **fields)

    def _answered(self, turn: str, response: dict[str, Any]) -> None:
        self._ids[turn] = response["id"]
        self._ledger.add(Answered(turn, response))

    async def _try(self, what: str, doing: Awaitable[T]) -> T | None:
        try:
            return await doing
        except AntiphonError as error:
            self._ledger.add(Refused(what, type(error).__name__, error.message))
            return None


async def _no_pause(_: float) -> None:
    return None


def main() -> None:
    """``python -m tests.faults.life FOLDER``: one life in a folder, on the system's own disk."""
    folder = Path(sys.argv[1])
    ledger = Ledger(folder / "ledger")
    asyncio.run(live(folder / "antiphon.db", ledger))
    ledger.close()


if __name__ == "__main__":
    main()
