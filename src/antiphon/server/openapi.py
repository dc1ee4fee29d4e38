"""
The gateway's own OpenAPI 3.1 document, made from the table of routes and the schemas of the client format.

Nothing is listed here a second time: an operation is in the document because it is in the table, a field because the
decoder checks it, an error because its class is in the tree. What is an extension of ours says so
(``x-antiphon-extension``).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any

import msgspec
import orjson

from antiphon.hub.errors import (
    AntiphonError,
    AuthenticationRequired,
    Forbidden,
    GatewayError,
    HeadersTooLarge,
    IdempotencyConflict,
    IdempotencyKeyReused,
    InsufficientScope,
    InvalidRequest,
    PayloadTooLarge,
    RequestTimeout,
    StoreCorrupt,
    StoreUnavailable,
    TooManyRequests,
    UnsupportedMediaType,
)
from antiphon.hub.format import ErrorForm
from antiphon.hub.items import JsonObject
from antiphon.server.headers import ANSWER_HEADERS, OF_EVERY_ANSWER, REQUEST_HEADERS
from antiphon.server.routes import PUBLIC, Route
from antiphon.version import VERSION

__all__ = ["GATEWAY", "About", "check_routes", "openapi_document", "reachable"]


class About(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a document says of itself.

    Attributes:
        credential: Whom it serves.
    """

    title: str
    introduction: str
    credential: str


GATEWAY = About(
    title="Antiphon",
    introduction="A gateway that gives any language model a memory. It speaks OpenAI's Responses and Conversations "
    "APIs and keeps their state itself; Chat Completions and Anthropic's Messages besides. Operations that OpenAI's "
    "API does not have are marked as extensions.",
    credential="An API key of the gateway, or a token of an identity provider that it trusts. A gateway without keys, "
    "which serves its own machine alone, takes any and none.",
)

_CHAPTERS = {
    "Responses": "Turns: ask a model, and find again what was asked and answered.",
    "Conversations": "Kept, editable lists of items that turns can take place in.",
    "Chat": "Turns in the words of OpenAI's older APIs.",
    "Messages": "Turns in the words of Anthropic's API.",
    "Embeddings": "Texts as vectors.",
    "Prompts": "Stored instructions with placeholders.",
    "Webhooks": "Calls of yours that are made when a turn ends.",
    "Models": "What can be asked.",
    "Tenants": "Who shares this gateway, each with state of its own.",
    "Keys": "What tenants' programs, and administrators, show to be let in.",
    "End users": "Those on whose behalf a tenant's turns are made.",
    "Audit": "Who did what, and when.",
    "Service": "The gateway itself.",
}
_OF_KEYS = (IdempotencyConflict, IdempotencyKeyReused)
_OF_EVERYBODY = (InvalidRequest, Forbidden, RequestTimeout, HeadersTooLarge, GatewayError)
_OF_CREDENTIALS = (AuthenticationRequired, InsufficientScope, TooManyRequests)
_OF_BODIES = (PayloadTooLarge, UnsupportedMediaType)
_OF_STATE = (StoreUnavailable, StoreCorrupt)
# As it stands in JSON that is written without spaces.
_REFERENCE = re.compile(rb'"\$ref":"#/components/schemas/([^"/]+)"')
_STATELESS = ("Models", "Service")
_OF_ERRORS = ("x-should-retry", "retry-after", "retry-after-ms")


def openapi_document(routes: Sequence[Route], schemas: Mapping[str, JsonObject], about: About = GATEWAY) -> JsonObject:
    """
    The document of these routes, with the schemas that they lead to.

    Raises:
        ValueError: A route names a schema that there is not.
    """
    check_routes(routes, schemas)
    used = {route.tag for route in routes}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": about.title,
            "version": VERSION,
            "description": about.introduction,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": ".", "description": "Where this document was read."}],
        "security": [{"bearer": []}],
        "tags": [{"name": tag, "description": text} for tag, text in _CHAPTERS.items() if tag in used],
        "paths": _paths(routes, schemas),
        "components": {
            "schemas": _used(routes, schemas),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": about.credential,
                }
            },
        },
    }


def check_routes(routes: Iterable[Route], schemas: Mapping[str, JsonObject]) -> None:
    """
    See that all that is named in the table is there.

    Raises:
        ValueError: A route names a schema, or a header, that there is not.
    """
    for route in routes:
        _check_names(route, schemas)


def _check_names(route: Route, schemas: Mapping[str, JsonObject]) -> None:
    _check_known(route, "schema", _names(route), schemas)
    _check_known(route, "header of a request", route.request_headers, REQUEST_HEADERS)
    _check_known(route, "header of an answer", route.answer_headers, ANSWER_HEADERS)


def _check_known(route: Route, what: str, names: Iterable[str], known: Iterable[str]) -> None:
    for name in names:
        if name not in known:
            there_are = ", ".join(sorted(known))
            raise ValueError(f"Route {route.method} {route.path}: there is no {what} '{name}'. There are: {there_are}.")


def _names(route: Route) -> list[str]:
    return [*_components(route), *(() if route.query is None else (route.query,))]


def _components(route: Route) -> list[str]:
    """The schemas that the document refers to; a query's parameters are written out."""
    errors = None if route.error_form is None else route.error_form.error_schema
    return [name for name in (route.body, route.answer, route.events, errors) if name is not None]


def _paths(routes: Sequence[Route], schemas: Mapping[str, JsonObject]) -> JsonObject:
    paths: JsonObject = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return paths


def _operation(route: Route, schemas: Mapping[str, JsonObject]) -> JsonObject:
    operation: JsonObject = {
        "operationId": route.name,
        "summary": route.summary,
        "tags": [route.tag],
        **_access(route),
        "x-antiphon-extension": route.extension,
    }
    if route.details:
        operation["description"] = route.details
    parameters = [
        *map(_placeholder, route.placeholders),
        *_query(route, schemas),
        *map(_request_header, ("idempotency-key",) if route.idempotent else ()),
        *map(_request_header, route.request_headers),
    ]
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        content = {route.body_media_type: {"schema": _reference(route.body)}}
        operation["requestBody"] = {"required": not route.optional_body, "content": content}
    operation["responses"] = {"200": _success(route), **_failures(route)}
    return operation


def _access(route: Route) -> JsonObject:
    """What a caller needs: a credential with this scope, or none at all."""
    if route.scope == PUBLIC:
        return {"security": []}
    return {"security": [{"bearer": [route.scope]}], "x-antiphon-scope": route.scope}


def _placeholder(name: str) -> JsonObject:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _request_header(name: str) -> JsonObject:
    return {"name": name, "in": "header", "description": REQUEST_HEADERS[name], "schema": {"type": "string"}}


def _answer_headers(form: ErrorForm | None, *names: str) -> JsonObject:
    of_form = () if form is None or form.id_header is None else (form.id_header,)
    return {
        name: {"description": ANSWER_HEADERS[name], "schema": {"type": "string"}}
        for name in (*OF_EVERY_ANSWER, *of_form, *names)
    }


def _query(route: Route, schemas: Mapping[str, JsonObject]) -> list[JsonObject]:
    if route.query is None:
        return []
    schema = schemas[route.query]
    required = schema.get("required", ())
    return [
        _query_parameter(name, member, schemas, required=name in required)
        for name, member in schema["properties"].items()
    ]


def _query_parameter(name: str, member: JsonObject, schemas: Mapping[str, JsonObject], *, required: bool) -> JsonObject:
    parameter: JsonObject = {"name": name, "in": "query", "description": member.get("description", "")}
    if required:
        parameter["required"] = True
    if _resolved(member, schemas).get("type") == "object":
        parameter |= {"style": "deepObject", "explode": True}  # `metadata[name]=value`
    parameter["schema"] = {key: value for key, value in member.items() if key != "description"}
    return parameter


def _resolved(schema: JsonObject, schemas: Mapping[str, JsonObject]) -> JsonObject:
    return schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def _success(route: Route) -> JsonObject:
    content: JsonObject = {route.media_type: {"schema": _reference(route.answer)}}
    if route.events is not None:
        content["text/event-stream"] = {"schema": _reference(route.events)}
    headers = (*route.answer_headers, *(("idempotent-replayed",) if route.idempotent else ()))
    return {"description": "It succeeded.", "headers": _answer_headers(route.error_form, *headers), "content": content}


def _failures(route: Route) -> JsonObject:
    errors = tuple(dict.fromkeys(_errors(route)))
    return _usual_failures(errors) if route.error_form is None else _told_failures(errors, route.error_form)


@cache
def _usual_failures(errors: tuple[type[AntiphonError], ...]) -> JsonObject:
    """In OpenAI's form; most operations fail in the same few ways. Not to be changed."""
    return _told_failures(errors, None)


def _told_failures(errors: Iterable[type[AntiphonError]], form: ErrorForm | None) -> JsonObject:
    """One answer for each status, which lists the errors that have it."""
    by_status: dict[int, list[type[AntiphonError]]] = {}
    for error in errors:
        by_status.setdefault(_status(form, error), []).append(error)
    schema = "Error" if form is None else form.error_schema
    return {
        str(status): {
            "description": " ".join(_first_sentences(error) for error in alike),
            "headers": _answer_headers(form, *(_OF_ERRORS if any(error.retryable for error in alike) else ())),
            "content": {"application/json": {"schema": _reference(schema)}},
            "x-antiphon-errors": [_error(form, error) for error in alike],
        }
        for status, alike in sorted(by_status.items())
    }


def _errors(route: Route) -> Iterable[type[AntiphonError]]:
    of_credentials = _OF_CREDENTIALS if route.scope != PUBLIC else ()
    of_bodies = _OF_BODIES if route.body is not None else ()
    of_state = _OF_STATE if route.tag not in _STATELESS else ()
    of_keys = _OF_KEYS if route.idempotent else ()
    return chain(_OF_EVERYBODY, of_credentials, of_bodies, route.errors, of_keys, of_state)


def _status(form: ErrorForm | None, error: type[AntiphonError]) -> int:
    return error.status if form is None else form.shown_status(error.status)


def _error(form: ErrorForm | None, error: type[AntiphonError]) -> JsonObject:
    return {
        "type": error.type if form is None else form.shown_type(error.type, error.status),
        "code": error.default_code,
        "retryable": error.retryable,
        "description": _first_sentences(error),
    }


def _first_sentences(error: type[AntiphonError]) -> str:
    """The first paragraph of a class's docstring: the tree of errors says itself what each one means."""
    return _first_paragraph(next(kind.__doc__ for kind in error.__mro__ if kind.__doc__))


@cache
def _first_paragraph(docstring: str) -> str:
    return " ".join(inspect.cleandoc(docstring).partition("\n\n")[0].split())


def _reference(name: str) -> JsonObject:
    return {"$ref": f"#/components/schemas/{name}"}


def reachable(roots: Iterable[str], schemas: Mapping[str, JsonObject]) -> set[str]:
    """The names of the schemas that one comes to from *roots*, these included."""
    found: set[str] = set()
    waiting = set(roots)
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= _references(schemas[name]) - found
    return found


def _used(routes: Sequence[Route], schemas: Mapping[str, JsonObject]) -> JsonObject:
    """The schemas that the operations lead to, in the order in which the format has them."""
    queries = [_references(schemas[route.query]) for route in routes if route.query is not None]
    named = [name for route in routes for name in _components(route)]
    found = reachable({"Error"}.union(named, *queries), schemas)
    return {name: schema for name, schema in schemas.items() if name in found}


def _references(value: Any) -> set[str]:
    """The names of the schemas that a JSON value refers to."""
    return {name.decode() for name in _REFERENCE.findall(orjson.dumps(value))}
