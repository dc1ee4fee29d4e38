"""Advisories about who was let in, and about who could become more than they were."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from antiphon.hub.api_key import parse
from antiphon.server.routes import PUBLIC
from antiphon.settings import AccessRefused, Settings, SettingsError, access_of
from tests.advisories.stage import Stage, application, served
from tests.server.issuer import AUDIENCE, ISSUER, Issuer
from tests.support.gateway_process import GatewayProcess
from tests.support.raw_http import RawConnection, answers_in
from tests.support.scripted_upstream import MODEL, ScriptedUpstream

OPEN = "0.0.0.0"  # noqa: S104 - what is refused

HOSTS = (
    b"localhost/livez?a=", b"localhost/livez", b"localhost#/livez", b"localhost/livez#", b"x@localhost/livez",
    b"localhost:80/livez?", b"localhost\\livez", b"[::1]/livez", b"localhost:livez", b"/livez?", b"?", b"#", b"",
)  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
async def test_cve_2026_48710_host_header_path_confusion(stage: Stage, host: bytes) -> None:
    """
    CVE-2026-48710 (Starlette): a Host with a path in it changed the path that middleware saw, and not the route.

    Such a Host is refused, on the way to every operation, with a key or without one.
    """
    for key in (None, stage.victim):
        for path in ("/v1/models", "/v1/responses", "/livez"):
            answer = await stage.call("GET", path, key=key, host=host)
            assert answer.status in (400, 403), (path, answer.body)
    administered = await stage.call("GET", "/admin/v1/tenants", host=host, admin=True)
    assert administered.status in (400, 403)


async def test_cve_2026_49468_management_routes_open_by_a_host(stage: Stage) -> None:
    """
    CVE-2026-49468 (LiteLLM), CVE-2026-48746 (vLLM): the check of the key went by a path that the Host was part of.

    Who may call is decided by the route that was found: no spelling of a path reaches one without its key.
    """
    for path in (
        "/livez/../v1/models", "//v1/models", "/v1/models/", "/v1//models", "/v1/models?/livez", "/v1/models;/livez",
        "/livez/v1/models", "/v1/%6dodels", "/v1/models%2f", "/V1/models", "/livez%2f..%2fv1%2fmodels",
        "/v1/models#/livez",
    ):  # fmt: skip
        answer = await stage.call("GET", path)
        assert answer.status in (401, 404), (path, answer.status)
        assert MODEL.encode() not in answer.body


async def test_cve_2026_48746_a_real_server_is_asked_with_a_forged_host(
    tmp_path: Path, scripted: ScriptedUpstream
) -> None:
    """
    CVE-2026-48746 (vLLM): with servers that hand on a Host unseen, the whole API was open without its key.

    A real server refuses such a Host, two of them, and none.
    """
    gateway = GatewayProcess(tmp_path / "antiphon.db", scripted.url)
    await gateway.start()
    try:
        port = int(gateway.root.rpartition(":")[2])
        for hosts in (b"Host: localhost/livez?a=\r\n", b"Host: localhost\r\nHost: x/livez\r\n", b"", b"Host: \r\n"):
            async with RawConnection.open(port) as connection:
                await connection.send(b"GET /v1/models HTTP/1.1\r\n" + hosts + b"Connection: close\r\n\r\n")
                answers = answers_in(await connection.until_closed())
            assert [answer.status in (400, 403) for answer in answers] == [True], (hosts, answers)
    finally:
        await gateway.stop()


async def test_cve_2026_45339_another_header_skips_the_keys_limits(stage: Stage) -> None:
    """
    CVE-2026-45339 (Open WebUI): a key that was kept from an endpoint could use it when it came as ``x-api-key``.

    A key has the same scopes in every header, and two credentials in one request are refused.
    """
    reader = await stage.key("victim", scopes=("responses:read",))
    body = {"model": MODEL, "input": "hi"}
    for headers in ([(b"x-api-key", reader.encode())], [(b"authorization", f"Bearer {reader}".encode())]):
        assert (await stage.call("POST", "/v1/responses", body, headers=headers)).status == 403
    both = [(b"x-api-key", stage.victim.encode()), (b"authorization", f"Bearer {reader}".encode())]
    for headers in (both, both[::-1]):
        assert (await stage.call("POST", "/v1/responses", body, headers=headers)).status == 400
    assert stage.upstream.turns == []


async def test_cve_2026_39411_a_header_says_who_somebody_is(stage: Stage) -> None:
    """
    CVE-2026-39411 (LobeHub): a header that was only obfuscated, with a published key, said which user was asking.

    No header but a credential says who calls, and none beside a credential says it differently.
    """
    claims: Any = {"apiKey": "x", "userId": "victim", "tenant": "victim"}
    forged = [
        (name, value)
        for name in (b"x-lobe-chat-auth", b"x-tenant", b"x-user-id", b"x-forwarded-user", b"x-antiphon-tenant",
                     b"openai-organization", b"openai-project", b"cookie", b"proxy-authorization")
        for value in (orjson.dumps(claims), b"victim", stage.victim.encode())
    ]  # fmt: skip
    made = (await stage.respond(stage.victim))["id"]
    for header in forged:
        path = f"/v1/responses/{made}"
        assert (await stage.call("GET", path, headers=[header])).status == 401, header
        assert (await stage.call("GET", path, key=stage.attacker, headers=[header])).status == 404, header
    for query in (f"?key={stage.victim}", f"?api_key={stage.victim}", f"?access_token={stage.victim}"):
        assert (await stage.call("GET", "/v1/models" + query)).status == 401


async def test_cve_2026_35030_two_tokens_share_a_cache_entry(tmp_path: Path, scripted: ScriptedUpstream) -> None:
    """
    CVE-2026-35030 (LiteLLM): verified tokens were remembered by their first twenty characters, which all of them share.

    After a good token, one that differs anywhere, even in its last character, is nobody's.
    """
    issuer = Issuer()
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": issuer.keys}))
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "u", "nbf": now - 60, "exp": now + 600, "tenant": "acme"}
    rules = {"issuer": ISSUER, "audience": AUDIENCE, "jwks_file": str(keys), "tenant_from_claim": True}
    settings = {"auth.jwt": {**rules, "scopes": ["models:read"]}}
    async with application(tmp_path, scripted, **settings) as stage:
        good = issuer.token(claims)
        assert (await stage.call("GET", "/v1/models", key=good)).status == 200
        head, _, signature = good.rpartition(".")
        other = issuer.token({**claims, "tenant": "victim"})
        flipped = signature[:100] + ("A" if signature[100] != "A" else "B") + signature[101:]
        for forged in (
            f"{head}.{flipped}",
            f"{other.rpartition('.')[0]}.{signature}",
            f"{head}.",
            f"{head}.{'A' * 342}",
        ):
            assert forged[:20] == good[:20]
            assert (await stage.call("GET", "/v1/models", key=forged)).status == 401, forged
        assert (await stage.call("GET", "/v1/models", key=good)).status == 200


async def test_cve_2026_12772_a_key_in_a_session_outlives_it(stage: Stage) -> None:
    """
    CVE-2026-12772, CVE-2026-12796 (LiteLLM): keys of a login never expired, and a new login left them valid.

    What a rotation replaces without grace is refused within a second, and the new secret is the only one.
    """
    record = parse(stage.victim)
    assert record is not None
    path = f"/admin/v1/keys/{record.key_id}/rotate"
    rotated = await stage.call("POST", path, {"grace_s": 0}, key=stage.admin, admin=True)
    assert rotated.status == 200, rotated.body
    await stage.until(401, "GET", "/v1/models", key=stage.victim)
    assert (await stage.call("GET", "/v1/models", key=rotated.json["key"])).status == 200


async def test_cve_2026_44553_an_open_socket_keeps_its_rights(stage: Stage) -> None:
    """
    CVE-2026-44553 (Open WebUI): who lost a role kept it for as long as a socket stayed open.

    On a WebSocket that was opened before, a revoked key begins no turn.
    """
    record = parse(stage.victim)
    assert record is not None
    frame = {"type": "response.create", "model": MODEL, "input": "hi"}
    async with served(stage) as url, aiohttp.ClientSession() as http:
        headers = {"authorization": f"Bearer {stage.victim}"}
        async with http.ws_connect(f"{url}/v1/responses", headers=headers) as socket:
            await socket.send_json(frame)
            while (await socket.receive_json(timeout=20))["type"] != "response.completed":
                pass
            revoked = await stage.call("POST", f"/admin/v1/keys/{record.key_id}/revoke", key=stage.admin, admin=True)
            assert revoked.status == 200
            await stage.until(401, "GET", "/v1/models", key=stage.victim)
            asked = len(stage.upstream.turns)
            await socket.send_json(frame)
            refused = await socket.receive_json(timeout=20)
    assert (refused["type"], refused["status"]) == ("error", 401)
    assert len(stage.upstream.turns) == asked


async def test_ghsa_69x8_hrgq_fjj8_a_hash_is_as_good_as_the_password(stage: Stage) -> None:
    """
    GHSA-69x8-hrgq-fjj8 (LiteLLM): answers held password hashes, and a hash was taken in the place of the password.

    The stored hash of a key is told to nobody, administrators included, and opens nothing in any spelling.
    """
    key = parse(stage.victim)
    assert key is not None
    record = await stage.application.gateway.store.read_api_key(key.key_id)  # type: ignore[union-attr]  # there is one
    assert record is not None
    listed = await stage.call("GET", "/admin/v1/keys", key=stage.admin, admin=True)
    detailed = await stage.call("GET", "/admin/v1/tenants/victim", key=stage.admin, admin=True)
    for spelled in (record.mac.hex(), record.mac.hex().upper(), hashlib.sha256(stage.victim.encode()).hexdigest()):
        assert spelled.encode() not in listed.body + detailed.body
        for credential in (spelled, f"sk-{spelled}", f"sk-antiphon-live-{key.key_id}-{spelled}"):
            assert (await stage.call("GET", "/v1/models", key=credential)).status == 401
    assert stage.victim.encode() not in listed.body + detailed.body
    forged = hmac.new(b"", stage.victim.encode(), "sha256").digest()
    assert forged != record.mac


async def test_cve_2026_44556_the_responses_endpoint_serves_every_model(stage: Stage) -> None:
    """
    CVE-2026-44556 (Open WebUI): which models a user may use was checked in one endpoint, and not in ``/responses``.

    A key that is for other models is told that there is no such one, wherever a model is named.
    """
    limited = await stage.key("victim", models=("another",))
    body = {"model": MODEL, "input": "hi"}
    for path in ("/v1/responses", "/v1/responses/compact", "/v1/responses/input_tokens"):
        assert (await stage.call("POST", path, body, key=limited)).status == 404, path
    assert (await stage.call("GET", f"/v1/models/{MODEL}", key=limited)).status == 404
    assert (await stage.call("GET", "/v1/models", key=limited)).json["data"] == []
    async with served(stage) as url, aiohttp.ClientSession() as http:
        headers = {"authorization": f"Bearer {limited}"}
        async with http.ws_connect(f"{url}/v1/responses", headers=headers) as socket:
            await socket.send_json({"type": "response.create", **body})
            assert (await socket.receive_json(timeout=20))["status"] == 404
    assert stage.upstream.turns == []


async def test_litellm_37054_no_key_is_configured(stage: Stage) -> None:
    """
    BerriAI/litellm#37054, #42019: without a master key everybody was let in, with any key; ``sk-1234`` was a usual one.

    Where other machines can reach it, it does not start without a key of its own making, and knows no usual ones.
    """
    settings = Settings.load(None, {}, {"server.host": OPEN})
    with pytest.raises(AccessRefused, match="no API key yet"):
        access_of(settings, store_has_keys=False)
    for override in ({"server.no_auth": True}, {"auth.mode": "none"}):
        with pytest.raises(SettingsError, match="reached from other machines"):
            Settings.load(None, {}, {"server.host": OPEN, **override})
    for key in ("sk-1234", "sk-", "", "unused", "null", "undefined", "sk-antiphon-live-"):
        assert (await stage.call("GET", "/v1/models", key=key)).status == 401, key


def test_cve_2026_41432_an_empty_secret_signs_webhooks() -> None:
    """
    CVE-2026-41432 (New API): the signatures of payment webhooks were not verified properly, so anybody could send them.

    A webhook has a secret of at least 16 bytes, or the gateway does not start.
    """
    for secret in ("", " ", "whsec_", "whsec_AAAA", "whsec_not base64", "secret"):
        with pytest.raises(SettingsError) as refused:
            Settings.load(None, {}, {"webhooks": [{"url": "https://example.com/hook", "secret": secret}]})
        assert "secret" in str(refused.value)
    with pytest.raises(SettingsError, match="secret"):
        Settings.load(None, {}, {"webhooks": [{"url": "https://example.com/hook"}]})


@pytest.mark.parametrize("host", [b"evil.example", b"evil.example:8080", b"127.0.0.1.evil.example", b"localhost.evil"])
async def test_cve_2025_66416_dns_rebinding(stage: Stage, host: bytes) -> None:
    """
    CVE-2025-66416 (MCP SDK for Python), CVE-2026-34742 (for Go): a web page whose name led to this machine could call.

    A Host that is not one of ours is refused, with or without a key, and so is the Origin of a page elsewhere.
    """
    for key in (None, stage.victim):
        assert (await stage.call("GET", "/v1/models", key=key, host=host)).status == 403
    origin = [(b"origin", b"http://" + host)]
    assert (await stage.call("GET", "/v1/models", key=stage.victim, headers=origin)).status == 403
    assert (await stage.call("GET", "/admin/v1/tenants", key=stage.admin, host=host, admin=True)).status == 403


# Becoming more than one is.


async def test_cve_2026_47102_a_user_gives_himself_a_role(stage: Stage) -> None:
    """
    CVE-2026-47102 (LiteLLM): who could change his own account could change its role as well.

    No tenant's key reaches an operation on keys or tenants; and no request has a field for a role or for rights.
    """
    admin = stage.application.admin
    assert admin is not None
    for route in admin.routes.routes:
        path = route.path.replace("{tenant}", "attacker").replace("{key_id}", "attacker")
        if route.scope == PUBLIC:
            continue
        for is_admin in (True, False):
            answer = await stage.call(route.method, path, {}, key=stage.attacker, admin=is_admin)
            assert answer.status == (401 if is_admin else 404), path
    for field in ("state", "user_role", "role", "id", "stored_bytes"):
        body = {field: "proxy_admin"}
        answer = await stage.call("POST", "/admin/v1/tenants/attacker", body, key=stage.admin, admin=True)
        assert answer.status == 400, field


async def test_cve_2026_47101_a_key_is_made_for_every_route(stage: Stage) -> None:
    """
    CVE-2026-47101 (LiteLLM): the routes of a new key were stored as they were asked for, wildcards and all.

    Scopes are names of a closed list; an administrator's one is in no tenant's key, and nothing else is a right.
    """
    rights: list[dict[str, object]] = [
        {"scopes": ["/*"]}, {"scopes": ["*"]}, {"scopes": ["admin"]}, {"scopes": ["responses:*"]}, {"scopes": []},
        {"allowed_routes": ["/*"]}, {"tenant": "victim"}, {"is_admin": True}, {"limits": {"requests_per_minute": -1}},
    ]  # fmt: skip
    for about in rights:
        answer = await stage.call("POST", "/admin/v1/tenants/attacker/keys", about, key=stage.admin, admin=True)
        assert answer.status == 400, about
    made = await stage.call("POST", "/admin/v1/tenants/_system/keys", {}, key=stage.admin, admin=True)
    assert made.status in (400, 404)


async def test_cve_2026_12799_anybody_lists_all_users(stage: Stage) -> None:
    """
    CVE-2026-12799 (LiteLLM): after a fix that was incomplete, every user could list all the others.

    Who else there is, is told to administrators alone; to a tenant's key there is no such operation.
    """
    for path in ("/admin/v1/tenants", "/admin/v1/keys", "/admin/v1/tenants/victim", "/admin/v1/audit"):
        for key in (stage.attacker, None):
            answer = await stage.call("GET", path, key=key, admin=True)
            assert answer.status == 401
            assert b"victim" not in answer.body
        assert (await stage.call("GET", path, key=stage.attacker)).status == 404


async def test_ghsa_qqcv_vg9f_5rr3_teams_are_managed_by_their_members(stage: Stage) -> None:
    """
    GHSA-qqcv-vg9f-5rr3 (LiteLLM): who was in one team could manage others, by their ids.

    An administrator's key manages all tenants, opens what none of them stored, and is made on the command line alone.
    """
    made = (await stage.respond(stage.victim))["id"]
    for key in (stage.admin, stage.admin.replace("-admin-", "-live-")):
        assert (await stage.call("GET", f"/v1/responses/{made}", key=key)).status == 401
    as_admin = stage.attacker.replace("-live-", "-admin-")
    assert (await stage.call("POST", "/admin/v1/tenants/victim/suspend", key=as_admin, admin=True)).status == 401
    assert (await stage.call("GET", "/v1/models", key=stage.victim)).status == 200
