"""
The tables of a SQLite store, and how an older file becomes a present one.

Every key begins with the tenant. Tables with payloads are ordinary ones with unique indexes: WITHOUT ROWID made their
file 2.3 times bigger. Tables of short rows are their own index, which is one page less to write for each turn.
A file says what it is by ``application_id`` and how far it is migrated by ``user_version``. Its pages have checksums,
which also stand over what is in the clear and thus not sealed.

What is stored in the clear, and why, is listed in :mod:`antiphon.stores.sqlite.columns`.

To change the schema: change :data:`SCHEMA`, add the statements that lead there from the version before to
:data:`~antiphon.stores.sqlite.migrations.MIGRATIONS`, and never touch a migration that was released. A test proves
that both ways lead to the same.
"""

from __future__ import annotations

from typing import Final

import apsw
import msgspec

from antiphon.hub.errors import StoreCorrupt, StoreUnavailable
from antiphon.stores.sqlite.columns import COLUMNS
from antiphon.stores.sqlite.connection import CHECKSUM_BYTES
from antiphon.stores.sqlite.migrations import MIGRATIONS
from antiphon.stores.sqlite.triggers import TRIGGERS

__all__ = ["APPLICATION_ID", "CURRENT", "PAYLOADS", "SCHEMA", "Schema", "prepare"]

APPLICATION_ID = 0x416E7469  # "Anti"

# The versions whose files may have no page checksums: 0 is an empty database that somebody else has made.
_WITHOUT_CHECKSUMS: Final = (0, 1, 2)

_TABLES: Final = """
-- Every tenant that has data, or was created: the counter that orders its turns, the one that tells the claims of its
-- idempotency keys apart, the payload with its secret, the lengths of all its payloads, and what is configured of it.
CREATE TABLE tenants (
    tenant TEXT NOT NULL PRIMARY KEY,
    next_insertion_index INTEGER NOT NULL,
    next_key_epoch INTEGER NOT NULL DEFAULT 1,
    secret BLOB,
    stored_bytes INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL DEFAULT 0,
    retention_days REAL,
    max_stored_bytes INTEGER,
    state TEXT NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'suspended', 'erasing'))
) STRICT, WITHOUT ROWID;

-- The versions of each tenant's key, wrapped by a key service. The payloads of a tenant without any are plain.
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

-- One row for each family that has a log or a pending turn. Without its seal a family's key cannot be derived again; it
-- is empty where payloads are plain.
CREATE TABLE families (
    tenant TEXT NOT NULL,
    family TEXT NOT NULL,
    seal BLOB NOT NULL,
    PRIMARY KEY (tenant, family)
) STRICT, WITHOUT ROWID;

-- An API key is looked up before it is known whose it is. mac is an HMAC of the whole key; scopes and models are JSON.
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

-- What was done, in the order in which it was done. link ties an entry to all before it. Nothing in it is ever changed.
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

-- Positions are absolute along the path: a log's first position is base_position + 1 (0 without a base), its length is
-- its last position + 1. A log that nothing looks into, but some items of which are referred to, has lost its base_log.
CREATE TABLE logs (
    tenant TEXT NOT NULL,
    log INTEGER NOT NULL,
    family TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('chain', 'conversation')),
    base_log INTEGER,
    base_position INTEGER NOT NULL DEFAULT -1,
    base_epoch INTEGER NOT NULL DEFAULT 0,
    length INTEGER NOT NULL,
    epoch INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, log)
) STRICT, WITHOUT ROWID;
CREATE INDEX logs_by_base ON logs (tenant, base_log, base_position) WHERE base_log IS NOT NULL;
CREATE INDEX logs_by_family ON logs (tenant, family);

-- An item (id and payload), a reference (ref_log and ref_position, always of an item, never of another reference), or
-- what an erased item leaves, so that positions stay without gaps (neither).
CREATE TABLE items (
    tenant TEXT NOT NULL,
    log INTEGER NOT NULL,
    position INTEGER NOT NULL,
    id TEXT,
    type TEXT,
    left_out INTEGER NOT NULL DEFAULT 0,
    ref_log INTEGER,
    ref_position INTEGER,
    payload BLOB
) STRICT;
CREATE UNIQUE INDEX items_key ON items (tenant, log, position);
CREATE UNIQUE INDEX items_by_id ON items (tenant, id) WHERE id IS NOT NULL;
CREATE INDEX items_by_reference ON items (tenant, ref_log, ref_position) WHERE ref_log IS NOT NULL;

CREATE TABLE removals (
    tenant TEXT NOT NULL,
    viewing_log INTEGER NOT NULL,
    item_log INTEGER NOT NULL,
    position INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    PRIMARY KEY (tenant, viewing_log, item_log, position)
) STRICT, WITHOUT ROWID;
-- Items of a log below, hidden by a fork of it.
CREATE INDEX removals_from_above ON removals (tenant, item_log, position) WHERE viewing_log <> item_log;

-- What only some reads want stands behind the payload.
CREATE TABLE responses (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    log INTEGER NOT NULL,
    first_position INTEGER NOT NULL,
    output_position INTEGER NOT NULL,
    last_position INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    previous_response_id TEXT,
    conversation_id TEXT,
    status TEXT NOT NULL,
    model TEXT NOT NULL,
    alias TEXT NOT NULL,
    provider TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    insertion_index INTEGER NOT NULL,
    completed_at INTEGER,
    expires_at INTEGER,
    input_tokens INTEGER,
    cached_tokens INTEGER,
    cache_write_tokens INTEGER,
    output_tokens INTEGER,
    reasoning_tokens INTEGER,
    payload BLOB NOT NULL,
    ephemeral INTEGER NOT NULL DEFAULT 0,
    trace BLOB NOT NULL DEFAULT x'',
    end_user BLOB
) STRICT;
CREATE UNIQUE INDEX responses_key ON responses (tenant, id);
CREATE INDEX responses_by_log ON responses (tenant, log, last_position);
CREATE INDEX responses_by_conversation ON responses (tenant, conversation_id, created_at, insertion_index)
    WHERE conversation_id IS NOT NULL;
CREATE INDEX responses_by_index ON responses (tenant, insertion_index);
CREATE INDEX responses_ephemeral ON responses (tenant, log) WHERE ephemeral = 1;
CREATE INDEX responses_by_end_user ON responses (tenant, end_user, created_at, id) WHERE end_user IS NOT NULL;
-- Without a tenant in front, like others below that are named by time or by holder: the sweeper, and whoever carries
-- out pending work, go through all tenants.
CREATE INDEX responses_by_expiry ON responses (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE conversations (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    log INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    holder TEXT,
    lock_epoch INTEGER NOT NULL DEFAULT 0,
    lock_until_ms INTEGER NOT NULL DEFAULT 0,
    payload BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX conversations_key ON conversations (tenant, id);
CREATE UNIQUE INDEX conversations_by_log ON conversations (tenant, log);
CREATE INDEX conversations_by_age ON conversations (tenant, created_at, id);

-- What responses and conversations are found by. A term is a keyed hash of one name and value; ordinal is what lists of
-- the kind are ordered by.
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

-- Turns that were begun and are not yet stored. The row changes with every renewal and every group of events, so it is
-- short; the request, which may be long and never changes, stands beside it. epoch fences, and grows by one whenever
-- the turn changes hands; attempts only if somebody had begun to work on it, as a turn that waits has lost nothing.
-- Background turns are in lists, and have their place there (insertion_index) from the start.
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
    end_user BLOB,
    PRIMARY KEY (tenant, response_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX pending_by_family ON pending (tenant, family);
CREATE INDEX pending_by_end_user ON pending (tenant, end_user) WHERE end_user IS NOT NULL;
CREATE INDEX pending_by_index ON pending (tenant, insertion_index) WHERE insertion_index IS NOT NULL;
CREATE INDEX pending_by_holder ON pending (holder);
CREATE INDEX pending_by_claim ON pending (claim_until_ms);

CREATE TABLE pending_requests (
    tenant TEXT NOT NULL,
    response_id TEXT NOT NULL,
    payload BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX pending_requests_key ON pending_requests (tenant, response_id);

-- The streams of pending turns: count events from sequence number first on.
CREATE TABLE stream_events (
    tenant TEXT NOT NULL,
    response_id TEXT NOT NULL,
    first INTEGER NOT NULL,
    count INTEGER NOT NULL,
    payload BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX stream_events_key ON stream_events (tenant, response_id, first);

-- A key is claimed (it has a holder), bound to a pending turn (a response and not settled), or settled: by that turn's
-- commit, or with an answer of its own, which goes with what it is about.
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
    answer BLOB,
    about TEXT
) STRICT;
CREATE UNIQUE INDEX idempotency_key ON idempotency (tenant, key);
CREATE INDEX idempotency_by_subject ON idempotency (tenant, about) WHERE about IS NOT NULL;
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

-- Whether anything is plain is asked at every start. In a store that is sealed these have no entry.
CREATE INDEX items_plain ON items (tenant) WHERE substr(payload, 1, 1) = x'00';
CREATE INDEX responses_plain ON responses (tenant) WHERE substr(payload, 1, 1) = x'00';
CREATE INDEX traces_plain ON responses (tenant) WHERE substr(trace, 1, 1) = x'00';
CREATE INDEX conversations_plain ON conversations (tenant) WHERE substr(payload, 1, 1) = x'00';
CREATE INDEX prompts_plain ON prompts (tenant) WHERE substr(payload, 1, 1) = x'00';
CREATE INDEX answers_plain ON idempotency (tenant) WHERE substr(answer, 1, 1) = x'00';
CREATE INDEX deliveries_plain ON deliveries (tenant) WHERE substr(payload, 1, 1) = x'00';
"""

# The columns of payloads. The length of each is in its tenant's ``stored_bytes``.
PAYLOADS: Final[tuple[tuple[str, str], ...]] = tuple(
    (table, column) for table, columns in COLUMNS.items() for column, kind in columns.items() if kind == "payload"
)

SCHEMA: Final = _TABLES + TRIGGERS


class Schema(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a file should look like.

    Attributes:
        script: Makes an empty file a present one.
        migrations: The steps from version 1 on.
    """

    script: str
    migrations: tuple[str, ...] = ()

    @property
    def version(self) -> int:
        """The version that all migrations lead to."""
        return 1 + len(self.migrations)


CURRENT = Schema(script=SCHEMA, migrations=MIGRATIONS)


def prepare(connection: apsw.Connection, schema: Schema = CURRENT) -> None:
    """
    Create the tables in an empty file, or migrate an older one, in one transaction.

    A file of a version before page checksums gets them first: it is rewritten whole.

    Raises:
        StoreUnavailable: The file belongs to something else, or to a newer version of this software.
        StoreCorrupt: The file is damaged.
    """
    if _version_of(connection) in _WITHOUT_CHECKSUMS and connection.reserve_bytes() != CHECKSUM_BYTES:
        connection.pragma("temp_store", "file")  # the whole file would not fit into memory
        connection.reserve_bytes(reserve=CHECKSUM_BYTES)
        connection.execute("VACUUM")
        connection.pragma("temp_store", "memory")
    connection.execute("BEGIN IMMEDIATE")
    try:
        _migrate(connection, schema)
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _version_of(connection: apsw.Connection) -> int:
    """The schema's version; 0 if there is none yet."""
    if connection.pragma("application_id") == APPLICATION_ID:
        return int(connection.pragma("user_version"))
    if connection.execute("SELECT count(*) FROM sqlite_schema").get:
        raise StoreUnavailable("The file is a database of another program. Give the store a file of its own.")
    return 0


def _migrate(connection: apsw.Connection, schema: Schema) -> None:
    version = _version_of(connection)
    if version > schema.version:
        raise StoreUnavailable(
            f"The store's schema is version {version}, this software knows up to {schema.version}. "
            "Upgrade antiphon, or open a backup that was made before the upgrade."
        )
    if version and connection.reserve_bytes() != CHECKSUM_BYTES:
        raise StoreCorrupt("The store's file is damaged (its header denies its checksums). Restore a backup.")
    if version == 0:
        connection.execute(schema.script)
    for step in schema.migrations[version - 1 :] if version else ():
        connection.execute(step)
    connection.pragma("application_id", APPLICATION_ID)
    connection.pragma("user_version", schema.version)
