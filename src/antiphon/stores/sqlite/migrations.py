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

# Sealing, tenants, API keys, the audit trail, end users. What had no seal has none now: the salts of version 2 were not
# used. A secret was kept as it is; it is a payload from now on, a plain one.
_TO_VERSION_3: Final = """
ALTER TABLE families RENAME COLUMN salt TO seal;
UPDATE families SET seal = x'';
ALTER TABLE responses ADD COLUMN end_user BLOB;
CREATE INDEX responses_by_end_user ON responses (tenant, end_user, created_at, id) WHERE end_user IS NOT NULL;
ALTER TABLE pending ADD COLUMN end_user BLOB;
CREATE INDEX pending_by_family ON pending (tenant, family);
CREATE INDEX pending_by_end_user ON pending (tenant, end_user) WHERE end_user IS NOT NULL;
INSERT INTO families (tenant, family, seal) SELECT DISTINCT tenant, family, x'' FROM pending WHERE true
ON CONFLICT DO NOTHING;
ALTER TABLE idempotency ADD COLUMN about TEXT;
CREATE INDEX idempotency_by_subject ON idempotency (tenant, about) WHERE about IS NOT NULL;
ALTER TABLE tenants ADD COLUMN stored_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tenants ADD COLUMN created_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tenants ADD COLUMN retention_days REAL;
ALTER TABLE tenants ADD COLUMN max_stored_bytes INTEGER;
ALTER TABLE tenants ADD COLUMN state TEXT NOT NULL DEFAULT 'active'
    CHECK (state IN ('active', 'suspended', 'erasing'));
UPDATE tenants SET secret = CAST(x'00' || '"' || lower(hex(secret)) || '"' AS BLOB) WHERE secret IS NOT NULL;
INSERT INTO tenants (tenant, next_insertion_index)
SELECT tenant, 1 FROM (SELECT tenant FROM families UNION SELECT tenant FROM prompts) WHERE true
ON CONFLICT DO NOTHING;
UPDATE tenants SET stored_bytes = coalesce(length(secret), 0)
    + (SELECT coalesce(sum(length(payload)), 0) FROM items t WHERE t.tenant = tenants.tenant)
    + (SELECT coalesce(sum(length(payload) + length(trace)), 0) FROM responses t WHERE t.tenant = tenants.tenant)
    + (SELECT coalesce(sum(length(payload)), 0) FROM conversations t WHERE t.tenant = tenants.tenant)
    + (SELECT coalesce(sum(length(payload)), 0) FROM prompts t WHERE t.tenant = tenants.tenant)
    + (SELECT coalesce(sum(length(payload)), 0) FROM pending_requests t WHERE t.tenant = tenants.tenant)
    + (SELECT coalesce(sum(length(payload)), 0) FROM stream_events t WHERE t.tenant = tenants.tenant)
    + (SELECT coalesce(sum(length(answer)), 0) FROM idempotency t WHERE t.tenant = tenants.tenant)
    + (SELECT coalesce(sum(length(payload)), 0) FROM deliveries t WHERE t.tenant = tenants.tenant);
CREATE INDEX items_plain ON items (tenant) WHERE substr(payload, 1, 1) = x'00';
CREATE INDEX responses_plain ON responses (tenant) WHERE substr(payload, 1, 1) = x'00';
CREATE INDEX traces_plain ON responses (tenant) WHERE substr(trace, 1, 1) = x'00';
CREATE INDEX conversations_plain ON conversations (tenant) WHERE substr(payload, 1, 1) = x'00';
CREATE INDEX prompts_plain ON prompts (tenant) WHERE substr(payload, 1, 1) = x'00';
CREATE INDEX answers_plain ON idempotency (tenant) WHERE substr(answer, 1, 1) = x'00';
CREATE INDEX deliveries_plain ON deliveries (tenant) WHERE substr(payload, 1, 1) = x'00';
CREATE TABLE tenant_keys (
    tenant TEXT NOT NULL,
    version INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('next', 'active', 'retiring')),
    root_ref TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, version)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX tenant_keys_active ON tenant_keys (tenant) WHERE state = 'active';
CREATE TABLE api_keys (
    key_id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    mac BLOB NOT NULL,
    previous_mac BLOB,
    previous_until INTEGER,
    hint TEXT NOT NULL,
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    models TEXT,
    requests_per_minute INTEGER,
    tokens_per_minute INTEGER,
    parallel_turns INTEGER,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER,
    last_used_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX api_keys_by_tenant ON api_keys (tenant, created_at, key_id);
CREATE TABLE audit (
    tenant TEXT NOT NULL,
    idx INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    object_id TEXT NOT NULL,
    outcome TEXT NOT NULL,
    request_id TEXT NOT NULL,
    link BLOB NOT NULL,
    PRIMARY KEY (tenant, idx)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER items_changed AFTER UPDATE OF payload ON items BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes + coalesce(length(new.payload), 0) - coalesce(length(old.payload), 0)
    WHERE tenant = new.tenant;
END;
CREATE TRIGGER responses_changed AFTER UPDATE OF payload, trace ON responses BEGIN
    UPDATE tenants
    SET stored_bytes = stored_bytes + length(new.payload) + length(new.trace) - length(old.payload) - length(old.trace)
    WHERE tenant = new.tenant;
END;
CREATE TRIGGER conversations_added AFTER INSERT ON conversations BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes + length(new.payload) WHERE tenant = new.tenant;
END;
CREATE TRIGGER conversations_changed AFTER UPDATE OF payload ON conversations BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes + length(new.payload) - length(old.payload)
    WHERE tenant = new.tenant;
END;
CREATE TRIGGER conversations_erased AFTER DELETE ON conversations BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes - length(old.payload) WHERE tenant = old.tenant;
END;
CREATE TRIGGER prompts_added AFTER INSERT ON prompts BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes + length(new.payload) WHERE tenant = new.tenant;
END;
CREATE TRIGGER prompts_changed AFTER UPDATE OF payload ON prompts BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes + length(new.payload) - length(old.payload)
    WHERE tenant = new.tenant;
END;
CREATE TRIGGER prompts_erased AFTER DELETE ON prompts BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes - length(old.payload) WHERE tenant = old.tenant;
END;
CREATE TRIGGER pending_requests_added AFTER INSERT ON pending_requests BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes + length(new.payload) WHERE tenant = new.tenant;
END;
CREATE TRIGGER pending_requests_changed AFTER UPDATE OF payload ON pending_requests BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes + length(new.payload) - length(old.payload)
    WHERE tenant = new.tenant;
END;
CREATE TRIGGER pending_requests_erased AFTER DELETE ON pending_requests BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes - length(old.payload) WHERE tenant = old.tenant;
END;
CREATE TRIGGER stream_events_added AFTER INSERT ON stream_events BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes + length(new.payload) WHERE tenant = new.tenant;
END;
CREATE TRIGGER stream_events_changed AFTER UPDATE OF payload ON stream_events BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes + length(new.payload) - length(old.payload)
    WHERE tenant = new.tenant;
END;
CREATE TRIGGER stream_events_erased AFTER DELETE ON stream_events BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes - length(old.payload) WHERE tenant = old.tenant;
END;
CREATE TRIGGER idempotency_added AFTER INSERT ON idempotency WHEN new.answer IS NOT NULL BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes + length(new.answer) WHERE tenant = new.tenant;
END;
CREATE TRIGGER idempotency_changed AFTER UPDATE OF answer ON idempotency BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes + coalesce(length(new.answer), 0) - coalesce(length(old.answer), 0)
    WHERE tenant = new.tenant;
END;
CREATE TRIGGER idempotency_erased AFTER DELETE ON idempotency WHEN old.answer IS NOT NULL BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes - length(old.answer) WHERE tenant = old.tenant;
END;
CREATE TRIGGER deliveries_added AFTER INSERT ON deliveries BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes + length(new.payload) WHERE tenant = new.tenant;
END;
CREATE TRIGGER deliveries_changed AFTER UPDATE OF payload ON deliveries BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes + length(new.payload) - length(old.payload)
    WHERE tenant = new.tenant;
END;
CREATE TRIGGER deliveries_erased AFTER DELETE ON deliveries BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes - length(old.payload) WHERE tenant = old.tenant;
END;
CREATE TRIGGER secret_changed AFTER UPDATE OF secret ON tenants BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes + coalesce(length(new.secret), 0) - coalesce(length(old.secret), 0)
    WHERE tenant = new.tenant;
END;
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN
    SELECT raise(ABORT, 'an entry of the audit trail is never changed');
END;
CREATE TRIGGER audit_is_not_erased BEFORE DELETE ON audit BEGIN
    SELECT raise(ABORT, 'an entry of the audit trail is never erased');
END;
"""

# MIGRATIONS[n] leads from version n + 1 to version n + 2.
MIGRATIONS: Final[tuple[str, ...]] = (_TO_VERSION_2, _TO_VERSION_3)
