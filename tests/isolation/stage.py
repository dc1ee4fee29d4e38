"""Two tenants in one sealed SQLite file behind one gateway: what each of them has, and how both are asked."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import orjson

from antiphon import Gateway, KeyFile, SQLiteSessionStore, upstream
from antiphon.engine.administration import COMMAND_LINE
from antiphon.engine.administration_requests import NewApiKey, NewTenant
from antiphon.engine.turn import TurnPolicy
from antiphon.engine.webhooks import Receiver, WebhookPolicy
from antiphon.hub.api_key import mint
from antiphon.hub.errors import AntiphonError
from antiphon.hub.items import JsonObject
from antiphon.hub.principal import TENANT_SCOPES
from antiphon.server.admin import AdminEdge
from antiphon.server.asgi import Edge
from antiphon.sessions.store import SessionStore
from antiphon.telemetry import Log
from antiphon.transport.post import HttpPost
from tests.isolation.document import Operation, least_body, operations_of
from tests.support.asgi_client import Answer, ask
from tests.support.scripted_upstream import MODEL, ScriptedUpstream, Wait, chunk, delta, http_stream_head

__all__ = ["MARK", "Stage", "Tenant", "bearer", "populated"]

# In everything that the second tenant has written: no answer to the first one may say it.
MARK = "belongs-to-b"

_WITHIN_S = 20.0
_PEOPLE = 8
_EVENTS_SO_FAR = 6  # queued, created, in progress, an item, its part, a word

Headers = Sequence[tuple[bytes, bytes]]


@dataclass
class Tenant:
    """
    A tenant, and what it has.

    Attributes:
        live, gone: Ids by what they name: of what is there, and of what was deleted.
    """

    name: str
    key: str
    live: dict[str, list[str]] = field(default_factory=dict)
    gone: dict[str, list[str]] = field(default_factory=dict)

    @property
    def ids(self) -> frozenset[str]:
        """Every id that only this tenant can know."""
        named = (*self.live.items(), *self.gone.items())
        return frozenset(value for kind, values in named if kind not in ("tenant", "word") for value in values)


class Stage:
    """
    Use :meth:`open`.

    Attributes:
        a: Asks.
        b: Is to be left alone.
        bad: Credentials by what is wrong with them.
    """

    def __init__(self, gateway: Gateway, scripted: ScriptedUpstream, path: Path) -> None:
        self.gateway = gateway
        self.upstream = scripted
        self.path = path
        self.edge: Edge = gateway.asgi(authenticator=gateway.api_keys())
        self.admin: AdminEdge = gateway.admin_asgi()
        self.bad: dict[str, str | None] = {}
        self.admin_key = ""
        self.bad_admin: dict[str, str | None] = {}
        self.operations: list[Operation] = []
        self.admin_operations: list[Operation] = []
        self._narrow: dict[str, str] = {}

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls, folder: Path, *, around: Callable[[SessionStore], SessionStore] = lambda store: store
    ) -> AsyncIterator[Stage]:
        """
        A gateway with both tenants, for as long as the block runs.

        Args:
            around: What is put around the store: for plants.
        """
        async with ScriptedUpstream.serve() as scripted:
            receiver = Receiver(url=scripted.url + "/hook", secret=bytes(range(32)))
            gateway = Gateway(
                [upstream(scripted.url, name="scripted")],
                store=around(SQLiteSessionStore(folder / "antiphon.db")),
                # Whoever holds something renews it by writing: not while a test looks for changes.
                policy=TurnPolicy(lease_ttl_s=36000.0),
                webhooks=WebhookPolicy(receivers=(receiver,), post=HttpPost()),
                log=Log("error"),
                sealing=KeyFile(folder / "antiphon.db.key"),
            )
            async with gateway:
                stage = cls(gateway, scripted, folder / "antiphon.db")
                await stage._prepare()
                yield stage
                await stage._release()

    async def _prepare(self) -> None:
        self.operations = operations_of((await ask(self.edge, "GET", "/openapi.json")).json)
        self.admin_operations = operations_of((await ask(self.admin, "GET", "/openapi.json")).json)
        self.a, self.b = await self._tenant("tenant-a"), await self._tenant("tenant-b")
        administration = self._administration
        self.bad = {
            "expired": await self._key("tenant-a", expires_days=1e-7),
            "revoked": await self._key("tenant-a"),
            "unknown": mint("live").text,
            "altered": _altered(self.a.key),
            "of an administrator": (
                await administration.create_admin_key(NewApiKey(name="other"), COMMAND_LINE)
            ).key.text,
            "none": None,
        }
        await administration.revoke_key(_key_id(self.bad["revoked"]), COMMAND_LINE)
        await self._prepare_administrators()

    async def _prepare_administrators(self) -> None:
        administration = self._administration
        self.admin_key, expired, revoked = [
            (await administration.create_admin_key(new, COMMAND_LINE)).key.text
            for new in (NewApiKey(name="ops"), NewApiKey(expires_days=1e-7), NewApiKey(name="revoked"))
        ]
        await administration.revoke_key(_key_id(revoked), COMMAND_LINE)
        self.bad_admin = {
            "expired": expired,
            "revoked": revoked,
            "unknown": mint("admin").text,
            "altered": _altered(self.admin_key),
            "of a tenant": self.a.key,
            "none": None,
        }

    @property
    def _administration(self) -> Any:
        assert self.gateway.administration is not None
        return self.gateway.administration

    async def _tenant(self, name: str) -> Tenant:
        await self._administration.create_tenant(NewTenant(id=name), COMMAND_LINE)
        return Tenant(name, await self._key(name))

    async def _key(self, tenant: str, **about: Any) -> str:
        minted = await self._administration.create_key(tenant, NewApiKey(**about), COMMAND_LINE)
        text: str = minted.key.text
        return text

    async def key_without(self, scope: str) -> str:
        """A key of the first tenant that may do everything but this."""
        if scope not in self._narrow:
            others = tuple(sorted(each for each in TENANT_SCOPES if each != scope))
            self._narrow[scope] = await self._key("tenant-a", scopes=others)
        return self._narrow[scope]

    async def export_of(self, tenant: str) -> list[JsonObject]:
        """Everything that a tenant has stored."""
        return [line async for line in self._administration.export(tenant, COMMAND_LINE)]

    async def settle(self) -> None:
        """Write what waits to be written."""
        await self.gateway.trail.flush()

    async def done(self, tenant: Tenant, method: str, target: str, body: object = None, **headers: str) -> Any:
        """The JSON of an answer that has to be a success."""
        answer = await self.ask(method, target, body, key=tenant.key, headers=headers)
        assert answer.status == 200, (method, target, answer.status, answer.body)
        return answer.json

    async def ask(
        self,
        method: str,
        target: str,
        body: object = None,
        *,
        key: str | None,
        headers: Mapping[str, str] | None = None,
        admin: bool = False,
    ) -> Answer:
        """An answer. A body of bytes is JSON Lines."""
        media_type = b"application/jsonl" if isinstance(body, bytes) else b"application/json"
        data = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        sent = [(b"content-type", media_type), (b"content-length", b"%d" % len(data))]
        sent += [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
        edge = self.admin if admin else self.edge
        return await ask(edge, method, target, headers=[*sent, *bearer(key)], chunks=[data])

    async def converse(self, frame: object, *, key: str | None) -> list[Any]:
        """What a WebSocket says to one frame, up to the end of its turn; of one that is turned away, how."""
        inbox: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
        said: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
        scope = {"type": "websocket", "path": "/v1/responses", "headers": [(b"host", b"localhost"), *bearer(key)]}
        inbox.put_nowait({"type": "websocket.connect"})
        inbox.put_nowait({"type": "websocket.receive", "text": orjson.dumps(frame).decode()})

        async def send(message: Mapping[str, Any]) -> None:
            said.put_nowait(message)

        serving = asyncio.ensure_future(self.edge(scope, inbox.get, send))
        frames: list[Any] = []
        try:
            async with asyncio.timeout(_WITHIN_S):
                while not frames or not _is_end(frames[-1]):
                    frames.append(_frame(await said.get()))
        finally:
            inbox.put_nowait({"type": "websocket.disconnect", "code": 1000})
            await serving
        return frames

    # What never ends by itself.

    async def begin_endless(self, tenant: Tenant, **body: object) -> str:
        """Begin a background turn that goes on until the stage ends. Returns its id."""
        wait = Wait(asyncio.Event())
        self.upstream.then(http_stream_head(), chunk(delta(content=f"{MARK} begins")), wait)
        asked = {"model": MODEL, "input": MARK, "background": True, "stream": False, **body}
        begun = await self.done(tenant, "POST", "/v1/responses", asked)
        await asyncio.wait_for(wait.reached.wait(), _WITHIN_S)
        running: str = begun["id"]
        await self._has_stored_events(running)
        return running

    async def _has_stored_events(self, response_id: str) -> None:
        """Wait until all that a turn said has been stored, so that it changes nothing any more."""
        connection = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READWRITE)
        count = "SELECT coalesce(max(next_event), 0) FROM pending WHERE response_id = ?"
        async with asyncio.timeout(_WITHIN_S):
            while connection.execute(count, (response_id,)).get < _EVENTS_SO_FAR:
                await asyncio.sleep(0.005)
        connection.close()

    async def until(self, tenant: Tenant, response_id: str, status: str) -> None:
        """Wait for a response to have a status."""
        async with asyncio.timeout(_WITHIN_S):
            while (await self.done(tenant, "GET", f"/v1/responses/{response_id}"))["status"] != status:
                await asyncio.sleep(0.005)

    async def _release(self) -> None:
        for running in self.b.live.get("running response", ()):
            with contextlib.suppress(AntiphonError):
                await self.ask("POST", f"/v1/responses/{running}/cancel", key=self.b.key)


async def populated(stage: Stage, tenant: Tenant, *, people: int = _PEOPLE) -> Tenant:
    """Give a tenant one of everything, and one of everything that it had and deleted."""
    numbers = itertools.count()
    word = f"{MARK}-" if tenant is stage.b else "of-a-"

    async def respond(**body: object) -> Any:
        asked = {"model": MODEL, "input": [{"role": "user", "content": "x"}], "instructions": word, **body}
        return await stage.done(tenant, "POST", "/v1/responses", asked)

    live: dict[str, list[str]] = {"tenant": [tenant.name], "api_key": [_key_id(tenant.key)]}
    live["end_user"] = [f"{word}{number}-{_key_id(tenant.key)}" for number in range(people)]
    responses = [
        await respond(user=person, metadata={"mark": word}, background=number == 0)
        for number, person in enumerate(live["end_user"])
    ]
    await stage.until(tenant, responses[0]["id"], "completed")
    live["response"] = [each["id"] for each in reversed(responses)]
    conversation = await stage.done(
        tenant, "POST", "/v1/conversations",
        {"metadata": {"mark": word}, "items": [{"role": "user", "content": "x"}, {"role": "user", "content": word}]},
    )  # fmt: skip
    within = await respond(conversation=conversation["id"])
    live["conversation"] = [conversation["id"]]
    items = await stage.done(tenant, "GET", f"/v1/conversations/{conversation['id']}/items?order=asc")
    seen = await stage.done(tenant, "GET", f"/v1/responses/{live['response'][0]}/input_items")
    live["item"] = [items["data"][0]["id"], seen["data"][0]["id"], within["output"][0]["id"]]
    prompt = await stage.done(tenant, "POST", "/v1/prompts", {"name": word, "model": MODEL, "instructions": word})
    live["prompt"] = [prompt["id"]]
    asked = {"model": MODEL, "previous_response_id": live["response"][0]}
    compacted = await stage.done(tenant, "POST", "/v1/responses/compact", asked)
    live["sealed"] = [compacted["output"][-1]["encrypted_content"]]
    talk = {"model": MODEL, "store": True, "messages": [{"role": "user", "name": word, "content": word}]}
    completion = await stage.done(tenant, "POST", "/v1/chat/completions", {**talk, "metadata": {"mark": word}})
    live["completion"], live["message"] = [completion["id"]], [f"{completion['id']}-0"]
    live["word"] = [f"call_{word}{next(numbers)}"]
    live["object"], live["actor"] = [live["response"][1]], list(live["api_key"])
    live["delivery"] = await _deliveries(stage, tenant)
    live["idempotency_key"] = await _keyed(stage, tenant, live)
    tenant.live = live
    tenant.gone = await _deleted(stage, tenant, word)
    return tenant


async def _deliveries(stage: Stage, tenant: Tenant) -> list[str]:
    """The ids of the tenant's deliveries, once they were made."""
    async with asyncio.timeout(_WITHIN_S):
        while True:
            listed = (await stage.done(tenant, "GET", "/v1/webhook_deliveries"))["data"]
            if listed and all(each["status"] == "delivered" for each in listed):
                return [each["id"] for each in listed]
            await asyncio.sleep(0.01)


async def _keyed(stage: Stage, tenant: Tenant, live: Mapping[str, Sequence[str]]) -> list[str]:
    """Use an idempotency key for each operation that takes one."""
    keys = []
    for operation in stage.operations:
        if any(parameter["name"] == "idempotency-key" for parameter in operation.parameters):
            keys.append(f"{operation.name}-of-{live['response'][0]}")
            path = target_of(operation, live)
            await stage.done(tenant, operation.method, path, least_body(operation), **{"idempotency-key": keys[-1]})
    return keys


async def _deleted(stage: Stage, tenant: Tenant, word: str) -> dict[str, list[str]]:
    """Make one of everything and delete it."""
    asked = {"model": MODEL, "input": word, "user": f"{word}gone"}
    response = await stage.done(tenant, "POST", "/v1/responses", asked)
    items = [{"role": "user", "content": "x"}]
    conversation = await stage.done(tenant, "POST", "/v1/conversations", {"items": items})
    held = await stage.done(tenant, "GET", f"/v1/conversations/{conversation['id']}/items")
    talk = {"model": MODEL, "store": True, "messages": [{"role": "user", "content": word}]}
    completion = await stage.done(tenant, "POST", "/v1/chat/completions", talk)
    await stage.done(tenant, "DELETE", f"/v1/chat/completions/{completion['id']}")
    prompt = await stage.done(tenant, "POST", "/v1/prompts", {"instructions": word})
    await stage.done(tenant, "DELETE", f"/v1/conversations/{conversation['id']}")
    await stage.done(tenant, "DELETE", f"/v1/prompts/{prompt['id']}")
    await stage.done(tenant, "DELETE", f"/v1/end_users/{asked['user']}")
    return {
        "response": [response["id"]],
        "conversation": [conversation["id"]],
        "item": [held["data"][0]["id"], response["output"][0]["id"]],
        "prompt": [prompt["id"]],
        "completion": [completion["id"]],
        "message": [f"{completion['id']}-0"],
        "end_user": [asked["user"]],
    }


def target_of(operation: Operation, live: Mapping[str, Sequence[str]]) -> str:
    """An operation's path with ids that are there."""
    path = operation.path
    for name in operation.placeholders:
        path = path.replace(f"{{{name}}}", live.get(name.removesuffix("_id"), [MODEL])[0])
    return path


def bearer(key: str | None) -> Headers:
    """The headers that show a key."""
    return [] if key is None else [(b"authorization", b"Bearer " + key.encode())]


def _key_id(key: str | None) -> str:
    assert key is not None
    return key.split("-")[3]


def _altered(key: str) -> str:
    """A well-formed key of the same id with another secret."""
    return mint("admin" if "-admin-" in key else "live", key_id=_key_id(key)).text


def _frame(message: Mapping[str, Any]) -> Any:
    return orjson.loads(message["text"]) if message["type"] == "websocket.send" else dict(message)


def _is_end(frame: Any) -> bool:
    ends = ("response.completed", "response.failed", "response.incomplete", "error", "websocket.close")
    return frame["type"] in ends or frame["type"].startswith("websocket.http.response")
