"""The edge: who may call, how much may be sent, what an unknown path answers."""

from __future__ import annotations

import asyncio
import socket

import pytest
from tests.gateway.conftest import Client, serving
from tests.support.scripted_upstream import MODEL, ScriptedUpstream, Wait, http_json, whole

from antiphon import Gateway, InMemorySessionStore, upstream
from antiphon.engine.routing import Target
from antiphon.formats.responses import ResponsesFormat
from antiphon.server.body import BodyLimits
from antiphon.server.guard import Guard


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:1234"}, 200),
        ({"Host": "[::1]:80"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "127.0.0.1@evil.example"}, 403),
        ({"Host": "[::1]evil.example"}, 403),
        ({"Host": "localhost:evil"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:3000"}, 403),
    ],
    ids=str,
)
async def test_only_our_own_host_and_origin_are_let_in(client: Client, headers: dict[str, str], status: int) -> None:
    """A page elsewhere cannot use a keyless gateway, by CORS or by DNS rebinding."""
    assert (await client.call("GET", "/v1/models", **headers))[0] == status


async def test_the_gateways_own_origin_is_let_in(client: Client) -> None:
    """A page that the gateway itself served may call it."""
    assert (await client.call("GET", "/v1/models", Origin=client.base_url))[0] == 200


async def test_a_configured_origin_is_let_in_and_told_so(scripted: ScriptedUpstream) -> None:
    """CORS is configured by name; preflights are answered for those alone."""
    gateway = Gateway([upstream(scripted.url)]).with_session_store(InMemorySessionStore())
    guard = Guard(cors_origins=["https://app.example"], allowed_hosts=["gateway.example"])
    async with serving(gateway, scripted, guard=guard) as client:
        _, _, headers = await client.full("GET", "/v1/models", Origin="https://app.example")
        assert headers["access-control-allow-origin"] == "https://app.example"
        asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
        status, _, headers = await client.full("OPTIONS", "/v1/responses", **asked)
        assert (status, headers["access-control-allow-methods"]) == (200, "GET, POST, DELETE, OPTIONS")
        asked["Origin"] = "https://evil.example"
        assert (await client.call("OPTIONS", "/v1/responses", **asked))[0] == 403
        assert (await client.call("GET", "/livez", Host="gateway.example"))[0] == 200


async def _raw(client: Client, request: bytes) -> bytes:
    host, port = client.base_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize("hosts", [b"", b"Host: localhost\r\nHost: localhost\r\n"], ids=["none", "two"])
async def test_a_request_needs_exactly_one_host(client: Client, hosts: bytes) -> None:
    """Neither none nor two."""
    answer = await _raw(client, b"GET /livez HTTP/1.1\r\n" + hosts + b"Connection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")


async def test_limits_are_named(scripted: ScriptedUpstream) -> None:
    """Too long is 413 and too deep is 400; both name the limit."""
    gateway = Gateway([upstream(scripted.url)]).with_session_store(InMemorySessionStore())
    limits = BodyLimits(max_body_bytes=1000, max_json_depth=8)
    async with serving(gateway, scripted, body_limits=limits) as client:
        status, body = await client.call("POST", "/v1/responses", {"model": MODEL, "input": "x" * 1000})
        assert (status, "max_body_bytes (1000 bytes)" in body["error"]["message"]) == (413, True)
        deep: object = "x"
        for _ in range(9):
            deep = [deep]
        status, body = await client.call("POST", "/v1/responses", {"model": MODEL, "input": deep})
        assert (status, "max_json_depth (8 levels)" in body["error"]["message"]) == (400, True)
        status, _ = await client.call("POST", "/v1/responses", {"model": MODEL, "input": "hi"})
        assert status == 200


async def test_a_body_without_a_length_is_limited_too(scripted: ScriptedUpstream) -> None:
    """A chunked body is counted as it comes."""
    gateway = Gateway([upstream(scripted.url)]).with_session_store(InMemorySessionStore())
    async with serving(gateway, scripted, body_limits=BodyLimits(max_body_bytes=1000)) as client:
        head = b"POST /v1/responses HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        chunk = b"200\r\n" + b"x" * 512 + b"\r\n"
        answer = await _raw(
            client, head + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + chunk * 3 + b"0\r\n\r\n"
        )
        assert answer.startswith(b"HTTP/1.1 413 ")


async def test_a_long_history_is_parsed_like_a_short_one(client: Client) -> None:
    """Bodies over 256 KiB take the way through a thread and give the same answer."""
    items = [{"role": "user", "content": f"{number} " + "x" * 1000} for number in range(400)]
    body = await client.respond(items)
    assert body["status"] == "completed"
    assert len(client.upstream.last_messages) == 400


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("POST", "/v1/nothing", 404, "Invalid URL (POST /v1/nothing)"),
        ("GET", "/", 404, "Invalid URL (GET /)"),
        ("PUT", "/v1/responses", 405, "Not allowed to PUT on /v1/responses. Allowed methods: GET, HEAD, POST."),
        (
            "PATCH",
            "/v1/responses/resp_x",
            405,
            "Not allowed to PATCH on /v1/responses/resp_x. Allowed methods: DELETE, GET, HEAD.",
        ),
        ("GET", "/v1/responses/resp_x", 404, "Response with id 'resp_x' not found."),
        ("DELETE", "/v1/responses/resp_x", 404, "Response with id 'resp_x' not found."),
        ("GET", "/v1/responses/resp_x/input_items", 404, "Response with id 'resp_x' not found."),
        ("GET", "/v1/conversations/conv_x", 404, "Conversation with id 'conv_x' not found."),
        ("GET", "/v1/conversations/conv_x/items", 404, "Conversation with id 'conv_x' not found."),
        ("GET", "/v1/responses/resp_%2F%27", 404, "Response with id 'resp_/'' not found."),
    ],
)
async def test_what_is_not_there_is_answered_in_the_envelope(
    client: Client, method: str, path: str, status: int, message: str
) -> None:
    """Unknown paths, methods and ids have OpenAI's envelope."""
    from yarl import URL

    async with client.http.request(method, URL(client.base_url + path, encoded=True)) as answer:
        body = await answer.json()
        assert answer.headers["x-request-id"].startswith("req_")
    assert answer.status == status
    assert body["error"]["message"] == message
    assert body["error"]["type"] == "invalid_request_error"


async def test_a_method_that_is_not_there_is_told_which_are(client: Client) -> None:
    """The Allow header lists them, as HTTP wants it of every 405."""
    for method, allowed in (("PUT", "GET, HEAD, POST"), ("OPTIONS", "GET, HEAD, POST")):
        async with client.http.request(method, client.base_url + "/v1/responses") as answer:
            assert (answer.status, answer.headers["allow"]) == (405, allowed)


@pytest.mark.parametrize("value", ["60001", "-1", "1.5", "soon", "", "9" * 5000])
async def test_a_wait_that_is_no_time_is_refused_by_name(client: Client, value: str) -> None:
    """400, also for numbers of thousands of digits."""
    turn = {"model": "m", "input": "hi"}
    status, body = await client.call("POST", "/v1/responses", turn, **{"x-antiphon-conversation-wait-ms": value})
    assert (status, body["error"]["param"]) == (400, "x-antiphon-conversation-wait-ms")


@pytest.mark.parametrize(
    ("raw", "headers", "status", "part"),
    [
        (b"{", {}, 400, "We could not parse the JSON body of your request."),
        (b"[]", {}, 400, "expected an object, but got an array instead."),
        (b"{}", {"Content-Type": "text/plain"}, 415, "Content-Type 'text/plain' is not supported"),
        (b"{}", {"Content-Encoding": "br"}, 415, "Content-Encoding 'br' is not supported"),
        (b'{"model": NaN}', {}, 400, "We could not parse the JSON body"),
        (b'"\xff"', {}, 400, "We could not parse the JSON body"),
        (b"", {}, 400, "We could not parse the JSON body"),
        (b"[" * 100000, {}, 400, "We could not parse the JSON body"),
    ],
    ids=["cut", "array", "type", "encoding", "nan", "utf8", "empty", "bomb"],
)
async def test_bodies_that_are_not_json_are_refused(
    client: Client, raw: bytes, headers: dict[str, str], status: int, part: str
) -> None:
    """The answer says what was wrong with the body."""
    sent = {"Content-Type": "application/json", **headers}
    async with client.http.post(client.base_url + "/v1/responses", data=raw, headers=sent) as answer:
        body = await answer.json()
    assert answer.status == status
    assert part in body["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/conversations", "/v1/conversations/conv_x"])
async def test_conversations_have_their_own_words_for_malformed_bodies(client: Client, path: str) -> None:
    """OpenAI's endpoints differ in what they say to a body that is not JSON."""
    sent = {"Content-Type": "application/json"}
    async with client.http.post(client.base_url + path, data=b'{"metadata":', headers=sent) as answer:
        body = await answer.json()

    assert (answer.status, body["error"]["code"], body["error"]["param"]) == (400, "invalid_json", None)
    assert body["error"]["message"].startswith(
        "Invalid body: failed to parse JSON value. Please check the value to ensure it is valid JSON."
    )


async def test_a_clients_words_cannot_add_a_header(scripted: ScriptedUpstream) -> None:
    """An ignored parameter is named in a header, whatever its name is."""
    lenient = ResponsesFormat(unknown_parameters="ignore")
    gateway = Gateway([upstream(scripted.url)], format=lenient).with_session_store(InMemorySessionStore())
    async with serving(gateway, scripted) as client:
        unknown = {"a\r\nx-forged: 1": 1, "b" * 100_000: 1}
        body = {"model": MODEL, "input": "hi", **unknown}
        status, _, headers = await client.full("POST", "/v1/responses", body)

    assert (status, headers.get("x-forged")) == (200, None)
    assert headers["x-antiphon-not-applied"].startswith("a??x-forged: 1, bbb")


@pytest.mark.parametrize("path", ["/v1/responses/resp_x", "/v1/conversations/conv_x"])
async def test_a_deletion_has_no_other_options(client: Client, path: str) -> None:
    """Who asks for more than there is to ask for is told so."""
    status, body = await client.call("DELETE", f"{path}?casade=true")

    assert (status, body["error"]["param"], body["error"]["code"]) == (400, "casade", "unknown_parameter")
    assert "Did you mean 'cascade'?" in body["error"]["message"]


async def test_every_kind_of_answer_carries_the_apis_headers(client: Client) -> None:
    """JSON, streams and errors alike."""
    bodies: list[dict[str, object]] = [{}, {"stream": True}, {"temperature": 9}]
    for fields in bodies:
        request = {"model": MODEL, "input": "hi", **fields}
        async with client.http.post(client.base_url + "/v1/responses", json=request) as answer:
            await answer.read()
        assert answer.headers["x-request-id"].startswith("req_")
        assert answer.headers["openai-version"] == "2020-10-01"
        assert int(answer.headers["openai-processing-ms"]) >= 0


async def test_a_stream_of_nothing_is_not_found(client: Client) -> None:
    """An id that is not there is that first, whatever else the query says."""
    assert (await client.call("GET", "/v1/responses/resp_x?stream=true"))[0] == 404
    assert (await client.call("GET", "/v1/responses/resp_x?stream=maybe"))[0] == 404


async def test_models_are_listed_and_retrieved(client: Client) -> None:
    """What the upstreams serve, under the same names."""
    _, listed = await client.call("GET", "/v1/models")
    assert [model["id"] for model in listed["data"]] == [MODEL]
    assert (await client.call("GET", f"/v1/models/{MODEL}"))[1]["id"] == MODEL
    status, body = await client.call("GET", "/v1/models/nope")
    assert (status, body["error"]["code"]) == (404, "model_not_found")
    status, body = await client.call("POST", "/v1/responses", {"model": "nope", "input": "x"})
    assert (status, body["error"]["code"]) == (404, "model_not_found")
    assert body["error"]["message"] == "The model `nope` does not exist or you do not have access to it."


async def test_an_empty_list_of_models_is_not_made_up(scripted: ScriptedUpstream) -> None:
    """If nobody could be asked for models, that is the answer, and not that there are none."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    gateway = Gateway([upstream(f"http://127.0.0.1:{port}/v1")]).with_session_store(InMemorySessionStore())
    async with serving(gateway, scripted) as client:
        for path in ("/v1/models", "/v1/models/m"):
            status, body = await client.call("GET", path)
            assert (status, body["error"]["code"]) == (502, "upstream_unreachable")


async def test_a_model_that_the_upstream_does_not_know_is_404(scripted: ScriptedUpstream) -> None:
    """Wherever it is found out, an unknown model is the same error; another target of an alias may have it."""
    missing = http_json({"error": {"message": "The model 'm' does not exist", "code": "model_not_found"}}, status=404)
    target = upstream(scripted.url, models=["m", "n"])
    aliases = {"both": [Target(target, "m"), Target(target, "n")]}
    gateway = Gateway([target], aliases=aliases).with_session_store(InMemorySessionStore())
    async with serving(gateway, scripted) as client:
        scripted.then(missing)
        status, body = await client.call("POST", "/v1/responses", {"model": "m", "input": "x"})
        assert (status, body["error"]["code"]) == (404, "model_not_found")
        scripted.then(missing)
        status, _ = await client.call("POST", "/v1/responses", {"model": "both", "input": "x"})
        assert (status, scripted.turns[-1].body["model"]) == (200, "n")


async def test_health_says_whether_turns_can_be_taken(client: Client) -> None:
    """Both are 200 while the gateway serves."""
    assert await client.call("GET", "/livez") == (200, {"status": "ok"})
    assert await client.call("GET", "/readyz") == (200, {"status": "ok"})


async def test_a_draining_gateway_ends_its_turns_and_takes_no_new_ones(scripted: ScriptedUpstream) -> None:
    """Shutdown waits for running turns; new ones get 503 with a reason to retry."""
    gateway = Gateway([upstream(scripted.url)]).with_session_store(InMemorySessionStore())
    async with serving(gateway, scripted) as client:
        go_on = asyncio.Event()
        scripted.then(Wait(go_on), http_json(whole("late")))
        late = asyncio.ensure_future(client.respond("hi"))
        while not scripted.turns:
            await asyncio.sleep(0.005)
        ending = asyncio.ensure_future(gateway.shutdown(30))
        await asyncio.sleep(0)
        status, body = await client.call("POST", "/v1/responses", {"model": MODEL, "input": "x"})
        assert (status, body["error"]["code"]) == (503, "shutting_down")
        assert (await client.call("GET", "/readyz"))[0] == 503
        go_on.set()
        assert (await late)["status"] == "completed"
        await ending


async def test_a_turn_that_does_not_end_in_time_is_cancelled_and_kept(scripted: ScriptedUpstream) -> None:
    """Draining has a bound."""
    store = InMemorySessionStore()
    gateway = Gateway([upstream(scripted.url)]).with_session_store(store)
    async with serving(gateway, scripted) as client:
        scripted.then(Wait(asyncio.Event()))
        late = asyncio.ensure_future(client.respond("hi"))
        while not scripted.turns:
            await asyncio.sleep(0.005)
        await gateway.shutdown(0.05)
        response = await late
        assert response["status"] == "cancelled"


async def test_a_gateway_without_a_store_refuses_what_needs_state(scripted: ScriptedUpstream) -> None:
    """Stateless is said, never simulated."""
    async with serving(Gateway([upstream(scripted.url)]), scripted) as client:
        body = await client.respond("hi")
        assert body["store"] is False
        for fields in (
            {"previous_response_id": "resp_x"},
            {"conversation": "conv_x"},
            {"store": True},
        ):
            status, answer = await client.call("POST", "/v1/responses", {"model": MODEL, "input": "x", **fields})
            assert (status, answer["error"]["code"], answer["error"]["param"]) == (
                400,
                "unsupported_parameter",
                next(iter(fields)),
            )
        assert (await client.call("GET", f"/v1/responses/{body['id']}"))[0] == 400
        assert (await client.call("POST", "/v1/conversations", {}))[0] == 400


async def test_a_body_that_never_comes_costs_nothing_but_its_connection(client: Client) -> None:
    """A client that hangs up in the middle of its body leaves nothing behind."""
    host, port = client.base_url.removeprefix("http://").split(":")
    head = b"POST /v1/responses HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"
    with socket.create_connection((host, int(port))) as connection:
        await asyncio.get_running_loop().run_in_executor(None, connection.sendall, head)
    assert (await client.respond("hi"))["status"] == "completed"


async def test_an_upstream_without_models_serves_none(scripted: ScriptedUpstream) -> None:
    """An empty list is a list; only an upstream that has none to show is asked for any model."""
    for listing, status in ((http_json({"object": "list", "data": []}), 404), (http_json({}, status=404), 200)):
        scripted.models = listing
        gateway = Gateway([upstream(scripted.url)]).with_session_store(InMemorySessionStore())
        async with serving(gateway, scripted) as client:
            answered, _ = await client.call("POST", "/v1/responses", {"model": "any", "input": "hi"})
            assert answered == status
