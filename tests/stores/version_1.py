"""
Makes a store as version 1 of the schema left it, with some of everything that it knew.

The schema is a copy, frozen: what files in the field look like does not change any more.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import apsw

from antiphon.stores.sqlite.connection import connect
from antiphon.stores.sqlite.schema import APPLICATION_ID

SCHEMA_1 = """
CREATE TABLE tenants (
    tenant TEXT NOT NULL PRIMARY KEY,
    next_insertion_index INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE families (
    tenant TEXT NOT NULL,
    family TEXT NOT NULL,
    salt BLOB NOT NULL,
    PRIMARY KEY (tenant, family)
) STRICT, WITHOUT ROWID;
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
    payload BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX responses_key ON responses (tenant, id);
CREATE INDEX responses_by_log ON responses (tenant, log, last_position);
CREATE INDEX responses_by_conversation ON responses (tenant, conversation_id, created_at, insertion_index)
    WHERE conversation_id IS NOT NULL;
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
"""

_FAMILY = "00000000000000aa"

# A chain of two turns (a, b), a fork (f) after the first, a conversation with an item of its own and a turn (d), and an
# expired turn (x) of another tenant.
_LOGS = (
    ("acme", 101, "chain", None, -1, 4),
    ("acme", 102, "chain", 101, 1, 4),
    ("acme", 103, "conversation", None, -1, 3),
    ("globex", 104, "chain", None, -1, 2),
)
_ITEMS = (
    ("acme", 101, 0, "msg_a_0", b"\x00a.0"),
    ("acme", 101, 1, "msg_a_1", b"\x00a.1"),
    ("acme", 101, 2, "msg_b_0", b"\x00b.0"),
    ("acme", 101, 3, "msg_b_1", b"\x00b.1"),
    ("acme", 102, 2, "msg_f_0", b"\x00f.0"),
    ("acme", 102, 3, "msg_f_1", b"\x00f.1"),
    ("acme", 103, 0, "msg_c_0", b"\x00c.0"),
    ("acme", 103, 1, "msg_d_0", b"\x00d.0"),
    ("acme", 103, 2, "msg_d_1", b"\x00d.1"),
    ("globex", 104, 0, "msg_x_0", b"\x00x.0"),
    ("globex", 104, 1, "msg_x_1", b"\x00x.1"),
)
# tenant, id, log, first position, last position, conversation, insertion index, expires at
_RESPONSES = (
    ("acme", "resp_a", 101, 0, 1, None, 1, None),
    ("acme", "resp_b", 101, 2, 3, None, 2, None),
    ("acme", "resp_f", 102, 2, 3, None, 3, None),
    ("acme", "resp_d", 103, 1, 2, "conv_c", 4, None),
    ("globex", "resp_x", 104, 0, 1, None, 1, 10),
)


def write_version_1(path: Path) -> None:
    """Write such a file at *path*."""
    with closing(apsw.Connection(str(path))) as bare:
        bare.pragma("user_version", 1)  # makes its first page, as it was made then: without a checksum
    connection = connect(path, busy_timeout_ms=0)
    connection.execute(SCHEMA_1)
    connection.pragma("application_id", APPLICATION_ID)
    connection.pragma("user_version", 1)
    _fill(connection)
    connection.close()


def _fill(connection: apsw.Connection) -> None:
    for tenant, following in (("acme", 5), ("globex", 2)):
        connection.execute("INSERT INTO tenants VALUES (?, ?)", (tenant, following))
        connection.execute("INSERT INTO families VALUES (?, ?, ?)", (tenant, _FAMILY, bytes(32)))
    for tenant, log, kind, base, base_position, length in _LOGS:
        connection.execute(
            """
            INSERT INTO logs (tenant, log, family, kind, base_log, base_position, length)
            VALUES (?, ?, ?, ?, ?, ?, ?)
            """,
            (tenant, log, _FAMILY, kind, base, base_position, length),
        )
    connection.executemany(
        "INSERT INTO items (tenant, log, position, id, type, payload) VALUES (?1, ?2, ?3, ?4, 'message', ?5)", _ITEMS
    )
    for tenant, its_id, log, first, last, conversation_id, index, expires_at in _RESPONSES:
        connection.execute(
            """
            INSERT INTO responses (
                tenant, id, log, first_position, output_position, last_position, epoch, conversation_id, status, model,
                alias, provider, created_at, insertion_index, expires_at, payload
            ) VALUES (?1, ?2, ?3, ?4, ?4 + 1, ?5, 0, ?6, 'completed', 'model', 'alias', '', 1, ?7, ?8, x'00')
            """,
            (tenant, its_id, log, first, last, conversation_id, index, expires_at),
        )
    connection.execute(
        "INSERT INTO conversations (tenant, id, log, created_at, payload) VALUES ('acme', 'conv_c', 103, 1, x'00')"
    )
