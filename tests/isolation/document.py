"""
What a published document says that a request can name: every operation, and every field of it that holds an id.

Each string that a client can send is looked at by its name. It is an id of something (:data:`IDS`), a word that names
nothing that is stored (:data:`WORDS`), or unknown; and an unknown one is an error. So a new field cannot be forgotten:
whoever adds it has to say here what it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["IDS", "WORDS", "Field", "Operation", "UnknownField", "fields_of", "least_body", "operations_of", "texts_of"]

# A string, by what it is called, and what it names. More than one kind where the field takes more than one.
IDS: Mapping[str, tuple[str, ...]] = {
    "response_id": ("response",),
    "previous_response_id": ("response",),
    "completion_id": ("completion",),
    "conversation": ("conversation",),
    "conversation_id": ("conversation",),
    "item_id": ("item",),
    "prompt_id": ("prompt",),
    "at": ("item",),
    "to": ("item", "response"),
    "object_id": ("object",),
    "actor": ("actor",),
    "end_user": ("end_user",),
    "user": ("end_user",),
    "user_id": ("end_user",),
    "safety_identifier": ("end_user",),
    "idempotency-key": ("idempotency_key",),
    "encrypted_content": ("sealed",),
    "prompt_cache_key": ("word",),
    "tenant": ("tenant",),
    "key_id": ("api_key",),
    # Tokens of clients and of model servers: nothing is looked up by them, and so it has to stay.
    "call_id": ("word",),
    "tool_call_id": ("word",),
    "tool_use_id": ("word",),
    "approval_request_id": ("word",),
    "connector_id": ("word",),
    "container": ("word",),
    "container_id": ("word",),
    "file_id": ("word",),
    "tunnel_id": ("word",),
    "vector_store_ids": ("word",),
}

# Names that say little: what they name follows from where they are.
IDS_BY_PLACE: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("after", "/v1/responses"): ("response",),
    ("after", "/v1/responses/{response_id}/input_items"): ("item",),
    ("after", "/v1/conversations"): ("conversation",),
    ("after", "/v1/conversations/{conversation_id}/items"): ("item",),
    ("after", "/v1/prompts"): ("prompt",),
    ("after", "/v1/webhook_deliveries"): ("delivery",),
    ("after", "/v1/chat/completions"): ("completion",),
    ("after", "/v1/chat/completions/{completion_id}/messages"): ("message",),
    ("id", "prompt"): ("prompt",),
    ("id", "conversation"): ("conversation",),
    ("id", "input"): ("item",),
    ("id", "items"): ("item",),
    ("id", "tool_calls"): ("word",),
    ("id", "content"): ("word",),
    ("id", "/admin/v1/tenants"): ("tenant",),
}

# Strings that name nothing that a tenant has.
WORDS = frozenset(
    {
        "allowed_tools",
        "anthropic-beta",
        "anthropic-version",
        "arguments",
        "authorization",
        "city",
        "code",
        "commands",
        "content",
        "context",
        "country",
        "data",
        "default",
        "definition",
        "description",
        "diff",
        "file_data",
        "file_url",
        "filename",
        "fingerprint",
        "image_url",
        "input",
        "instructions",
        "metadata.*",
        "mode",
        "model",
        "models",
        "name",
        "namespace",
        "output",
        "path",
        "personality",
        "prompt",
        "queries",
        "reason",
        "reasoning",
        "reasoning_content",
        "refusal",
        "region",
        "result",
        "server_description",
        "server_label",
        "server_url",
        "signature",
        "source",
        "stderr",
        "stdout",
        "stop",
        "stop_sequences",
        "suffix",
        "system",
        "text",
        "thinking",
        "timezone",
        "title",
        "url",
        "variables.*",
        "version",
        "x-antiphon-conversation-wait-ms",
        "x-antiphon-drop",
        "x-antiphon-on-disconnect",
    }
)  # fmt: skip

_TEXT = "x"


class UnknownField(AssertionError):
    """A string of the document that is neither known as an id nor as a word."""


@dataclass(frozen=True)
class Operation:
    """
    One operation, as it is published.

    Attributes:
        scope: None for one that needs no credential.
    """

    name: str
    method: str
    path: str
    scope: str | None
    parameters: Sequence[Mapping[str, Any]]
    body: Mapping[str, Any] | None
    media_type: str | None
    components: Mapping[str, Any] = field(repr=False)

    @property
    def placeholders(self) -> tuple[str, ...]:
        """The names in its path."""
        return tuple(parameter["name"] for parameter in self.parameters if parameter["in"] == "path")


@dataclass(frozen=True)
class Field:
    """
    A place of a request that holds an id.

    Attributes:
        place: path, query, header or body.
        steps: From the body's root to the field; a step is a member, or ``[]`` for the one element of a list.
        body: The smallest body; of a field in it, one that has the field, with nothing in it.
        kinds: What it names.
    """

    operation: Operation
    place: str
    steps: tuple[str, ...]
    kinds: tuple[str, ...]
    variant: str = ""
    body: Any = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """For people."""
        where = ".".join(self.steps) + (f" of {self.variant}" if self.variant else "")
        return f"{self.operation.method} {self.operation.path} {self.place}:{where}"

    def body_with(self, value: object) -> Any:
        """The body that says *value* in this field; the smallest one, for a field that is not in the body."""
        return _put(self.body, self.steps, value) if self.place == "body" else self.body


def operations_of(document: Mapping[str, Any]) -> list[Operation]:
    """Every operation of a document."""
    components = document["components"]["schemas"]
    found = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {})
            media_type = next(iter(content), None)
            found.append(
                Operation(
                    name=operation["operationId"],
                    method=method.upper(),
                    path=path,
                    scope=operation.get("x-antiphon-scope"),
                    parameters=operation.get("parameters", ()),
                    body=None if media_type is None else content[media_type]["schema"],
                    media_type=media_type,
                    components=components,
                )
            )
    return found


def fields_of(operation: Operation) -> list[Field]:
    """
    Every field of an operation that holds an id.

    Of a list of items, each type of item is looked at.

    Raises:
        UnknownField: A string that nobody has classified.
    """
    least = least_body(operation)
    found = [
        Field(operation, parameter["in"], (parameter["name"],), kinds, body=least)
        for parameter in operation.parameters
        if _takes_text(parameter["schema"], operation.components)
        for kinds in [_kinds(operation, (parameter["name"],))]
        if kinds
    ]
    if operation.media_type == "application/json" and operation.body is not None:
        found += [each for each in _Walker(operation).found(operation.body) if each.kinds]
    return found


def texts_of(operation: Operation) -> list[Field]:
    """Every string of an operation's body, whatever it is, and in every type of item."""
    if operation.media_type != "application/json" or operation.body is None:
        return []
    return _Walker(operation).found(operation.body)


def least_body(operation: Operation) -> Any:
    """The smallest body that an operation takes; None if it takes none."""
    if operation.media_type == "application/json" and operation.body is not None:
        return {**_Walker(operation).least(operation.body), **_GIVEN.get((operation.path,), {})}
    return None if operation.media_type is None else _LINES


class _Walker:
    """Goes through the schema of a body, along every path that a value can take."""

    def __init__(self, operation: Operation) -> None:
        self._operation = operation
        self._components = operation.components

    def found(self, schema: Mapping[str, Any]) -> list[Field]:
        seen: dict[tuple[tuple[str, ...], str], Field] = {}
        for steps, variant, body in self._walk(schema, (), "", frozenset()):
            kinds = _kinds(self._operation, steps)
            seen.setdefault((steps, variant), Field(self._operation, "body", steps, kinds, variant, body))
        return list(seen.values())

    def _walk(
        self, schema: Mapping[str, Any], steps: tuple[str, ...], variant: str, above: frozenset[str]
    ) -> Iterator[tuple[tuple[str, ...], str, Any]]:
        """Each string: where it is, the type of item that it is in, and the smallest value around it."""
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            if name not in above:
                variant = name if name.endswith("Input") and steps and not variant else variant
                yield from self._walk(self._components[name], steps, variant, above | {name})
            return
        for choice in _choices(schema):
            yield from self._walk(choice, steps, variant, above)
        if _is_text(schema):
            yield steps, variant, None
        yield from self._members(schema, steps, variant, above)
        for element, step in ((schema.get("items"), "[]"), (schema.get("additionalProperties"), "*")):
            if isinstance(element, Mapping):
                for found, of, inner in self._walk(element, (*steps, step), variant, above):
                    yield found, of, [inner] if step == "[]" else {_TEXT: inner}

    def _members(
        self, schema: Mapping[str, Any], steps: tuple[str, ...], variant: str, above: frozenset[str]
    ) -> Iterator[tuple[tuple[str, ...], str, Any]]:
        required = schema.get("required", ())
        for name, member in schema.get("properties", {}).items():
            if member.get("x-antiphon-refused"):
                continue
            for found, of, inner in self._walk(member, (*steps, name), variant, above):
                least = {other: self.least(schema["properties"][other]) for other in required if other != name}
                yield found, of, {**least, **_GIVEN.get((self._operation.path, *steps), {}), name: inner}

    def least(self, schema: Mapping[str, Any]) -> Any:
        """The smallest value of a schema."""
        if "$ref" in schema:
            return self.least(self._components[schema["$ref"].rpartition("/")[2]])
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return schema["enum"][0]
        choices = _choices(schema)
        return self.least(choices[0]) if choices else self._least_of_type(schema)

    def _least_of_type(self, schema: Mapping[str, Any]) -> Any:
        match schema.get("type"):
            case "string" | ["string", *_]:
                return _TEXT
            case "array" | ["array", *_]:
                return [self.least(schema["items"])] * schema.get("minItems", 0)
            case "integer" | "number":
                return schema.get("minimum", 0)
            case "boolean":
                return False
        return {name: self.least(schema["properties"][name]) for name in schema.get("required", ())}


_LINES = b'{"type":"message","role":"user","content":"x"}\n'

# What a body needs besides what its schema requires.
_ASKS = {"model": "scripted-1", "input": _TEXT}
_TALKS = {"model": "scripted-1", "messages": [{"role": "user", "content": _TEXT}]}
_GIVEN: Mapping[tuple[str, ...], Mapping[str, Any]] = {
    ("/v1/responses",): _ASKS,
    ("/v1/responses/compact",): _ASKS,
    ("/v1/responses/input_tokens",): _ASKS,
    ("/v1/chat/completions",): _TALKS,
    ("/v1/completions",): {"model": "scripted-1", "prompt": _TEXT},
    ("/v1/messages",): {**_TALKS, "max_tokens": 16},
    ("/v1/messages/count_tokens",): _TALKS,
    ("/v1/prompts",): {"instructions": _TEXT},
    ("/v1/prompts/{prompt_id}",): {"instructions": _TEXT},
}


def _kinds(operation: Operation, steps: tuple[str, ...]) -> tuple[str, ...]:
    """What a string names; nothing for a word."""
    names = [step for step in steps if step != "[]"]
    name = names[-1] if names else ""
    if name == "*":
        name = f"{names[-2]}.*"
    for owner in (operation.path, *reversed(names[:-1])):
        if (name, owner) in IDS_BY_PLACE:
            return IDS_BY_PLACE[name, owner]
    if name in IDS:
        return IDS[name]
    if name not in WORDS:
        raise UnknownField(
            f"{operation.method} {operation.path} takes a string '{'.'.join(steps)}' that tests/isolation/document.py "
            "does not know: is it an id, or a word?"
        )
    return ()


def _choices(schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [choice for keyword in ("anyOf", "oneOf", "allOf") for choice in schema.get(keyword, ())]


def _is_text(schema: Mapping[str, Any]) -> bool:
    kind = schema.get("type")
    return (kind == "string" or (isinstance(kind, list) and "string" in kind)) and not {"enum", "const"} & set(schema)


def _takes_text(schema: Mapping[str, Any], components: Mapping[str, Any]) -> bool:
    if "$ref" in schema:
        return _takes_text(components[schema["$ref"].rpartition("/")[2]], components)
    return _is_text(schema) or any(_takes_text(choice, components) for choice in _choices(schema))


def _put(body: Any, steps: Sequence[str], value: object) -> Any:
    """A copy of *body* with *value* at the end of *steps*."""
    if not steps:
        return value
    step, *rest = steps
    if step == "[]":
        return [_put(body[0], rest, value)]
    if step == "*":
        return {name: _put(inner, rest, value) for name, inner in body.items()}
    return {**body, step: _put(body[step], rest, value)}
