"""Every operation, every role: nobody does what he may not, wherever his key stands and however he writes the path."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from antiphon.hub.api_key import mint
from antiphon.hub.principal import TENANT_SCOPES, Principal
from antiphon.server.auth import ApiKeys
from antiphon.server.dispatch import Dispatcher
from antiphon.server.exchange import Exchange
from antiphon.server.guard import Guard
from antiphon.server.routes import PUBLIC, Route, RouteTable
from antiphon.telemetry import Log
from tests.server.keyring import Keyring
from tests.support.asgi_client import Answer, Application, ask
from tests.support.ready_upstream import ready_gateway

ROUTES = {route.name: route for route in ready_gateway(None)[0].asgi().routes.routes}
GUARDED = [name for name, route in ROUTES.items() if route.scope != PUBLIC]
SCOPES = sorted(TENANT_SCOPES)

Headers = list[tuple[bytes, bytes]]


class Stage:
    """A gateway with keys."""

    def __init__(self) -> None:
        self.ring = Keyring()
        self.gateway, _ = ready_gateway(self.ring.store)
        self.app = self.gateway.asgi(authenticator=self.ring.keys())

    async def ask(self, name: str, headers: Headers | None = None, method: str | None = None) -> Answer:
        """Ask for an operation, with ids of nothing and an empty body."""
        route = ROUTES[name]
        chunks = [b"{}" if route.body_media_type == "application/json" else b""]
        sent = [(b"content-type", route.body_media_type.encode()), *(headers or [])]
        return await ask(self.app, method or route.method, _path(route), headers=sent, chunks=chunks)

    async def with_scopes(self, *scopes: str) -> Headers:
        return _bearer((await self.ring.make(scopes=scopes)).text)


def _path(route: Route) -> str:
    return re.sub(r"\{[a-z_]+\}", "nothing", route.path)


def _bearer(text: str) -> Headers:
    return [(b"authorization", b"Bearer " + text.encode("latin-1"))]


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    await stage.gateway.startup()
    yield stage
    await stage.gateway.shutdown()


# What is public.


def test_little_is_public() -> None:
    """Health and documentation, and nothing else."""
    assert {name for name, route in ROUTES.items() if route.scope == PUBLIC} == {"live", "ready", "openapi", "docs"}


@pytest.mark.parametrize("name", [name for name, route in ROUTES.items() if route.scope == PUBLIC])
async def test_what_is_public_needs_no_key(stage: Stage, name: str) -> None:
    """Whoever looks whether we live has none; and a wrong one makes no difference."""
    for headers in ([], _bearer("wrong")):
        assert (await stage.ask(name, headers)).status == 200


# Scopes.


@pytest.mark.parametrize("name", GUARDED)
async def test_an_operation_needs_its_scope_and_no_other(stage: Stage, name: str) -> None:
    """With its scope alone one comes in; with every other one, and with none, one is told which it needs."""
    needed = ROUTES[name].scope
    admitted = await stage.ask(name, await stage.with_scopes(needed))
    assert admitted.status not in (401, 403), admitted.body
    others: list[list[str]] = [[scope for scope in SCOPES if scope != needed], [], ["admin"]]
    for scopes in others:
        refused = await stage.ask(name, await stage.with_scopes(*scopes))
        assert refused.status == 403
        told = _error(name, refused)
        assert told["message"].endswith(f"Missing scopes: {needed}.")
        assert told.get("code", told["type"]) in ("insufficient_permissions", "permission_error")


@pytest.mark.parametrize("scope", SCOPES)
async def test_a_scope_opens_its_operations_and_no_others(stage: Stage, scope: str) -> None:
    """Each role, of one scope, over the whole table."""
    headers = await stage.with_scopes(scope)
    opened = {name for name in GUARDED if (await stage.ask(name, headers)).status != 403}
    assert opened == {name for name in GUARDED if ROUTES[name].scope == scope}


@pytest.mark.parametrize(
    ("name", "also"), [("deleteResponse", "conversations:delete"), ("deleteConversation", "responses:delete")]
)
async def test_a_cascade_needs_the_scopes_of_all_that_goes(stage: Stage, name: str, also: str) -> None:
    """Who may delete responses does not delete conversations by them, nor the other way round."""
    route = ROUTES[name]
    path = _path(route) + "?cascade=true"
    refused = await ask(stage.app, "DELETE", path, headers=await stage.with_scopes(route.scope))
    assert (refused.status, refused.error["message"].endswith(f"Missing scopes: {also}.")) == (403, True)
    admitted = await ask(stage.app, "DELETE", path, headers=await stage.with_scopes(route.scope, also))
    assert admitted.status == 404


async def test_a_refusal_is_in_the_audit_trail(stage: Stage) -> None:
    """Who tried what, with which outcome."""
    key = await stage.ring.make(scopes=("audit:read",))
    await stage.ask("createPrompt", _bearer(key.text))
    page = (await stage.ask("listAuditEntries", _bearer(key.text))).json
    refused = [entry for entry in page["data"] if entry["action"] == "access.refused"]
    assert [(entry["actor"], entry["object_id"], entry["outcome"]) for entry in refused] == [
        (key.key_id, "createPrompt", "insufficient_permissions")
    ]


def _is_messages(name: str) -> bool:
    return ROUTES[name].path.startswith("/v1/messages")


def _error(name: str, answer: Answer) -> dict[str, Any]:
    """What an operation's error says, in OpenAI's envelope or in that of Messages."""
    error: dict[str, Any] = answer.json["error"] if _is_messages(name) else answer.error
    return error


# Without a key.


async def test_without_a_key_no_operation_is_reached(stage: Stage) -> None:
    """OpenAI's words and the header that the standard wants, for every one of them; HEAD is no way around."""
    for name in GUARDED:
        answer = await stage.ask(name)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        told = _error(name, answer)
        assert told["message"] == (
            "You didn't provide an API key. You need to provide your API key in an Authorization header "
            "using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
        )
        rest = {field: value for field, value in told.items() if field != "message"}
        in_openais_form = {"type": "invalid_request_error", "param": None, "code": None}
        assert rest == ({"type": "authentication_error"} if _is_messages(name) else in_openais_form)
        if ROUTES[name].method == "GET":
            assert (await stage.ask(name, method="HEAD")).status == 401


async def test_wrong_keys_have_the_same_answer_to_the_byte(stage: Stage) -> None:
    """A key that there is not, one that is revoked, and one whose tenant is suspended: byte for byte the same."""
    answers = set()
    for number in range(4):
        key = await stage.ring.make("acme" if number < 3 else "sleeping")
        if number == 1:
            await stage.ring.change(key, revoked_at=1)
        if number == 2:
            await stage.ring.change(key, expires_at=1)
        text = mint("live").text if number == 0 else key.text
        await stage.ring.put_tenant("sleeping", state="suspended")
        answer = await stage.ask("listModels", _bearer(text))
        body = answer.body.replace(text[17:20].encode(), b"abc").replace(text[-4:].encode(), b"wxyz")
        headers = {k: v for k, v in answer.headers.items() if k not in ("x-request-id", "openai-processing-ms")}
        answers.add((answer.status, body, tuple(sorted(headers.items()))))
    assert len(answers) == 1
    ((status, body, _),) = answers
    assert (status, b"Incorrect API key provided: sk-antiphon-live-abc***wxyz." in body) == (401, True)


async def test_a_key_counts_in_a_header_only(stage: Stage) -> None:
    """In the query, in a cookie, or in headers that others know, it is none."""
    text = (await stage.ring.make()).text.encode()
    places: list[Headers] = [
        [(b"cookie", b"authorization=Bearer " + text + b"; api_key=" + text)],
        [(b"api-key", text)],
        [(b"x-goog-api-key", text)],
        [(b"proxy-authorization", b"Bearer " + text)],
        [(b"x-authorization", b"Bearer " + text)],
        [(b"authorization", b"Basic " + text)],
        [(b"authorization", text)],
        [(b"sec-websocket-protocol", b"openai-insecure-api-key." + text)],
    ]
    for headers in places:
        assert (await stage.ask("listModels", headers)).status == 401
    for query in (b"api_key=", b"key=", b"access_token=", b"authorization=Bearer%20"):
        assert (await ask(stage.app, "GET", f"/v1/models?{(query + text).decode()}")).status == 401
    assert (await stage.ask("listModels", [(b"x-api-key", text)])).status == 200
    for name in (b"authorization", b"x-api-key"):
        both = [*_bearer(text.decode()), (name, b"Bearer " + text)]
        assert (await stage.ask("listModels", both)).status == 400


async def test_a_preflight_needs_no_key(stage: Stage) -> None:
    """A browser asks without one whether it may send one."""
    app = stage.gateway.asgi(authenticator=stage.ring.keys(), guard=Guard(cors_origins=["https://app.example"]))
    asked = [
        (b"origin", b"https://app.example"),
        (b"access-control-request-method", b"POST"),
        (b"access-control-request-headers", b"authorization,content-type"),
    ]
    answer = await ask(app, "OPTIONS", "/v1/responses", headers=asked)
    assert answer.status == 200
    assert "authorization" in answer.headers["access-control-allow-headers"]
    refused = await ask(app, "POST", "/v1/responses", headers=asked[:1], chunks=[b"{}"])
    assert (refused.status, refused.headers["access-control-allow-origin"]) == (401, "https://app.example")


async def test_a_program_that_mounts_us_need_not_start_us() -> None:
    """Without a lifespan the first request opens the store that knows its key."""
    ring = Keyring()
    gateway, _ = ready_gateway(ring.store)
    app = gateway.asgi()
    assert (await ask(app, "GET", "/v1/models")).status == 200
    await gateway.shutdown()


# HEAD.


async def test_head_is_get_without_a_body(stage: Stage) -> None:
    """Status and headers are those of GET, its length too, and no byte follows."""
    headers = await stage.with_scopes("models:read", "responses:read")
    for name in ("listModels", "getResponse", "listResponses", "live", "openapi"):
        got, head = await stage.ask(name, headers), await stage.ask(name, headers, method="HEAD")
        assert (head.status, head.body) == (got.status, b"")
        assert head.headers["content-length"] == got.headers["content-length"]
    assert (await stage.ask("createResponse", await stage.with_scopes("responses:read"), method="HEAD")).status == 200
    assert (await stage.ask("compactContext", headers, method="HEAD")).status == 404


# Hosts, paths and credentials.


HOSTS = [
    b"localhost", b"127.0.0.1", b"[::1]", b"localhost:8080", b"LOCALHOST", b"gateway.example", b"gateway.example:443",
    b"", b"evil.example", b"localhost.", b"localhost.evil.example", b"evil.example/localhost", b"localhost/livez",
    b"localhost/livez?", b"localhost/openapi.json#", b"localhost?x=/livez", b"localhost#/livez", b"localhost\\livez",
    b"user@localhost", b"localhost@evil.example", b"localhost,evil.example", b"localhost evil.example", b"/livez",
    b"http://localhost", b"http://localhost/livez", b"[::1]/livez", b"127.1", b"0x7f000001", b"localhost\x00",
    b"\xff\xfe", b"localhost:8080/livez", b"a" * 5000,
]  # fmt: skip

# What somebody writes who wants one parser to see another path than the other does; {} is the path.
PATHS = [
    "{}", "/{}", "{}/", "{}//", "/.{}", "/livez/..{}", "/livez/../..{}", "/livez/%2e%2e{}", "/docs/..;{}", "{};/livez",
    "{}?/livez", "{}#/livez", "{}%23", "{}%3F/livez", "{}%00", "{}%2F", "/%2e{}", "{}/%2e", "{}/../livez", "/livez{}",
    "http://localhost{}", "//evil.example{}", "{}%0d%0a", "{} /livez", "\\{}", "{}\\..\\livez", "/openapi.json{}",
    "{}.json", "{}/livez", "%2f{}",
]  # fmt: skip


class Recording:
    """The whole table, with handlers that note who came to them."""

    def __init__(self, keys: ApiKeys) -> None:
        self.reached: list[tuple[str, Principal]] = []
        routes = [replace(route, handler=self._handler(route.name)) for route in ROUTES.values()]
        self.app: Application = Dispatcher(
            RouteTable(routes),
            authenticator=keys,
            guard=Guard(allowed_hosts=["gateway.example"]),
            new_request_id=lambda: "req_1",
            log=Log("error"),
        )

    def _handler(self, name: str) -> Any:
        async def handle(exchange: Exchange) -> None:
            self.reached.append((name, exchange.principal))
            await exchange.answer({})

        return handle


async def _credentials(ring: Keyring) -> list[Headers]:
    """All but the last let nobody in."""
    good = await ring.make()
    revoked = await ring.make()
    await ring.change(revoked, revoked_at=1)
    text = good.text.encode()
    return [
        [],
        _bearer("wrong"),
        _bearer(revoked.text),
        [(b"cookie", b"authorization=Bearer " + text)],
        [(b"authorization", b"Basic " + text)],
        [*_bearer(good.text), (b"x-api-key", text)],
        _bearer(good.text),
    ]


def _written(path: str) -> Iterator[str]:
    yield from (each.replace("{}", path) for each in PATHS)
    yield path.upper()
    yield "".join(f"%{ord(char):02x}" if char.isalpha() else char for char in path)


async def test_no_host_path_or_credential_leads_around_the_key() -> None:
    """
    Whatever Host, encoding of the path and credential come together, an operation that needs a key is reached by the
    one good credential alone, as that key's principal; and everybody else is told no.
    """
    ring = Keyring()
    key_ids: set[str] = set()
    stage = Recording(ring.keys())
    credentials = await _credentials(ring)
    key_ids = {record.key_id for record in await ring.store.list_api_keys() if record.revoked_at is None}
    routes = [ROUTES[name] for name in GUARDED]
    asked = 0
    for number, host in enumerate(HOSTS):
        for headers in credentials:
            # A few of the operations for each host, all of them in turn; each with every encoding.
            for route in _some(routes, number):
                for path in _written(_path(route)):
                    stage.reached.clear()
                    answer = await ask(stage.app, route.method, path, headers=headers, host=host)
                    asked += 1
                    _check(stage.reached, answer, is_good=headers is credentials[-1], key_ids=key_ids)
    assert asked > 30 * 20 * 7


def _some(routes: Sequence[Route], number: int) -> list[Route]:
    return [routes[(number * 2 + step) % len(routes)] for step in range(2)]


def _check(reached: list[tuple[str, Principal]], answer: Answer, *, is_good: bool, key_ids: set[str]) -> None:
    assert answer.starts == 1
    for name, principal in reached:
        if ROUTES[name].scope == PUBLIC:
            assert principal.scopes == frozenset()
        else:
            assert is_good
            assert principal.actor in key_ids
    assert bool(reached) == (answer.status == 200)
