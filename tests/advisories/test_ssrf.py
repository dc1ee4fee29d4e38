"""Advisories about callers who chose where a gateway goes, and with which credential."""

from __future__ import annotations

from pathlib import Path

import pytest

from antiphon.settings import Settings, SettingsError
from antiphon.transport.guard import GuardRules, Refused, guarded_session, parse_url
from tests.advisories.stage import UPSTREAM_KEY, Stage, Trap, application
from tests.support.scripted_upstream import MODEL, ScriptedUpstream

MAPPED = (
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:7f00:1]",
    "[::ffff:a9fe:a9fe]",
    "[64:ff9b::7f00:1]",
    "[::1]",
)
CONFUSED = (
    "http://127.0.0.1\\@1.1.1.1/", "http://1.1.1.1\\@127.0.0.1/", "http://1.1.1.1@127.0.0.1/", "http://127.0.0.1#@1.1.1.1/",
    "http://1.1.1.1%2540127.0.0.1/", "http:\\\\127.0.0.1/", "http:///127.0.0.1/", "http://127.1/", "http://2130706433/",
    "http://0x7f000001/", "http://0177.0.0.1/", "http://127.0.0.1\t.example/", "http://①②⑦.0.0.1/",
)  # fmt: skip


async def fetched(stage: Stage, url: str) -> int:
    """The status of a turn with a picture at a URL."""
    content = [{"type": "input_text", "text": "what is this?"}, {"type": "input_image", "image_url": url}]
    return (await stage.turn(stage.attacker, [{"role": "user", "content": content}])).status


async def test_cve_2024_6587_a_request_says_where_the_upstream_is(stage: Stage, lure: Trap) -> None:
    """
    CVE-2024-6587 (LiteLLM): ``api_base`` in a request sent the gateway, and its upstream key, to any host.

    A request has no field and no header for that: the field is refused by name, and nothing goes elsewhere.
    """
    for field in ("api_base", "base_url", "api_key", "custom_llm_provider", "extra_headers", "azure_endpoint"):
        answer = await stage.turn(stage.attacker, **{field: lure.url})
        assert (answer.status, answer.error["param"]) == (400, field)
    for name in (b"x-api-base", b"x-openai-base-url", b"x-forwarded-host", b"x-upstream", b"x-portkey-custom-host"):
        body = {"model": MODEL, "input": "hi"}
        headers = [(name, lure.url.encode())]
        assert (await stage.call("POST", "/v1/responses", body, key=stage.attacker, headers=headers)).status == 200
    for model in (lure.url, f"openai/{lure.url}", f"{MODEL}?api_base={lure.url}", f"../{MODEL}"):
        assert (await stage.turn(stage.attacker, model=model)).status == 404
    assert lure.heard == []


async def test_cve_2026_31829_a_url_in_a_request_is_fetched(stage: Stage, lure: Trap) -> None:
    """
    CVE-2026-31829, CVE-2026-41271 (Flowise), CVE-2026-12798 (LiteLLM): the server fetched any URL that a user named.

    As it is delivered, the gateway fetches nothing: a URL is the upstream's matter, and a tool with one is refused.
    """
    assert await fetched(stage, lure.url) in (200, 400)
    for tool in (
        {"type": "mcp", "server_label": "x", "server_url": lure.url}, {"type": "web_search"},
        {"type": "openapi", "spec_path": lure.url},
    ):  # fmt: skip
        assert (await stage.turn(stage.attacker, tools=[tool])).status == 400
    file = [{"role": "user", "content": [{"type": "input_file", "file_url": lure.url}]}]
    assert (await stage.turn(stage.attacker, file)).status in (200, 400)
    assert lure.heard == []


async def test_cve_2026_31829_fetching_is_switched_on(tmp_path: Path, scripted: ScriptedUpstream, lure: Trap) -> None:
    """
    CVE-2026-31829 (Flowise): where fetching is what was wanted, this machine and its network were within reach.

    With ``remote_content: fetch`` in the production application, no URL of this machine is connected to.
    """
    settings = {"responses.remote_content": "fetch", "responses.remote_http": True}
    async with application(tmp_path, scripted, **settings) as stage:
        for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]"):
            assert await fetched(stage, f"http://{host}:{lure.port}/x.png") == 400, host
    assert lure.heard == []
    assert scripted.turns == []


@pytest.mark.parametrize("host", MAPPED)
async def test_cve_2026_31943_an_ipv4_address_in_ipv6(host: str, lure: Trap) -> None:
    """
    CVE-2026-31943 (LibreChat): an IPv4 address inside an IPv6 one was not seen to be of this machine.

    The guard refuses it in every spelling, by the address that would be connected to.
    """
    async with guarded_session(GuardRules(schemes=frozenset({"http", "https"}), ports=None)) as session:
        with pytest.raises(Refused):
            await session.get(parse_url(f"http://{host}:{lure.port}/"))
    assert lure.heard == []


@pytest.mark.parametrize("url", CONFUSED)
async def test_cve_2026_24779_two_parsers_of_one_url(tmp_path: Path, scripted: ScriptedUpstream, url: str) -> None:
    """
    CVE-2026-24779 (vLLM), CVE-2026-45400 (Open WebUI): what checked a URL read another host in it than what fetched it.

    There is one parser, and what it leaves unclear is refused: no such URL is fetched from anywhere.
    """
    settings = {"responses.remote_content": "fetch", "responses.remote_http": True}
    async with application(tmp_path, scripted, **settings) as stage:
        assert await fetched(stage, url) == 400
    assert scripted.turns == []


async def test_cve_2026_45401_a_redirect_is_not_checked(stage: Stage, lure: Trap) -> None:
    """
    CVE-2026-45401 (Open WebUI): the first URL was checked, and where it redirected to was not.

    An upstream's redirect is an error of the upstream: nobody follows it, least of all with the upstream's key.
    """
    for status in (301, 302, 303, 307, 308):
        head = f"HTTP/1.1 {status} Moved\r\nlocation: {lure.url}\r\ncontent-length: 0\r\n\r\n"
        stage.upstream.then(head.encode())
        answer = await stage.turn(stage.attacker)
        assert answer.status >= 500, (status, answer.body)
        assert str(lure.port).encode() not in answer.body
    assert lure.heard == []


async def test_cve_2026_2393_a_webhook_goes_anywhere(tmp_path: Path, scripted: ScriptedUpstream, stage: Stage) -> None:
    """
    CVE-2026-2393 (MLflow): users registered webhooks, which were posted into the server's own network.

    Webhooks are the operator's: no request can add one, and one of another scheme stops the start.
    """
    for field in ("webhook", "webhook_url", "webhooks", "callback_url", "notify_url"):
        answer = await stage.turn(stage.attacker, background=True, **{field: "http://127.0.0.1:9/"})
        assert (answer.status, answer.error["param"]) == (400, field)
    for path in ("/v1/webhooks", "/v1/webhook_deliveries", "/v1/webhook_endpoints"):
        assert (await stage.call("POST", path, {"url": "http://127.0.0.1:9/"}, key=stage.attacker)).status in (404, 405)
    for url in ("file:///etc/passwd", "gopher://127.0.0.1/", "ftp://example.com/", "/hook", "127.0.0.1/hook"):
        with pytest.raises(SettingsError):
            Settings.load(None, {}, {"webhooks": [{"url": url, "secret": "whsec_" + "A" * 32}]})


async def test_cve_2024_6587_the_upstreams_key_goes_to_one_host(stage: Stage) -> None:
    """
    CVE-2024-6587 (LiteLLM): the credential of one host was sent to another one.

    Each request to the upstream has its key, in a header and nowhere else; a client's own credential never gets there.
    """
    headers = [(b"x-custom", b"1"), (b"openai-organization", b"org"), (b"cookie", b"a=b")]
    body = {"model": MODEL, "input": "hi"}
    await stage.call("POST", "/v1/responses", body, key=stage.victim, headers=headers)
    sent = stage.upstream.turns[-1]
    assert sent.headers["authorization"] == f"bearer {UPSTREAM_KEY.lower()}"
    assert UPSTREAM_KEY not in sent.path + str(sent.body)
    assert stage.victim.lower() not in str(sent.headers).lower() + str(sent.body).lower()
    assert not {"x-custom", "openai-organization", "cookie"} & set(sent.headers)
