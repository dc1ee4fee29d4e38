"""
The API as one page for people, made from the OpenAPI document.

The page loads nothing: its style and its script stand in it, and its Content-Security-Policy allows these two by their
hashes and nothing else. Without the script it is whole; the script adds the search and the address of this server.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

import orjson

from antiphon.hub.items import JsonObject
from antiphon.server.markup import Markup, element, together
from antiphon.server.openapi import reachable
from antiphon.server.reply import Headers
from antiphon.server.schema_view import members, prose, schema_anchor, type_of

__all__ = ["Page", "docs_page"]

# What examples call until the script knows better: where `antiphon serve` listens.
_ORIGIN = "http://127.0.0.1:8080"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page and the headers that keep it safe."""

    body: bytes
    headers: Headers


def docs_page(document: JsonObject) -> Page:
    """The page of an OpenAPI document."""
    style, script = _asset("docs.css"), _asset("docs.js")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{document['info']['title']} API"),
        element("style", style),
    )
    body = element("body", _sidebar(document), _main(document), element("script", script))
    html = together([Markup("<!doctype html>"), element("html", head, body, lang="en")])
    return Page(body=html.encode(), headers=_headers(style, script))


def _asset(name: str) -> Markup:
    return Markup((files(__package__) / "static" / name).read_text("utf-8"))


def _headers(style: str, script: str) -> Headers:
    policy = (
        f"default-src 'none'; style-src {_source(style)}; script-src {_source(script)}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return (
        (b"content-security-policy", policy.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"cache-control", b"no-cache"),
    )


def _source(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _operations(document: JsonObject, tag: str) -> Iterator[tuple[str, str, JsonObject]]:
    """Method, path and operation of each operation in a chapter."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if tag in operation["tags"]:
                yield method.upper(), path, operation


# The side: where everything is.


def _sidebar(document: JsonObject) -> Markup:
    info = document["info"]
    title = element(
        "a",
        element("b", info["title"]),
        element("span", info["version"], class_="version"),
        href="#top",
        class_="brand",
    )
    search = element(
        "input",
        type="search",
        id="search",
        placeholder="Search  /",
        aria_label="Search",
        autocomplete="off",
        hidden=True,
    )
    chapters = [_contents(document, tag["name"]) for tag in document["tags"]]
    schemas = element("a", "Schemas", href="#schemas", class_="chapter")
    return element(
        "nav", element("div", title, search, class_="head"), element("div", *chapters, schemas, class_="toc")
    )


def _contents(document: JsonObject, tag: str) -> Markup:
    links = [
        element("a", _method(method), element("span", operation["summary"]), href=f"#{operation['operationId']}")
        for method, _, operation in _operations(document, tag)
    ]
    return together([element("a", tag, href=f"#{tag}", class_="chapter"), *links])


def _method(method: str) -> Markup:
    return element("span", method.replace("DELETE", "DEL"), class_=f"method {method.lower()}")


# The page itself.


def _main(document: JsonObject) -> Markup:
    chapters = [_chapter(document, tag) for tag in document["tags"]]
    nothing = element("p", "Nothing here contains all of these words.", id="nothing", class_="nothing", hidden=True)
    return element("main", _introduction(document), *chapters, _schemas(document), nothing, id="top")


def _introduction(document: JsonObject) -> Markup:
    return element(
        "header",
        element("h1", f"{document['info']['title']} API"),
        element("p", prose(document["info"]["description"]), class_="lead"),
        element(
            "p",
            "Base URL for OpenAI's clients: ",
            element("code", _origin(), "/v1"),
            ". For programs: ",
            element("a", "openapi.json", href="openapi.json"),
            ". Where an operation says nothing else, an error is an ",
            element("a", "Error", href=f"#{schema_anchor('Error')}"),
            ".",
        ),
    )


def _origin() -> Markup:
    return element("span", _ORIGIN, class_="origin")


def _chapter(document: JsonObject, tag: JsonObject) -> Markup:
    schemas = document["components"]["schemas"]
    operations = [_operation(*operation, schemas) for operation in _operations(document, tag["name"])]
    heading = element("h2", element("a", tag["name"], href=f"#{tag['name']}"))
    return element("section", heading, element("p", prose(tag["description"])), *operations, id=tag["name"])


def _operation(method: str, path: str, operation: JsonObject, schemas: JsonObject) -> Markup:
    name = operation["operationId"]
    parts = [
        _parameters("In the path", operation, "path"),
        _parameters("In the query", operation, "query"),
        _parameters("In the headers", operation, "header"),
        _request(operation, schemas),
        _success(operation),
        _errors(operation),
    ]
    heading = element("h3", element("a", operation["summary"], href=f"#{name}"), _origin_badge(operation))
    endpoint = element("p", _method(method), " ", element("code", path), class_="endpoint")
    description = [element("p", prose(operation["description"]))] if "description" in operation else []
    text = element("div", *description, *parts, class_="text")
    columns = element("div", text, _example(method, path, operation, schemas), class_="columns")
    return element("article", heading, endpoint, columns, id=name)


def _origin_badge(operation: JsonObject) -> Markup:
    if operation["x-antiphon-extension"]:
        return element("span", "extension", class_="badge ours", title="OpenAI's API does not have this operation")
    return element("span", "OpenAI", class_="badge", title="As in OpenAI's API")


def _parameters(title: str, operation: JsonObject, place: str) -> Markup:
    found = [parameter for parameter in operation.get("parameters", ()) if parameter["in"] == place]
    if not found:
        return Markup("")
    schema = {
        "properties": {p["name"]: {**p["schema"], "description": p.get("description", "")} for p in found},
        "required": [p["name"] for p in found if p.get("required")],
    }
    return together([element("h4", title), members(schema, request=True)])


def _request(operation: JsonObject, schemas: JsonObject) -> Markup:
    body = _body(operation)
    if body is None:
        return Markup("")
    media_type, name = body
    note = [] if operation["requestBody"]["required"] else [element("span", "may be empty", class_="note")]
    if media_type != "application/json":
        note.append(element("span", f"as {media_type}", class_="note"))
    link = element("a", name, href=f"#{schema_anchor(name)}")
    heading = element("h4", "Body ", element("span", link, class_="type"), " ", *note)
    text = [element("p", prose(schemas[name]["description"]))] if "description" in schemas[name] else []
    return together([heading, *text, members(schemas[name], request=True)])


def _body(operation: JsonObject) -> tuple[str, str] | None:
    """The media type of an operation's body and the name of its schema."""
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        return media_type, content["schema"]["$ref"].rpartition("/")[2]
    return None


def _success(operation: JsonObject) -> Markup:
    content = operation["responses"]["200"]["content"]
    rows = [
        element("li", type_of(answer["schema"]), element("span", f" as {media_type}", class_="note"))
        for media_type, answer in content.items()
    ]
    headers = {name: {"type": "string", **header} for name, header in operation["responses"]["200"]["headers"].items()}
    table = members({"properties": headers, "required": list(headers)}, request=False)
    more = element("details", element("summary", f"Headers ({len(headers)})"), table)
    return together([element("h4", "Answer"), element("ul", *rows, class_="answers"), more])


def _errors(operation: JsonObject) -> Markup:
    rows = [
        _error(status, error)
        for status, answer in operation["responses"].items()
        for error in answer.get("x-antiphon-errors", ())
    ]
    summary = element("summary", f"Errors ({len(rows)})")
    return element("details", summary, element("dl", *rows, class_="members errors"), class_="errors")


def _error(status: str, error: JsonObject) -> Markup:
    code = error["code"] or error["type"]
    retry = [element("span", "retry helps", class_="note")] if error["retryable"] else []
    head = element("dt", element("span", status, class_="status"), " ", element("code", code), " ", *retry)
    return together([head, element("dd", element("p", prose(error["description"])))])


def _example(method: str, path: str, operation: JsonObject, schemas: JsonObject) -> Markup:
    commands = [_curl(method, path, *data) for data in _sendings(operation, schemas)]
    boxes = [element("pre", element("code", command), tabindex="0") for command in commands]
    return element("aside", *boxes, class_="example")


def _sendings(operation: JsonObject, schemas: JsonObject) -> Iterator[tuple[str, str]]:
    """For each example, curl's flags before the address and what stands behind it."""
    body = _body(operation)
    if body is None:
        yield "", ""
    elif body[0] != "application/json":
        yield "", f" \\\n  -H 'content-type: {body[0]}' \\\n  --data-binary @FILE"
    else:
        for example in schemas[body[1]].get("examples", [{}]):
            data = orjson.dumps(example, option=orjson.OPT_INDENT_2).decode().replace("'", "'\\''")
            flags = " -N" if example.get("stream") else ""
            yield flags, f" \\\n  -H 'content-type: application/json' \\\n  -d '{data}'"


def _curl(method: str, path: str, flags: str, data: str) -> Markup:
    """The operation as a command; what has to be put in is a variable of the shell."""
    verb = f" -X {method}" if method == "DELETE" or (method == "POST" and not data) else ""
    url = "/".join(f"${segment[1:-1].upper()}" if segment.startswith("{") else segment for segment in path.split("/"))
    return together([f"curl{verb}{flags} ", _origin(), url, data])


def _schemas(document: JsonObject) -> Markup:
    schemas = document["components"]["schemas"]
    requests = _of_requests(document)
    entries = [_schema(name, schema, request=name in requests) for name, schema in schemas.items()]
    heading = element("h2", element("a", "Schemas", href="#schemas"))
    return element("section", heading, *entries, id="schemas")


def _schema(name: str, schema: JsonObject, *, request: bool) -> Markup:
    text = [element("p", prose(schema["description"]))] if schema.get("description") else []
    listed = members(schema, request=request)
    kind = [] if listed else [element("div", type_of(schema), class_="type")]
    return element(
        "details",
        element("summary", element("code", name)),
        *text,
        *kind,
        listed,
        id=schema_anchor(name),
        class_="schema",
    )


def _of_requests(document: JsonObject) -> set[str]:
    """The schemas that clients send; all others are answers."""
    bodies = [_body(operation) for operations in document["paths"].values() for operation in operations.values()]
    names = [body[1] for body in bodies if body is not None]
    return reachable(names, document["components"]["schemas"])
