"""The gateway's own document and page: they say what the gateway does, because they are made of it."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from tests.gateway.conftest import Client
from tests.support.scripted_upstream import MODEL

from antiphon.hub.errors import ResponseNotFound
from antiphon.server.docs_page import docs_page
from antiphon.server.documentation import Documentation
from antiphon.server.exchange import Exchange
from antiphon.server.markup import Markup, element
from antiphon.server.openapi import openapi_document
from antiphon.server.routes import Route, RouteTable


@pytest.fixture
async def document(sqlite_client: Client) -> Any:
    """The document as it is served."""
    status, document = await sqlite_client.call("GET", "/openapi.json")
    assert status == 200
    return document


@pytest.fixture
async def page(sqlite_client: Client) -> tuple[str, Mapping[str, str]]:
    """The page as it is served, and its headers."""
    async with sqlite_client.http.get(sqlite_client.base_url + "/docs") as answer:
        assert answer.status == 200
        return await answer.text(), {name.lower(): value for name, value in answer.headers.items()}


def routes_of(client: Client) -> tuple[Route, ...]:
    return client.gateway.asgi().routes.routes


def shown_status(route: Route, status: int) -> str:
    """The HTTP status that an error of *status* is answered with there."""
    return str(status if route.error_form is None else route.error_form.shown_status(status))


def complaints(document: Any, name: str, value: object) -> list[str]:
    """What a schema of the document says against a value."""
    root = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    return [error.message for error in Draft202012Validator(root).iter_errors(value)]


# The document.


async def test_the_document_is_valid(document: Any) -> None:
    """It is an OpenAPI 3.1 document."""
    assert document["openapi"].startswith("3.1.")
    validate(document)


async def test_the_document_has_the_routes_and_no_others(sqlite_client: Client, document: Any) -> None:
    """Every route is in the document, with its name, and nothing else is."""
    published = {
        (method.upper(), path, operation["operationId"])
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert {(route.method, route.path, route.name) for route in routes_of(sqlite_client)} == published


async def test_every_published_operation_is_served(sqlite_client: Client, document: Any) -> None:
    """No published method and path is answered as one that there is not."""
    for path, operations in document["paths"].items():
        for method in operations:
            url = re.sub(r"\{[a-z_]+\}", "nothing", path)
            async with sqlite_client.http.request(method, sqlite_client.base_url + url) as answer:
                assert answer.status != 405
                assert "Invalid URL" not in await answer.text()


async def test_every_operation_is_documented_whole(sqlite_client: Client, document: Any) -> None:
    """Placeholders and query parameters are described, and so are its errors."""
    for route in routes_of(sqlite_client):
        operation = document["paths"][route.path][route.method.lower()]
        parameters = operation.get("parameters", [])
        assert list(route.placeholders) == [p["name"] for p in parameters if p["in"] == "path"]
        assert all(p["description"] for p in parameters if p["in"] != "path"), route.name
        assert {shown_status(route, error.status) for error in route.errors} <= set(operation["responses"])
        assert operation["x-antiphon-extension"] is route.extension


async def test_the_document_has_no_schema_that_nothing_leads_to(document: Any) -> None:
    """Every schema is referred to from somewhere else in the document."""
    referred = set(re.findall(r"#/components/schemas/(\w+)", str(document)))
    assert set(document["components"]["schemas"]) == referred


async def test_answers_are_as_published(sqlite_client: Client, document: Any) -> None:
    """What the gateway really answers agrees with the schema of each operation's answer."""
    response = await sqlite_client.respond("hi")
    _, conversation = await sqlite_client.call(
        "POST", "/v1/conversations", {"items": [{"role": "user", "content": "a"}]}
    )
    turn = await sqlite_client.respond("b", conversation=conversation["id"])
    values = {"response_id": turn["id"], "conversation_id": conversation["id"], "model": MODEL}
    operations = [
        (path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method == "get" and set(re.findall(r"\{(\w+)\}", path)) <= set(values)
    ]
    assert complaints(document, "Response", response) == []
    for path, operation in operations:
        content = operation["responses"]["200"]["content"].get("application/json")
        if content is None:
            continue
        status, body = await sqlite_client.call("GET", path.format_map(values))
        name = content["schema"]["$ref"].rpartition("/")[2]
        assert (status, complaints(document, name, body)) == (200, []), path


async def test_events_are_as_published(sqlite_client: Client, document: Any) -> None:
    """Every event of a real stream agrees with the schema of its type."""
    for event in await sqlite_client.stream("hi"):
        assert complaints(document, "ResponseStreamEvent", event) == []


async def test_deletions_and_errors_are_as_published(sqlite_client: Client, document: Any) -> None:
    """A deletion's answer, and the error for what is gone, agree with their schemas."""
    response = await sqlite_client.respond("hi")
    path = f"/v1/responses/{response['id']}"
    for status, name in ((200, "DeletedResponse"), (404, "Error")):
        answered, body = await sqlite_client.call("DELETE", path)
        assert (answered, complaints(document, name, body)) == (status, [])


# Start-up.


async def _handler(exchange: Exchange) -> None:
    await exchange.answer({})


def route(**changes: Any) -> Route:
    """A documented route, with changes."""
    known: dict[str, Any] = {"name": "x", "tag": "Service", "scope": "public", "answer": "Thing", "extension": True}
    return Route(**{"method": "GET", "path": "/x", "handler": _handler, "summary": "X", **known, **changes})


THING: dict[str, Any] = {"Thing": {"type": "object"}, "Error": {"type": "object"}}


@pytest.mark.parametrize("left_out", ["summary", "name", "tag", "scope", "answer", "extension"])
def test_a_route_without_documentation_does_not_build(left_out: str) -> None:
    """Leaving out what the document needs is an error where the row is written."""
    given: dict[str, Any] = {
        "method": "GET",
        "path": "/x",
        "handler": _handler,
        "summary": "X",
        "name": "x",
        "tag": "Service",
        "scope": "public",
    }
    given |= {"answer": "Thing", "extension": True}
    with pytest.raises(TypeError, match=left_out):
        Route(**{name: value for name, value in given.items() if name != left_out})


@pytest.mark.parametrize(
    "changes",
    [
        {"scope": "nothing"},
        {"path": "/x/{}"},
        {"path": "x"},
        {"path": "/x/"},
        {"summary": ""},
        {"name": ""},
        {"answer": ""},
    ],
    ids=str,
)
def test_a_route_with_empty_documentation_does_not_build(changes: dict[str, str]) -> None:
    """Nor may it be empty, or a placeholder be without a name."""
    with pytest.raises(ValueError, match="Route "):
        route(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"answer": "Nothing"},
        {"body": "Nothing"},
        {"query": "Nothing"},
        {"events": "Nothing"},
        {"request_headers": ("x-nothing",)},
        {"answer_headers": ("x-nothing",)},
    ],
    ids=str,
)
def test_a_route_of_an_unknown_name_stops_the_start(changes: dict[str, Any]) -> None:
    """A schema or a header that nobody describes is named before anything is served."""
    with pytest.raises(ValueError, match=r"Route GET /x: there is no .* '(Nothing|x-nothing)'"):
        Documentation([route(**changes)], THING)


@pytest.mark.parametrize(
    "twin", [{"name": "x", "path": "/y"}, {"name": "y", "path": "/x"}], ids=["name", "method and path"]
)
def test_two_routes_of_one_name_or_place_stop_the_start(twin: dict[str, str]) -> None:
    """One of them could never be found."""
    with pytest.raises(ValueError, match="twice"):
        RouteTable([route(), route(**twin)])


def test_the_endpoints_describe_themselves() -> None:
    """The document and the page are operations like all others."""
    schemas = {**THING, "Document": {"type": "object"}, "Page": {"type": "string"}}
    assert [row.path for row in Documentation([route()], schemas).routes] == ["/x", "/openapi.json", "/docs"]


# The page.


_BLOCKS = ("p", "div", "dl", "ul", "pre", "details", "section", "article", "h2", "h3", "h4")


class _Reader(HTMLParser):
    """Collects what a page loads and where its links lead, and sees to it that its elements nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.inline_code: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        assert tag not in _BLOCKS or not {"p", "span"} & set(self.open)  # a browser would tear these apart
        self.ids += [values["id"] or ""] if "id" in values else []
        self.inline_code += [name for name in values if name.startswith("on") or name == "style"]
        if tag == "a":
            self.links.append(values["href"] or "")
        else:
            self.loaded += [
                values[name] or "" for name in ("src", "href", "srcset", "data", "action") if name in values
            ]
        if tag not in ("meta", "input", "br", "hr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


async def test_the_page_loads_nothing(page: tuple[str, Mapping[str, str]]) -> None:
    """No script, style, image or font comes from anywhere, and nothing but the two inline blocks is code."""
    html, _ = page
    reader = _Reader(html)
    assert (reader.loaded, reader.inline_code, reader.open) == ([], [], [])
    assert re.findall(r"@import|url\(|\bfetch\(|XMLHttpRequest|importScripts", html) == []


async def test_only_the_pages_own_code_may_run(page: tuple[str, Mapping[str, str]]) -> None:
    """The policy forbids everything but the style and the script that are in the page, by their hashes."""
    html, headers = page
    allowed = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    for tag in ("script", "style"):
        (code,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, flags=re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
        assert allowed.pop(f"{tag}-src") == f"'sha256-{digest}'"
    assert set(allowed.values()) == {"'none'"}
    assert allowed.keys() >= {"default-src", "base-uri", "form-action", "frame-ancestors"}
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-type"] == "text/html; charset=utf-8"


async def test_every_link_of_the_page_leads_somewhere(page: tuple[str, Mapping[str, str]]) -> None:
    """Anchors are unique and there; the one other link is the document."""
    reader = _Reader(page[0])
    assert len(reader.ids) == len(set(reader.ids))
    assert {link.removeprefix("#") for link in reader.links if link != "openapi.json"} <= set(reader.ids)


async def test_the_page_shows_every_operation(page: tuple[str, Mapping[str, str]], document: Any) -> None:
    """Each has its place, its path, an example, and says whose it is."""
    html, _ = page
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            (article,) = re.findall(rf'<article id="{operation["operationId"]}">.*?</article>', html, flags=re.DOTALL)
            assert f"<code>{path}</code>" in article
            assert f'class="method {method}"' in article
            assert "curl" in article
            assert ("extension</span>" in article) is operation["x-antiphon-extension"]


async def test_the_page_shows_every_field_of_a_turn(page: tuple[str, Mapping[str, str]], document: Any) -> None:
    """Nothing that can be sent is left out."""
    (article,) = re.findall(r'<article id="createResponse">.*?</article>', page[0], flags=re.DOTALL)
    for name in document["components"]["schemas"]["CreateResponse"]["properties"]:
        assert f'<code class="name">{name}</code>' in article


HOSTILE = """<script>alert('&"')</script>"""


def test_the_page_escapes_whatever_it_shows() -> None:
    """A document full of markup shows it as text, wherever it stands."""
    schema = {
        "type": "object",
        "description": HOSTILE,
        "properties": {HOSTILE: {"type": "string", "description": HOSTILE, "default": HOSTILE, "pattern": HOSTILE}},
        "examples": [{"x": HOSTILE}],
    }
    strange = {"enum": [HOSTILE], "type": "string"}
    schemas: dict[str, Any] = {
        "Thing": schema,
        "Error": {"anyOf": [strange, {"const": HOSTILE, "type": HOSTILE}, {"type": HOSTILE}]},
    }
    rows = [
        route(method="POST", body="Thing", query="Thing", summary=HOSTILE, details=HOSTILE, errors=(ResponseNotFound,))
    ]
    document = openapi_document(rows, schemas)
    document["info"]["title"] = HOSTILE
    html = docs_page(document).body.decode()
    assert html.count("<script>") == 1
    assert "alert(" in html
    assert _Reader(html).inline_code == []


def test_text_is_escaped_and_markup_is_not() -> None:
    """What an element is given is text, unless an element made it."""
    inner = element("b", "1 < 2")
    assert element("p", inner, "&", title='"', hidden=True, class_="x") == (
        '<p title="&quot;" hidden class="x"><b>1 &lt; 2</b>&amp;</p>'
    )
    assert isinstance(inner, Markup)
    assert element("br") == "<br>"
