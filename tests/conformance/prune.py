"""
Makes ``openai-openapi.json`` of OpenAI's published OpenAPI document: ``python -m tests.conformance.prune DOCUMENT``.

Kept is what says which answers are valid: the responses of the operations that a gateway serves, the webhook events of
responses, and every schema that can be reached from them. Prose, examples, defaults and vendor extensions go: no
validator reads them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["PRUNED", "prune"]

PRUNED = Path(__file__).with_name("openai-openapi.json")

_PREFIXES = ("/responses", "/conversations")
_PATHS = ("/models", "/models/{model}")
_METHODS = frozenset({"get", "post", "delete", "put", "patch"})
_WEBHOOK_PREFIX = "response_"
# Schemas that no operation names although answers have this form.
_ALWAYS = ("#/components/schemas/ErrorResponse",)
_PROSE = frozenset({"description", "example", "examples", "title", "default", "summary", "deprecated", "externalDocs"})
# Below these keys are names that somebody chose, not keywords.
_NAMED = frozenset({"properties", "schemas", "responses", "patternProperties", "mapping"})


def prune(document: dict[str, Any]) -> dict[str, Any]:
    """The part of *document* that says which answers are valid."""
    kept: dict[str, Any] = {
        "openapi": document["openapi"],
        "info": {name: document["info"][name] for name in ("title", "version", "license")},
        "paths": {path: _operations(operations) for path, operations in document["paths"].items() if _wanted(path)},
        "webhooks": {
            name: _operations(operations)
            for name, operations in document["webhooks"].items()
            if name.startswith(_WEBHOOK_PREFIX)
        },
        "components": {},
    }
    pending = [*_ALWAYS, *_references(kept)]
    seen: set[str] = set()
    while pending:
        reference = pending.pop()
        if reference not in seen:
            seen.add(reference)
            _, _, kind, name = reference.split("/")
            component = _bare(document["components"][kind][name])
            kept["components"].setdefault(kind, {})[name] = component
            pending.extend(_references(component))
    return kept


def _wanted(path: str) -> bool:
    return (path.startswith(_PREFIXES) or path in _PATHS) and "beta=" not in path


def _operations(operations: dict[str, Any]) -> dict[str, Any]:
    kept = {}
    for method, operation in operations.items():
        if method in _METHODS:
            parts = {name: operation[name] for name in ("operationId", "requestBody", "responses") if name in operation}
            if "webhook" not in operation.get("operationId", "") and "operationId" in operation:
                parts.pop("requestBody", None)
            kept[method] = _bare(parts)
    return kept


def _bare(node: Any, *, named: bool = False) -> Any:
    if isinstance(node, dict):
        return {
            key: _bare(value, named=not named and key in _NAMED)
            for key, value in node.items()
            if named or not (key in _PROSE or key.startswith("x-"))
        }
    return [_bare(value) for value in node] if isinstance(node, list) else node


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref" and isinstance(value, str):
                yield value
            else:
                yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


if __name__ == "__main__":
    source = json.loads(Path(sys.argv[1]).read_bytes())
    PRUNED.write_text(json.dumps(prune(source), separators=(",", ":"), sort_keys=True) + "\n")
