"""
What is stored in the clear: every column, and of what kind it is. A column that is not named here fails a test.

Whatever a person or a model wrote is in a *payload*, which is sealed; everything else can be read by whoever has the
file. So nothing else may hold content:

- ``id``: minted here, or given by an operator; names a row, a tenant, an actor, a request or a process.
- ``place``: positions, log numbers and epochs, which order rows and tie them together.
- ``count``: how many, how long, which version, yes or no.
- ``time``: seconds or milliseconds.
- ``status``: one of a closed set of words.
- ``name``: what an operator or an upstream calls a model, a key or a scope. Never a person's words.
- ``keyed hash``: can be compared, and says nothing without the key.
- ``wrapped key``: what a key service has encrypted.
- ``seal``: random bytes that keys are derived with, and commitments to them.
- ``payload``: bytes that only a codec can read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

__all__ = ["COLUMNS", "Kind"]

Kind = Literal["id", "place", "count", "time", "status", "name", "keyed hash", "wrapped key", "seal", "payload"]

COLUMNS: Final[Mapping[str, Mapping[str, Kind]]] = {
    "tenants": {
        "tenant": "id",
        "next_insertion_index": "place",
        "next_key_epoch": "place",
        "secret": "payload",
        "stored_bytes": "count",
        "created_at": "time",
        "retention_days": "count",
        "max_stored_bytes": "count",
        "state": "status",
    },
    "tenant_keys": {
        "tenant": "id",
        "version": "count",
        "state": "status",
        "root_ref": "id",
        "wrapped": "wrapped key",
        "created_at": "time",
    },
    "families": {"tenant": "id", "family": "id", "seal": "seal"},
    "api_keys": {
        "key_id": "id",
        "tenant": "id",
        "mac": "keyed hash",
        "previous_mac": "keyed hash",
        "previous_until": "time",
        "hint": "id",
        "name": "name",
        "scopes": "name",
        "models": "name",
        "requests_per_minute": "count",
        "tokens_per_minute": "count",
        "parallel_turns": "count",
        "created_at": "time",
        "created_by": "id",
        "expires_at": "time",
        "revoked_at": "time",
        "last_used_at": "time",
    },
    "audit": {
        "tenant": "id",
        "idx": "place",
        "at_ms": "time",
        "actor": "id",
        "action": "status",
        "object_id": "id",
        "outcome": "status",
        "request_id": "id",
        "link": "keyed hash",
    },
    "logs": {
        "tenant": "id",
        "log": "place",
        "family": "id",
        "kind": "status",
        "base_log": "place",
        "base_position": "place",
        "base_epoch": "place",
        "length": "place",
        "epoch": "place",
    },
    "items": {
        "tenant": "id",
        "log": "place",
        "position": "place",
        "id": "id",
        "type": "status",
        "left_out": "count",
        "ref_log": "place",
        "ref_position": "place",
        "payload": "payload",
    },
    "removals": {
        "tenant": "id",
        "viewing_log": "place",
        "item_log": "place",
        "position": "place",
        "epoch": "place",
    },
    "responses": {
        "tenant": "id",
        "id": "id",
        "log": "place",
        "first_position": "place",
        "output_position": "place",
        "last_position": "place",
        "epoch": "place",
        "previous_response_id": "id",
        "conversation_id": "id",
        "status": "status",
        "model": "name",
        "alias": "name",
        "provider": "name",
        "created_at": "time",
        "insertion_index": "place",
        "completed_at": "time",
        "expires_at": "time",
        "input_tokens": "count",
        "cached_tokens": "count",
        "cache_write_tokens": "count",
        "output_tokens": "count",
        "reasoning_tokens": "count",
        "payload": "payload",
        "ephemeral": "count",
        "trace": "payload",
        "end_user": "keyed hash",
    },
    "conversations": {
        "tenant": "id",
        "id": "id",
        "log": "place",
        "created_at": "time",
        "holder": "id",
        "lock_epoch": "place",
        "lock_until_ms": "time",
        "payload": "payload",
    },
    "metadata_index": {
        "tenant": "id",
        "term": "keyed hash",
        "kind": "status",
        "ordinal": "place",
        "object_id": "id",
    },
    "prompts": {"tenant": "id", "id": "id", "version": "count", "created_at": "time", "payload": "payload"},
    "pending": {
        "tenant": "id",
        "response_id": "id",
        "family": "id",
        "background": "count",
        "created_at": "time",
        "conversation_id": "id",
        "previous_response_id": "id",
        "expires_at": "time",
        "status": "status",
        "holder": "id",
        "epoch": "place",
        "attempts": "count",
        "claim_until_ms": "time",
        "cancel_requested": "count",
        "next_event": "place",
        "key": "keyed hash",
        "insertion_index": "place",
        "model": "name",
        "alias": "name",
        "end_user": "keyed hash",
    },
    "pending_requests": {"tenant": "id", "response_id": "id", "payload": "payload"},
    "stream_events": {
        "tenant": "id",
        "response_id": "id",
        "first": "place",
        "count": "count",
        "payload": "payload",
    },
    "idempotency": {
        "tenant": "id",
        "key": "keyed hash",
        "fingerprint": "keyed hash",
        "holder": "id",
        "epoch": "place",
        "claim_until_ms": "time",
        "attempts": "count",
        "response_id": "id",
        "settled": "count",
        "expires_at": "time",
        "answer": "payload",
        "about": "id",
    },
    "deliveries": {
        "tenant": "id",
        "id": "id",
        "response_id": "id",
        "created_at": "time",
        "attempts": "count",
        "next_at": "time",
        "delivered_at": "time",
        "outcome": "status",
        "payload": "payload",
    },
}
