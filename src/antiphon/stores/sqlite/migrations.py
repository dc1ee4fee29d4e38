"""
The steps that lead from each version of the schema to the next. A step that was released is never touched again.

They are written out, not shared with the schema of today: that one goes on changing.
"""

from __future__ import annotations

from typing import Final

__all__ = ["MIGRATIONS"]

# Background turns, idempotency keys, webhooks, lists and prompts.
_TO_VERSION_2: Final = """
ALTER TABLE tenants ADD COLUMN next_key_epoch INTEGER NOT NULL DEFAULT 1;
ALTER TABLE tenants ADD COLUMN secret BLOB;
ALTER TABLE responses ADD COLUMN ephemeral INTEGER NOT NULL DEFAULT 0;
ALTER TABLE responses ADD COLUMN trace BLOB NOT NULL DEFAULT x'';
CREATE INDEX removals_from_above ON removals (tenant, item_log, position) WHERE viewing_log <> item_log;
CREATE INDEX responses_by_index ON responses (tenant, insertion_index);
CREATE INDEX responses_ephemeral ON responses (tenant, log) WHERE ephemeral = 1;
CREATE INDEX conversations_by_age ON conversations (tenant, created_at, id);
CREATE TABLE metadata_index (
    tenant TEXT NOT NULL,
    term BLOB NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('response', 'conversation')),
    ordinal INTEGER NOT NULL,
    object_id TEXT NOT NULL,
    PRIMARY KEY (tenant, term, kind, ordinal, object_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX metadata_by_object ON metadata_index (tenant, kind, object_id);
CREATE TABLE prompts (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    payload BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX prompts_key ON prompts (tenant, id, version);
CREATE INDEX prompts_by_age ON prompts (tenant, created_at, id) WHERE version = 1;
CREATE TABLE pending (
    tenant TEXT NOT NULL,
    response_id TEXT NOT NULL,
    family TEXT NOT NULL,
    background INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    conversation_id TEXT,
    previous_response_id TEXT,
    expires_at INTEGER,
    status TEXT NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'in_progress')),
    holder TEXT NOT NULL,
    epoch INTEGER NOT NULL DEFAULT 1,
    attempts INTEGER NOT NULL DEFAULT 1,
    claim_until_ms INTEGER NOT NULL,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    next_event INTEGER,
    key BLOB,
    insertion_index INTEGER,
    model TEXT NOT NULL,
    alias TEXT NOT NULL,
    PRIMARY KEY (tenant, response_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX pending_by_index ON pending (tenant, insertion_index) WHERE insertion_index IS NOT NULL;
CREATE INDEX pending_by_holder ON pending (holder);
CREATE INDEX pending_by_claim ON pending (claim_until_ms);
CREATE TABLE pending_requests (
    tenant TEXT NOT NULL,
    response_id TEXT NOT NULL,
    payload BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX pending_requests_key ON pending_requests (tenant, response_id);
CREATE TABLE stream_events (
    tenant TEXT NOT NULL,
    response_id TEXT NOT NULL,
    first INTEGER NOT NULL,
    count INTEGER NOT NULL,
    payload BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX stream_events_key ON stream_events (tenant, response_id, first);
CREATE TABLE idempotency (
    tenant TEXT NOT NULL,
    key BLOB NOT NULL,
    fingerprint BLOB NOT NULL,
    holder TEXT,
    epoch INTEGER NOT NULL,
    claim_until_ms INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    response_id TEXT,
    settled INTEGER NOT NULL DEFAULT 0,
    expires_at INTEGER NOT NULL,
    answer BLOB
) STRICT;
CREATE UNIQUE INDEX idempotency_key ON idempotency (tenant, key);
CREATE INDEX idempotency_by_holder ON idempotency (holder) WHERE holder IS NOT NULL;
CREATE INDEX idempotency_by_expiry ON idempotency (expires_at);
CREATE TABLE deliveries (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    response_id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at INTEGER,
    delivered_at INTEGER,
    outcome TEXT NOT NULL DEFAULT '',
    payload BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX deliveries_key ON deliveries (tenant, id);
CREATE INDEX deliveries_by_response ON deliveries (tenant, response_id);
CREATE INDEX deliveries_by_age ON deliveries (tenant, created_at, id);
CREATE INDEX deliveries_by_time ON deliveries (next_at, created_at) WHERE next_at IS NOT NULL;
"""

# MIGRATIONS[n] leads from version n + 1 to version n + 2.
MIGRATIONS: Final[tuple[str, ...]] = (_TO_VERSION_2,)
