"""
What OpenAI's published OpenAPI document says against an answer of the gateway.

The document is version 2.3.0, pruned; ``tests/conformance/README.md`` names its source. A union is read by the ``type``
and ``role`` of the value in it, as every client does, so that a violation names the field that is wrong and not sixty
kinds of event that it might have been.

Where the document is narrower than the API that it describes, :mod:`tests.support.openapi_document_forgiven` says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from tests.support.openapi_document_forgiven import FORGIVEN, Forgiven, unforgiven
from tests.support.recorder_form import words_in

__all__ = ["UNDESCRIBED", "OpenAPIDocument", "published"]

Schema = Mapping[str, Any]

_PUBLISHED = Path(__file__).parents[1] / "conformance" / "openai-openapi.json"
_ERROR = "ErrorResponse"
_EVENTS = "ResponseStreamEvent"
_DECIDING = ("type", "role")


# Answers of ours that neither OpenAI's document nor the gateway's own describes with a schema.
UNDESCRIBED: Mapping[tuple[str, str], Schema] = {
    ("DELETE", "/v1/responses/{response_id}"): {
        "type": "object",
        "properties": {"id": {"type": "string"}, "object": {"const": "response"}, "deleted": {"const": True}},
        "required": ["id", "object", "deleted"],
        "additionalProperties": False,
    },
    ("GET", "/livez"): {"type": "object"},
    ("GET", "/readyz"): {"type": "object"},
    ("GET", "/openapi.json"): {"type": "object", "required": ["openapi"]},
}


class OpenAPIDocument:
    """
    An OpenAPI 3.1 document that can be asked what is wrong with an answer.

    Args:
        document: With ``paths`` and ``components``; references point into its own components.
        prefix: What stands before its paths on the wire.
        forgiven: Complaints that are left out.

    Attributes:
        words: The texts that it names somewhere.
    """

    def __init__(
        self, document: Mapping[str, Any], *, prefix: str = "", forgiven: Sequence[Forgiven] = FORGIVEN
    ) -> None:
        self._components = document["components"]["schemas"]
        self._validator = _validator_of(self._components)
        self._forgiven = forgiven
        self._routes = _Routes(_described(document["paths"], prefix))
        self.words = words_in(document)

    @cached_property
    def _event_names(self) -> dict[str, Schema]:
        return _types_of(self._components[_EVENTS], self._components)

    def describes(self, method: str, path: str) -> bool:
        """Whether it has a schema for the answer; *path* is the request's, without its query."""
        return self._routes.find(method, path) is not None

    def violations(self, method: str, path: str, status: int, body: object) -> list[str]:
        """What is wrong with a JSON answer of a route that it describes, or with an error of any route."""
        if status >= 400:
            return self._complaints(body, self._components[_ERROR])
        schema = self._routes.find(method, path)
        if schema is None:
            return [f"$: the answer of {method} {path} is described nowhere"]
        return self._complaints(body, schema)

    def event_violations(self, event: object) -> list[str]:
        """What is wrong with one event of a response's stream."""
        name = event.get("type") if isinstance(event, dict) else None
        if not isinstance(event, dict) or name not in self._event_names:
            return unforgiven([f"$.type: {name!r} is no event of a response's stream"], event, self._forgiven)
        return self._complaints(event, self._event_names[name])

    def schema_violations(self, name: str, value: object) -> list[str]:
        """What keeps *value* from being what the component *name* describes."""
        return self._complaints(value, self._components[name])

    def _complaints(self, value: object, schema: Schema) -> list[str]:
        found = _leaves(self._validator(schema).iter_errors(value))
        return unforgiven([f"{error.json_path}: {error.message[:300]}" for error in found], value, self._forgiven)


@cache
def published() -> OpenAPIDocument:
    """OpenAI's document. Read once for a process."""
    return OpenAPIDocument(json.loads(_PUBLISHED.read_bytes()), prefix="/v1")


class _Routes:
    """Schemas of answers, found by method and path."""

    def __init__(self, routes: Iterable[tuple[tuple[str, str], Schema]]) -> None:
        self._patterns = [
            (method, re.compile(re.sub(r"\{[^}]*\}", "[^/]+", path)), schema) for (method, path), schema in routes
        ]

    def find(self, method: str, path: str) -> Schema | None:
        for known, pattern, schema in self._patterns:
            if known == method and pattern.fullmatch(path):
                return schema
        return None


def _described(paths: Mapping[str, Any], prefix: str) -> Iterator[tuple[tuple[str, str], Schema]]:
    """The operations whose answer has a schema. A path without placeholders comes before those with some."""
    for path in sorted(paths, key=lambda path: "{" in path):
        for method, operation in paths[path].items():
            content = operation.get("responses", {}).get("200", {}).get("content", {})
            if "application/json" in content:
                yield (method.upper(), prefix + path), content["application/json"]["schema"]
    yield from UNDESCRIBED.items()


def _leaves(errors: Iterable[ValidationError]) -> Iterator[ValidationError]:
    """The errors themselves; of a union that nothing fits, those of the member that comes closest."""
    for error in errors:
        closest = _closest(error)
        if closest:
            yield from _leaves(closest)
        else:
            yield error


def _closest(error: ValidationError) -> list[ValidationError]:
    if error.validator not in {"anyOf", "oneOf"} or not error.context:
        return []
    members: dict[object, list[ValidationError]] = {}
    for cause in error.context:
        members.setdefault(cause.schema_path[0], []).append(cause)
    # A member whose errors lie deep in the value was meant; one that refuses the value itself was not.
    deepest = max(members.values(), key=lambda causes: (min(len(cause.path) for cause in causes), -len(causes)))
    return deepest if all(cause.path != error.path for cause in deepest) else []


def _validator_of(components: Mapping[str, Schema]) -> Any:
    """JSON Schema 2020-12 that finds references in *components* and reads unions by what decides them."""

    def reference(validator: Any, target: str, instance: object, _schema: Schema) -> Iterator[ValidationError]:
        yield from validator.descend(instance, _component(target, components))

    rules: dict[str, Callable[..., Iterator[ValidationError]]] = {"$ref": reference}
    for keyword in ("anyOf", "oneOf"):
        rules[keyword] = _union(Draft202012Validator.VALIDATORS[keyword], components)
    return extend(Draft202012Validator, rules)  # type: ignore[no-untyped-call]  # types-jsonschema leaves it open


def _union(
    rule: Callable[..., Iterator[ValidationError]], components: Mapping[str, Schema]
) -> Callable[..., Iterator[ValidationError]]:
    def narrowed(
        validator: Any, members: Sequence[Schema], instance: object, schema: Schema
    ) -> Iterator[ValidationError]:
        meant = [member for member in members if _may_be(instance, member, components)]
        if len(meant) == 1:
            yield from validator.descend(instance, meant[0])
        elif meant:
            yield from rule(validator, meant, instance, schema)
        else:
            deciding = {name: instance[name] for name in _DECIDING if isinstance(instance, dict) and name in instance}
            yield ValidationError(f"{deciding} is no member of this union")

    return narrowed


def _may_be(instance: object, schema: Schema, components: Mapping[str, Schema]) -> bool:
    """Whether neither ``type`` nor ``role`` says that *instance* is something else."""
    if "$ref" in schema:
        return _may_be(instance, _component(schema["$ref"], components), components)
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            return any(_may_be(instance, member, components) for member in schema[keyword])
    if not all(_may_be(instance, member, components) for member in schema.get("allOf", ())):
        return False
    if not isinstance(instance, dict):
        return True
    if schema.get("type") not in {None, "object"}:
        return False
    properties = schema.get("properties", {})
    return all(
        name not in instance or not (names := _names(properties.get(name, {}), components)) or instance[name] in names
        for name in _DECIDING
    )


def _names(schema: Schema, components: Mapping[str, Schema]) -> Sequence[object]:
    """The words that a property may be; none if it is not a closed set."""
    if "$ref" in schema:
        return _names(_component(schema["$ref"], components), components)
    return [schema["const"]] if "const" in schema else schema.get("enum", [])


def _types_of(union: Schema, components: Mapping[str, Schema]) -> dict[str, Schema]:
    """The members of a union by what their ``type`` says."""
    members = (_component(member["$ref"], components) for member in union["anyOf"])
    return {str(name): member for member in members for name in _names(_properties(member)["type"], components)}


def _properties(schema: Schema) -> Mapping[str, Any]:
    merged = dict(schema.get("properties", {}))
    for part in schema.get("allOf", ()):
        merged.update(part.get("properties", {}))
    return merged


def _component(reference: str, components: Mapping[str, Schema]) -> Schema:
    return components[reference.rpartition("/")[2]]
