"""
Nothing that people or models say is left readable anywhere, and no secret: a gateway as a process, with canaries in
everything it is told, and then a look into every file that it wrote, its logs, and what others are answered.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
import secrets
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import apsw
import orjson

from antiphon import Gateway, KeyFile, SQLiteSessionStore, upstream
from antiphon.crypto.codec import SealingCodec
from antiphon.engine.administration import SYSTEM
from antiphon.telemetry import Log
from tests.cli.running import finished, first_line, running
from tests.isolation.canaries import STEM, Canaries, model_replies, requests_of, written_by_client
from tests.isolation.document import operations_of
from tests.isolation.scanner import Hit, Scanner
from tests.isolation.stage import Stage, populated, target_of
from tests.server.issuer import AUDIENCE, ISSUER, Issuer
from tests.support.scripted_upstream import (
    MODEL,
    ScriptedUpstream,
    Wait,
    chunk,
    delta,
    http_json,
    http_stream_head,
    whole,
)

_ENOUGH = 200
_TAKEN = 50
_WITHIN_S = 30.0

# What the page about sealing lists as names in the clear. Of what clients and models say, nothing else may be found.
_IN_THE_CLEAR = frozenset({"the model's own name", "an id that was asked for", "an API key's name"})


class Sown:
    """
    A gateway as a process, which is told canaries.

    Attributes:
        secrets: Of all kinds, by name.
        others: What was answered to requests that have nothing to do with any canary.
    """

    def __init__(self, folder: Path, scripted: ScriptedUpstream) -> None:
        self.folder = folder
        self.store = folder / "antiphon.db"
        self.config = folder / "config.json"
        self.upstream = scripted
        self.canaries = Canaries()
        self.secrets: dict[str, str | bytes] = {}
        self.others: list[bytes] = []
        self.log = b""
        self.issuer = Issuer()

    # Before it starts.

    async def prepare(self) -> None:
        """Write the settings, and make tenants and keys."""
        hook, upstream_key = secrets.token_bytes(32), f"sk-{secrets.token_hex(20)}"
        secret_of_hooks = "whsec_" + base64.b64encode(hook).decode()
        self.secrets |= {"upstream key": upstream_key, "webhook secret": hook, "webhook secret's text": secret_of_hooks}
        keys = self.folder / "keys.json"
        keys.write_bytes(orjson.dumps({"keys": self.issuer.keys}))
        jwt = {"issuer": ISSUER, "audience": AUDIENCE, "jwks_file": str(keys), "tenant_from_claim": True,
               "scopes": ["responses:write", "responses:read"]}  # fmt: skip
        self.config.write_text(json.dumps({
            "store": f"sqlite:///{self.store}",
            "upstreams": [{"name": "scripted", "base_url": self.upstream.url, "api_key": upstream_key}],
            "webhooks": [{"url": f"{self.upstream.url}/hook", "secret": secret_of_hooks}],
            "auth": {"mode": "keys", "jwt": jwt},
            "log_level": "debug",
            "server": {"drain_timeout_s": 2},  # one turn is left running on purpose
        }))  # fmt: skip
        for tenant in ("first", "second"):
            await self._made("tenants", "create", tenant)
            self.secrets[f"API key of {tenant}"] = await self._made("keys", "create", "--tenant", tenant)
        self.secrets["admin key"] = await self._made("keys", "create", "--admin")
        for name in [name for name in self.secrets if "key" in name and name != "upstream key"]:
            self.secrets[f"secret part of the {name}"] = str(self.secrets[name]).split("-")[4]
        self.secrets["token"] = self.issuer.token({
            "iss": ISSUER, "aud": AUDIENCE, "sub": "somebody", "tenant": "first", "exp": int(time.time()) + 900,
            "nbf": int(time.time()) - 10,
        })  # fmt: skip

    async def _made(self, *arguments: str) -> str:
        done = await finished(*arguments, "--store", f"sqlite:///{self.store}", cwd=self.folder)
        assert done.code == 0, done.err
        return done.out.strip().splitlines()[-1]

    # While it runs.

    @contextlib.asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        """The process, which writes its log to us, for as long as the block runs."""
        temporary = self.folder / "tmp"
        temporary.mkdir()
        arguments = ("serve", "--config", str(self.config), "--port", "0", "--admin-port", "0")
        env = {"TMPDIR": str(temporary), "SQLITE_TMPDIR": str(temporary)}
        async with running(*arguments, cwd=self.folder, env=env) as process:
            lines = [await first_line(process)]
            while "client.responses.create" not in lines[-1]:
                lines.append(await first_line(process))
            self.base = lines[0].removeprefix("listening on ")
            (self.admin,) = (found[1] for found in map(re.compile(r"  admin      (\S+)").match, lines) if found)
            assert process.stderr is not None
            assert process.stdout is not None
            reading = [asyncio.ensure_future(pipe.read()) for pipe in (process.stderr, process.stdout)]
            async with aiohttp.ClientSession() as self.http:
                yield
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(60):
                self.log = b"\n".join([*(await asyncio.gather(*reading)), "\n".join(lines).encode()])

    @property
    def key(self) -> str:
        """Of the tenant that says everything."""
        return str(self.secrets["API key of first"])

    async def ask(self, method: str, path: str, body: object = None, *, key: str = "", **headers: str) -> bytes:
        """An answer, whatever it is."""
        sent = {"authorization": f"Bearer {key or self.key}", "content-type": "application/json", **headers}
        data = None if body is None else orjson.dumps(body)
        url = path if path.startswith("http") else self.base + path
        async with self.http.request(method, url, data=data, headers=sent) as answer:
            with contextlib.suppress(aiohttp.ClientPayloadError):
                return await answer.read()
            return b""

    async def made(self, method: str, path: str, body: object = None, **headers: str) -> Any:
        """The JSON of an answer."""
        return orjson.loads(await self.ask(method, path, body, **headers))

    async def say_everything(self) -> None:
        """All that a client can say, and all that a model can, in all the ways in which turns are run."""
        await self._every_field()
        await self._every_reply()
        await self._every_head()
        await self._endings()
        await self._nonsense()
        listed = await self.made("GET", "/v1/responses?limit=100&status=completed")
        assert len(listed["data"]) > _TAKEN  # what is refused is stored by nobody, and would prove nothing

    async def _every_field(self) -> None:
        conversation = (await self.made("POST", "/v1/conversations", {}))["id"]
        prompt = (await self.made("POST", "/v1/prompts", {"instructions": "x"}))["id"]
        live = {"conversation": [conversation], "prompt": [prompt], "response": ["resp_none"]}
        for operation in operations_of(await self.made("GET", "/openapi.json")):
            for _, body in requests_of(operation, self.canaries):
                await self.ask(operation.method, target_of(operation, live), body)
        line = {"type": "message", "role": "user", "content": self.canaries.new("an imported line")}
        async with self.http.post(
            f"{self.base}/v1/conversations/import", data=orjson.dumps(line),
            headers={"authorization": f"Bearer {self.key}", "content-type": "application/jsonl"},
        ) as answer:  # fmt: skip
            assert answer.status == 200

    async def _every_reply(self) -> None:
        modes: tuple[dict[str, object], ...] = (
            {}, {"stream": True}, {"background": True}, {"store": False}, {"background": True, "stream": True},
        )  # fmt: skip
        for mode in modes:
            for reply in model_replies(self.canaries).values():
                # A new body each time: what was sown is counted by where it is.
                self.upstream.scripts[:] = [reply]
                body = {**written_by_client(self.canaries), **mode}
                await self._ended(await self.ask("POST", "/v1/responses", body), mode)
        for reply in model_replies(self.canaries).values():
            self.upstream.scripts[:] = [reply]
            await self._socket(written_by_client(self.canaries))
        self.upstream.scripts.clear()

    async def _ended(self, answer: bytes, mode: dict[str, object]) -> None:
        """Wait for the end of a turn in the background."""
        if mode == {"background": True}:
            async with asyncio.timeout(_WITHIN_S):
                response_id = orjson.loads(answer)["id"]
                while (await self.made("GET", f"/v1/responses/{response_id}"))["status"] in ("queued", "in_progress"):
                    await asyncio.sleep(0.01)

    async def _socket(self, body: dict[str, Any]) -> None:
        headers = {"authorization": f"Bearer {self.key}", "user-agent": self.canaries.new("a socket's user agent")}
        frame = {"type": "response.create", "stream_id": self.canaries.new("a stream id"), **body}
        async with self.http.ws_connect(f"{self.base}/v1/responses", headers=headers) as socket:
            await socket.send_json(frame)
            async for message in socket:
                if orjson.loads(message.data)["type"] in _ENDS:
                    break

    async def _every_head(self) -> None:
        new = self.canaries.new
        turn = {"model": MODEL, "input": "x"}
        for name in ("idempotency-key", "user-agent", "cookie", "referer", "x-request-id", "x-anything", "traceparent",
                     "x-antiphon-on-disconnect", "x-antiphon-conversation-wait-ms", "openai-organization"):  # fmt: skip
            await self.ask("POST", "/v1/responses", turn, **{name: new(f"header {name}")})
        await self.ask("GET", "/v1/models", key=new("a wrong key"))
        await self.ask("GET", "/v1/models", key=f"sk-antiphon-live-{new('a long wrong key')}")
        for query in ("metadata[{0}]={0}", "model={0}", "after={0}", "{0}=1", "limit={0}"):
            await self.ask("GET", "/v1/responses?" + query.format(new(f"query {query}")))
        for path in ("/v1/models/{0}", "/{0}", "/v1/end_users/{0}/export"):
            await self.ask("GET", path.format(new(f"path {path}")))
        await self.ask("DELETE", f"/v1/end_users/{new('an end user who is erased')}")
        await self.ask("GET", f"/v1/responses/{new('an id that was asked for')}")
        await self.made("POST", f"{self.admin}/tenants/first/keys", {"name": new("an API key's name")}, key=self._admin)
        await self.ask("POST", "/v1/responses", turn, key=str(self.secrets["token"]))

    async def _endings(self) -> None:
        """Turns that are cancelled, left by their reader, or go on while we look."""
        for then in ("cancelled", "goes on"):
            wait = self._hanging(f"a turn that {then}")
            body = {**written_by_client(self.canaries), "background": True}
            response_id = (await self.made("POST", "/v1/responses", body))["id"]
            await asyncio.wait_for(wait.reached.wait(), _WITHIN_S)
            if then == "cancelled":
                await self.ask("POST", f"/v1/responses/{response_id}/cancel")
        wait = self._hanging("a stream that is left")
        body = {**written_by_client(self.canaries), "stream": True}
        async with self.http.post(
            f"{self.base}/v1/responses", json=body, headers={"authorization": f"Bearer {self.key}"}
        ):
            await asyncio.wait_for(wait.reached.wait(), _WITHIN_S)
        model = self.canaries.new("the model's own name")
        reply = {**whole("x"), "model": model}
        self.upstream.then(http_json(reply))
        await self.ask("POST", "/v1/responses", {"model": MODEL, "input": "x"})

    def _hanging(self, where: str) -> Wait:
        wait = Wait(asyncio.Event())
        begun = delta(role="assistant", content=None) + delta(content=self.canaries.new(where))
        self.upstream.then(http_stream_head(), chunk(begun), wait)
        return wait

    async def _nonsense(self) -> None:
        """Bodies that are none."""
        new = self.canaries.new
        for data in (
            f'{{"model": "{new("half a body")}',
            f'["{new("a list")}"]',
            new("no JSON"),
            f'{{"{new("member")}": 1}}',
        ):
            headers = {"authorization": f"Bearer {self.key}", "content-type": "application/json"}
            async with self.http.post(f"{self.base}/v1/responses", data=data, headers=headers) as answer:
                await answer.read()

    async def ask_others(self) -> None:
        """Take what the other tenant and administrators are told."""
        other = str(self.secrets["API key of second"])
        for path in ("/livez", "/readyz", "/openapi.json", "/docs", "/metrics", "/v1/models", "/v1/responses",
                     "/v1/conversations", "/v1/prompts", "/v1/audit", "/v1/webhook_deliveries"):  # fmt: skip
            self.others.append(await self.ask("GET", path, key=other))
        for path in ("/tenants", "/tenants/first", "/tenants/second", "/audit/verify", "/tenants/first/audit/verify"):
            self.others.append(await self.ask("GET", self.admin + path, key=self._admin))

    @property
    def _admin(self) -> str:
        return str(self.secrets["admin key"])

    async def keys_within(self) -> None:
        """Read the keys that only a process with the root key can: by this test's own, on the same file."""
        key_file = self.store.with_name(self.store.name + ".key")
        self.secrets["root key"] = base64.b64decode(key_file.read_text().split()[-1])
        self.secrets["root key's text"] = key_file.read_text().split()[-1]
        store = SQLiteSessionStore(self.store)
        await store.open()
        try:
            gateway = _reading(store, key_file)
            async with gateway:
                assert gateway._sessions is not None
                self.secrets["pepper"] = await gateway._sessions.for_tenant(SYSTEM).secret()
                assert isinstance(gateway.codec, SealingCodec)
        finally:
            await store.close()


_ENDS = ("response.completed", "response.failed", "response.incomplete", "error")


def _reading(store: SQLiteSessionStore, key_file: Path) -> Any:
    return Gateway([], store=store, sealing=KeyFile(key_file))


async def test_nothing_is_left_readable(tmp_path: Path) -> None:
    """
    Neither what was said nor any secret is in the database, its log, a backup, temporary files, the process's own log
    at level debug, or in what others are answered; but for the short list of names.
    """
    async with ScriptedUpstream.serve() as scripted:
        sown = Sown(tmp_path, scripted)
        await sown.prepare()
        async with sown.served():
            await sown.say_everything()
            await sown.ask_others()
            backup = await finished(
                "store", "backup", str(tmp_path / "copy.db"), "--store", f"sqlite:///{sown.store}", cwd=tmp_path
            )
            assert backup.code == 0, backup.err
            running_hits = _found(sown)
        await sown.keys_within()
        hits = running_hits | _found(sown)
        assert len(sown.canaries.sown) >= _ENOUGH
        assert sown.store.with_name("copy.db").exists()
        unexpected = {hit for hit in hits if sown.canaries.sown.get(hit.text) not in _IN_THE_CLEAR}
        assert not unexpected, "\n".join(
            f"{sown.canaries.sown.get(hit.text, hit.text)}: {hit.form} in {hit.place}"
            for hit in sorted(unexpected, key=str)
        )[:5000]
        # The list is no longer than it has to be.
        assert {sown.canaries.sown.get(hit.text) for hit in hits} == _IN_THE_CLEAR


def _found(sown: Sown) -> set[Hit]:
    scanner = Scanner(STEM, sown.secrets)
    spared = (sown.config, sown.store.with_name(sown.store.name + ".key"))
    hits = scanner.scan_files(sown.folder, but=spared) | scanner.scan("the process's log", sown.log)
    for number, answer in enumerate(sown.others):
        hits |= scanner.scan(f"answer {number} to others", answer)
    return hits


async def test_a_plain_store_is_full_of_canaries(tmp_path: Path) -> None:
    """What the scanner finds nothing of when it is sealed, it finds when it is not."""
    canaries = Canaries()
    async with ScriptedUpstream.serve() as scripted:
        gateway = _plain(scripted, tmp_path)
        async with gateway:
            for reply in model_replies(canaries).values():
                scripted.scripts[:] = [reply]
                with contextlib.suppress(Exception):  # what a model may say is not always an answer
                    await gateway.respond({**written_by_client(canaries), "stream": False})
            hits = Scanner(STEM).scan_files(tmp_path)
    found = {canaries.sown[hit.text] for hit in hits if hit.form == "raw"}
    assert {
        "a turn's instructions", "a turn's metadata key", "a turn's question", "a turn's image", "a turn's tool",
        "a turn's argument", "a turn's output", "a turn's citation", "a model's text", "a model's whole thought",
        "a model's whole call", "a model's no",
    } <= found  # fmt: skip


def _plain(scripted: ScriptedUpstream, folder: Path) -> Any:
    store = SQLiteSessionStore(folder / "plain.db")
    return Gateway([upstream(scripted.url, name="scripted")], store=store, sealing="none", log=Log("error"))


async def test_erased_rows_leave_no_bytes(tmp_path: Path) -> None:
    """After everything was deleted and the log written back, no payload that there was is in the file any more."""
    async with Stage.open(tmp_path) as stage:
        tenant = await populated(stage, stage.a)
        payloads = _payloads(stage.path)
        assert len(payloads) > 30
        assert all(payload in _bytes_of(stage.path) for payload in payloads)
        for kind in ("responses", "conversations", "prompts"):
            while listed := (await stage.done(tenant, "GET", f"/v1/{kind}"))["data"]:
                for each in listed:
                    cascade = "" if kind == "prompts" else "?cascade=true"
                    await stage.ask("DELETE", f"/v1/{kind}/{each['id']}{cascade}", key=tenant.key)
        left = _payloads(stage.path)
        assert len(left) < len(payloads) // 4
        store = stage.gateway.store
        assert isinstance(store, SQLiteSessionStore)
        async with asyncio.timeout(_WITHIN_S):
            while not await store.checkpoint():
                await asyncio.sleep(0.01)
        remains = _bytes_of(stage.path)
        assert not [payload for payload in payloads - left if payload in remains]


def _payloads(path: Path) -> set[bytes]:
    """The beginning of every sealed payload: version, key, nonce and some ciphertext, which nothing else has."""
    connection = apsw.Connection(str(path))
    found: set[bytes] = set()
    for table, column in (("items", "payload"), ("responses", "payload"), ("responses", "trace"),
                          ("conversations", "payload"), ("prompts", "payload"), ("deliveries", "payload"),
                          ("idempotency", "answer")):  # fmt: skip
        read = f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL"  # noqa: S608 - names of this list
        found |= {row[0][:33] for row in connection.execute(read) if row[0]}
    connection.close()
    return found


def _bytes_of(path: Path) -> bytes:
    return b"".join(each.read_bytes() for each in path.parent.glob(path.name + "*"))
