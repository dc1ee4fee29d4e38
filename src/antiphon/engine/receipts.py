"""Receipts: what a deletion says of what it erased, or of what it would have erased."""

from __future__ import annotations

from antiphon.hub.items import JsonObject
from antiphon.sessions.directory import Erasure

__all__ = ["deleted_body", "receipt_body"]


def receipt_body(erasure: Erasure) -> JsonObject:
    """The receipt as clients see it."""
    return {
        "responses": list(erasure.responses),
        "conversations": list(erasure.conversations),
        "prompts": list(erasure.prompts),
        "items": erasure.items,
        "other": dict(erasure.other),
        "keys_destroyed": erasure.keys_destroyed,
        "payload_bytes": erasure.payload_bytes,
    }


def deleted_body(kind: str, its_id: str, erasure: Erasure, *, receipt: bool, dry_run: bool) -> JsonObject:
    """What the API answers to a deletion, with its receipt where that is wanted."""
    body: JsonObject = {"id": its_id, "object": kind, "deleted": not dry_run}
    if receipt or dry_run:
        body["receipt"] = receipt_body(erasure)
    return body
