"""
The tables of a SQLite store, and how an older file becomes a present one.

Every key begins with the tenant. Tables with payloads are ordinary ones with unique indexes: WITHOUT ROWID made their
file 2.3 times bigger. Tables of short rows are their own index, which is one page less to write for each turn.
A file says what it is by ``application_id`` and how far it is migrated by ``user_version``.

To change the schema: change :data:`SCHEMA`, add the statements that lead there from the version before to
:data:`~antiphon.stores.sqlite.migrations.MIGRATIONS`, and never touch a migration that was released. A test proves
that both ways lead to the same.
"""

from __future__ import annotations

import apsw
import msgspec

from antiphon.hub.errors import StoreUnavailable
from antiphon.stores.sqlite.migrations import MIGRATIONS

__all__ = ["APPLICATION_ID", "CURRENT", "SCHEMA", "Schema", "prepare"]

APPLICATION_ID = 0x416E7469  # "Anti"

SCHEMA = """
-- The counter that orders a tenant's turns, the one that tells the claims of its idempotency keys apart, and what its
-- keyed hashes are made with.
CREATE TABLE tenants (
    tenant TEXT NOT NULL PRIMARY KEY,
    next_insertion_index INTEGER NOT NULL,
    next_key_epoch INTEGER NOT NULL DEFAULT 1,
    secret BLOB
) STRICT, WITHOUT ROWID;

-- One row for each family that has a log. Without its salt a family's key cannot be derived again.
CREATE TABLE families (
    tenant TEXT NOT NULL,
    family TEXT NOT NULL,
    salt BLOB NOT NULL,
    PRIMARY KEY (tenant, family)
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
    trace BLOB NOT NULL DEFAULT x''
) STRICT;
CREATE UNIQUE INDEX responses_key ON responses (tenant, id);
CREATE INDEX responses_by_log ON responses (tenant, log, last_position);
CREATE INDEX responses_by_conversation ON responses (tenant, conversation_id, created_at, insertion_index)
    WHERE conversation_id IS NOT NULL;
CREATE INDEX responses_by_index ON responses (tenant, insertion_index);
CREATE INDEX responses_ephemeral ON responses (tenant, log) WHERE ephemeral = 1;
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
-- commit, or with an answer of its own.
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

    Raises:
        StoreUnavailable: The file belongs to something else, or to a newer version of this software.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        _migrate(connection, schema)
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _migrate(connection: apsw.Connection, schema: Schema) -> None:
    application = connection.pragma("application_id")
    version = connection.pragma("user_version")
    if application != APPLICATION_ID and connection.execute("SELECT count(*) FROM sqlite_schema").get:
        raise StoreUnavailable("The file is a database of another program. Give the store a file of its own.")
    if version > schema.version:
        raise StoreUnavailable(
            f"The store's schema is version {version}, this software knows up to {schema.version}. "
            "Upgrade antiphon, or open a backup that was made before the upgrade."
        )
    if version == 0:
        connection.execute(schema.script)
    for step in schema.migrations[version - 1 :] if version else ():
        connection.execute(step)
    connection.pragma("application_id", APPLICATION_ID)
    connection.pragma("user_version", schema.version)
