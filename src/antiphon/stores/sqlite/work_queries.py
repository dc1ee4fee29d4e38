"""
The statements of pending turns, idempotency keys and deliveries, by name; see :mod:`antiphon.stores.sqlite.queries`.

``?1`` is the tenant, except under "All tenants". What is written under a claim names its holder and epoch in the same
statement that changes the row, so that no claim is in force that was not looked at.
"""

from __future__ import annotations

from typing import Final

READ_TRACE: Final = """
SELECT trace FROM responses WHERE tenant = ?1 AND id = ?2 AND (expires_at IS NULL OR expires_at > ?3)
"""

# Pending turns.

ADD_PENDING: Final = """
INSERT INTO pending (
    tenant, response_id, family, background, created_at, conversation_id, previous_response_id, expires_at, holder,
    claim_until_ms, key, insertion_index, model, alias, end_user
)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15
WHERE NOT EXISTS (SELECT 1 FROM responses r WHERE r.tenant = ?1 AND r.id = ?2)
ON CONFLICT (tenant, response_id) DO NOTHING
"""

ADD_PENDING_REQUEST: Final = "INSERT INTO pending_requests (tenant, response_id, payload) VALUES (?1, ?2, ?3)"

_PENDING: Final = """
SELECT p.response_id, p.family, p.background, p.created_at, p.conversation_id, p.previous_response_id, p.expires_at,
       p.status, p.attempts, p.cancel_requested, q.payload, p.tenant, p.epoch
FROM pending p CROSS JOIN pending_requests q ON q.tenant = p.tenant AND q.response_id = p.response_id
"""

READ_PENDING: Final = _PENDING + "WHERE p.tenant = ?1 AND p.response_id = ?2"

# A group that begins where the last one ended, or anywhere if it is the first.
EXTEND_STREAM: Final = """
UPDATE pending SET status = 'in_progress', next_event = ?5 + ?6
WHERE tenant = ?1 AND response_id = ?2 AND holder = ?3 AND epoch = ?4
  AND (next_event IS NULL OR next_event = ?5) AND ?6 > 0
RETURNING cancel_requested
"""

FIND_CLAIM: Final = "SELECT 1 FROM pending WHERE tenant = ?1 AND response_id = ?2 AND holder = ?3 AND epoch = ?4"

ADD_EVENTS: Final = """
INSERT INTO stream_events (tenant, response_id, first, count, payload) VALUES (?1, ?2, ?3, ?4, ?5)
"""

# From the last group on that begins at ?3 or before it; the first condition leaves that one out if it ends there.
READ_EVENTS: Final = """
SELECT e.first, e.count, e.payload FROM stream_events e
WHERE e.tenant = ?1 AND e.response_id = ?2 AND e.first + e.count > ?3 AND e.first >= coalesce((
    SELECT max(b.first) FROM stream_events b WHERE b.tenant = ?1 AND b.response_id = ?2 AND b.first <= ?3
), ?3)
ORDER BY e.first
"""

REQUEST_CANCEL: Final = """
UPDATE pending SET cancel_requested = 1 WHERE tenant = ?1 AND response_id = ?2 RETURNING 1
"""

DROP_PENDING: Final = """
DELETE FROM pending WHERE tenant = ?1 AND response_id = ?2 AND holder = ?3 AND epoch = ?4
RETURNING key, insertion_index, family
"""

DROP_ANY_PENDING: Final = """
DELETE FROM pending WHERE tenant = ?1 AND response_id = ?2 RETURNING key, insertion_index, family
"""

DROP_PENDING_REQUEST: Final = "DELETE FROM pending_requests WHERE tenant = ?1 AND response_id = ?2"

DROP_EVENTS: Final = "DELETE FROM stream_events WHERE tenant = ?1 AND response_id = ?2"

# Idempotency keys. One whose time is over counts as absent, except where it is only cleared away.

# A number of its own for each claim: a key that was forgotten and taken anew is not open to its old holder's claim.
TAKE_KEY_EPOCH: Final = """
INSERT INTO tenants (tenant, next_insertion_index, next_key_epoch) VALUES (?1, 1, 2)
ON CONFLICT (tenant) DO UPDATE SET next_key_epoch = next_key_epoch + 1 WHERE state <> 'erasing'
RETURNING next_key_epoch - 1
"""

READ_KEY: Final = """
SELECT fingerprint, response_id, settled, answer, holder, claim_until_ms, attempts
FROM idempotency WHERE tenant = ?1 AND key = ?2 AND expires_at > ?3
"""

PUT_KEY: Final = """
INSERT INTO idempotency (tenant, key, fingerprint, holder, epoch, claim_until_ms, attempts, expires_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
ON CONFLICT (tenant, key) DO UPDATE SET
    fingerprint = excluded.fingerprint, holder = excluded.holder, epoch = excluded.epoch,
    claim_until_ms = excluded.claim_until_ms, attempts = excluded.attempts, expires_at = excluded.expires_at,
    response_id = NULL, settled = 0, answer = NULL, about = NULL
"""

BIND_KEY: Final = """
UPDATE idempotency SET response_id = ?6, holder = NULL
WHERE tenant = ?1 AND key = ?2 AND holder = ?3 AND epoch = ?4 AND expires_at > ?5
RETURNING 1
"""

SETTLE_KEY: Final = """
UPDATE idempotency SET settled = 1, answer = ?6, about = iif(?6 IS NULL, NULL, ?7), holder = NULL
WHERE tenant = ?1 AND key = ?2 AND holder = ?3 AND epoch = ?4 AND expires_at > ?5
RETURNING 1
"""

# What an answer may be about.
FIND_SUBJECT: Final = """
SELECT 1 WHERE EXISTS (SELECT 1 FROM responses r WHERE r.tenant = ?1 AND r.id = ?2)
            OR EXISTS (SELECT 1 FROM pending p WHERE p.tenant = ?1 AND p.response_id = ?2)
            OR EXISTS (SELECT 1 FROM conversations c WHERE c.tenant = ?1 AND c.id = ?2)
"""

SETTLE_BOUND_KEY: Final = "UPDATE idempotency SET settled = 1 WHERE tenant = ?1 AND key = ?2 AND response_id = ?3"

RELEASE_KEY: Final = "DELETE FROM idempotency WHERE tenant = ?1 AND key = ?2 AND holder = ?3 AND epoch = ?4"

# The key stays settled: its request was carried out.
DROP_ANSWERS: Final = "UPDATE idempotency SET answer = NULL, about = NULL WHERE tenant = ?1 AND about = ?2"

DROP_BOUND_KEY: Final = "DELETE FROM idempotency WHERE tenant = ?1 AND key = ?2 AND response_id = ?3"

# Deliveries. One whose response has expired counts as absent.

ADD_DELIVERY: Final = """
INSERT INTO deliveries (tenant, id, response_id, created_at, payload, next_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
"""

DROP_DELIVERIES: Final = "DELETE FROM deliveries WHERE tenant = ?1 AND response_id = ?2"

_OF_LIVE_RESPONSES: Final = """
WHERE EXISTS (
    SELECT 1 FROM responses r
    WHERE r.tenant = d.tenant AND r.id = d.response_id AND (r.expires_at IS NULL OR r.expires_at > ?2)
)
"""

_RECORD: Final = """
UPDATE deliveries AS d SET attempts = attempts + 1, outcome = ?4, next_at = ?5, delivered_at = ?6
"""

RECORD_DELIVERY: Final = _RECORD + _OF_LIVE_RESPONSES + "AND d.tenant = ?1 AND d.id = ?3"

_DELIVERY: Final = """
SELECT d.id, d.response_id, d.created_at, d.payload, d.attempts, d.next_at, d.delivered_at, d.outcome, d.tenant
FROM deliveries d
"""

_NEWEST_FIRST: Final = "ORDER BY d.created_at DESC, d.id DESC LIMIT ?3"

LIST_DELIVERIES: Final = _DELIVERY + _OF_LIVE_RESPONSES + "AND d.tenant = ?1 " + _NEWEST_FIRST

_PLACE: Final = "SELECT d.created_at, d.id FROM deliveries d"

LIST_DELIVERIES_AFTER: Final = (
    _DELIVERY
    + _OF_LIVE_RESPONSES
    + "AND d.tenant = ?1 AND (d.created_at, d.id) < ("
    + _PLACE
    + _OF_LIVE_RESPONSES
    + "AND d.tenant = ?1 AND d.id = ?4) "
    + _NEWEST_FIRST
)

# All tenants.

RENEW_PENDING: Final = """
UPDATE pending SET claim_until_ms = ?2 WHERE holder = ?1 RETURNING tenant, response_id, cancel_requested
"""

RENEW_KEYS: Final = "UPDATE idempotency SET claim_until_ms = ?2 WHERE holder = ?1"

FIND_ABANDONED: Final = (
    _PENDING + "WHERE p.claim_until_ms <= ?1 ORDER BY p.created_at, p.tenant, p.response_id LIMIT ?2"
)

TAKE_PENDING: Final = """
UPDATE pending SET holder = ?3, claim_until_ms = ?4, epoch = epoch + 1, attempts = attempts + (status = 'in_progress')
WHERE tenant = ?1 AND response_id = ?2
"""

FIND_DUE: Final = (
    _DELIVERY + _OF_LIVE_RESPONSES + "AND d.next_at <= ?2 ORDER BY d.next_at, d.created_at, d.tenant, d.id LIMIT ?1"
)

PUT_OFF_DELIVERY: Final = "UPDATE deliveries SET next_at = ?3 WHERE tenant = ?1 AND id = ?2"

READ_EXPIRED_KEYS: Final = "SELECT tenant, key FROM idempotency WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2"

DROP_KEY: Final = "DELETE FROM idempotency WHERE tenant = ?1 AND key = ?2 RETURNING answer IS NOT NULL"
