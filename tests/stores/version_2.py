"""
Makes a store as version 2 of the schema left it, with some of everything that it knew and version 1 did not.

It is a file of version 1 (:mod:`tests.stores.version_1`), migrated by the step to version 2 as it was released.
"""

from __future__ import annotations

from pathlib import Path

from antiphon.stores.sqlite.connection import connect
from antiphon.stores.sqlite.migrations import MIGRATIONS
from tests.stores.version_1 import write_version_1

SECRET = bytes(range(32))

# A pending turn (p) with two events, of a family that nothing else is of; an idempotency key with an answer; a delivery
# that tells of a turn (a); a prompt; a tenant (initech) that has nothing but a prompt.
_ROWS = """
UPDATE tenants SET next_key_epoch = 2 WHERE tenant = 'acme';
UPDATE responses SET trace = x'007472616365' WHERE id = 'resp_a';
INSERT INTO pending (
    tenant, response_id, family, background, created_at, status, holder, claim_until_ms, next_event, insertion_index,
    model, alias
) VALUES ('acme', 'resp_p', '00000000000000bb', 1, 5, 'in_progress', 'one', 0, 2, 5, 'model', 'alias');
UPDATE tenants SET next_insertion_index = 6 WHERE tenant = 'acme';
INSERT INTO pending_requests VALUES ('acme', 'resp_p', x'0070');
INSERT INTO stream_events VALUES ('acme', 'resp_p', 0, 2, x'006576656e7473');
INSERT INTO idempotency (tenant, key, fingerprint, epoch, claim_until_ms, attempts, settled, expires_at, answer)
VALUES ('acme', x'6b', x'66', 1, 0, 1, 1, 2000000, x'00616e73776572');
INSERT INTO deliveries (tenant, id, response_id, created_at, payload) VALUES ('acme', 'wh_a', 'resp_a', 1, x'0077');
INSERT INTO prompts VALUES ('acme', 'pmpt_p', 1, 1, x'00');
INSERT INTO prompts VALUES ('initech', 'pmpt_q', 1, 1, x'0071');
"""


def write_version_2(path: Path) -> None:
    """Write such a file at *path*."""
    write_version_1(path)
    connection = connect(path, busy_timeout_ms=0)
    connection.execute(MIGRATIONS[0])
    # Version 2 kept random salts that nothing was derived with.
    connection.execute("UPDATE families SET salt = randomblob(32)")
    connection.execute(_ROWS)
    connection.execute("UPDATE tenants SET secret = ? WHERE tenant = 'acme'", (SECRET,))
    connection.pragma("user_version", 2)
    connection.close()
