"""
The statements of what is kept for sealing, by name; see :mod:`antiphon.stores.sqlite.queries`. ``?1`` is the tenant.

A scan gives a payload, then the columns of the key that it is ordered by; the page after a key begins behind it, so
rows that come in meanwhile disturb nothing. A replacement names the row by the same columns, then the old payload, then
the new one.
"""

from __future__ import annotations

from typing import Final

# Keys.

_KEY: Final = "SELECT k.version, k.state, k.root_ref, k.wrapped, k.created_at FROM tenant_keys k WHERE k.tenant = ?1"

READ_KEYS: Final = _KEY + " ORDER BY k.version"

READ_KEY: Final = _KEY + " AND k.version = ?2"

RETIRE_KEY: Final = """
UPDATE tenant_keys SET state = 'retiring' WHERE tenant = ?1 AND version <> ?2 AND state = 'active'
"""

ADD_KEY: Final = """
INSERT INTO tenant_keys (tenant, version, state, root_ref, wrapped, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
"""

DROP_KEY: Final = "DELETE FROM tenant_keys WHERE tenant = ?1 AND version = ?2"

READ_FAMILIES: Final = """
SELECT f.family, f.seal FROM json_each(?2) CROSS JOIN families f ON f.tenant = ?1 AND f.family = json_each.value
"""

READ_SECRET: Final = "SELECT secret FROM tenants WHERE tenant = ?1 AND secret IS NOT NULL"  # noqa: S105 - a statement

KEEP_SECRET: Final = "UPDATE tenants SET secret = ?2 WHERE tenant = ?1 AND secret IS NULL"  # noqa: S105 - a statement

# Going through everything. The last parameter is how many are wanted.

SCAN_ITEMS: Final = """
SELECT i.payload, i.id FROM items i
WHERE i.tenant = ?1 AND i.id > ?2 AND i.id IS NOT NULL AND i.payload <> x'' ORDER BY i.id LIMIT ?3
"""

SCAN_RESPONSES: Final = """
SELECT r.payload, r.id FROM responses r WHERE r.tenant = ?1 AND r.id > ?2 AND r.payload <> x'' ORDER BY r.id LIMIT ?3
"""

SCAN_TRACES: Final = """
SELECT r.trace, r.id FROM responses r WHERE r.tenant = ?1 AND r.id > ?2 AND r.trace <> x'' ORDER BY r.id LIMIT ?3
"""

SCAN_CONVERSATIONS: Final = """
SELECT c.payload, c.id FROM conversations c
WHERE c.tenant = ?1 AND c.id > ?2 AND c.payload <> x'' ORDER BY c.id LIMIT ?3
"""

SCAN_PROMPTS: Final = """
SELECT p.payload, p.id, p.version FROM prompts p
WHERE p.tenant = ?1 AND (p.id, p.version) > (?2, ?3) AND p.payload <> x'' ORDER BY p.id, p.version LIMIT ?4
"""

SCAN_PENDING: Final = """
SELECT q.payload, q.response_id FROM pending_requests q
WHERE q.tenant = ?1 AND q.response_id > ?2 AND q.payload <> x'' ORDER BY q.response_id LIMIT ?3
"""

SCAN_STREAM_EVENTS: Final = """
SELECT e.payload, e.response_id, e.first FROM stream_events e
WHERE e.tenant = ?1 AND (e.response_id, e.first) > (?2, ?3) AND e.payload <> x''
ORDER BY e.response_id, e.first LIMIT ?4
"""

SCAN_IDEMPOTENCY: Final = """
SELECT i.answer, lower(hex(i.key)) FROM idempotency i
WHERE i.tenant = ?1 AND i.key > unhex(?2) AND i.answer <> x'' ORDER BY i.key LIMIT ?3
"""

SCAN_DELIVERIES: Final = """
SELECT d.payload, d.id FROM deliveries d WHERE d.tenant = ?1 AND d.id > ?2 AND d.payload <> x'' ORDER BY d.id LIMIT ?3
"""

SCAN_SECRETS: Final = """
SELECT t.secret, 'secret' FROM tenants t WHERE t.tenant = ?1 AND 'secret' > ?2 AND t.secret <> x'' LIMIT ?3
"""

SCAN_FAMILIES: Final = """
SELECT f.seal, f.family FROM families f WHERE f.tenant = ?1 AND f.family > ?2 ORDER BY f.family LIMIT ?3
"""

REPLACE_ITEM: Final = "UPDATE items SET payload = ?4 WHERE tenant = ?1 AND id = ?2 AND id IS NOT NULL AND payload = ?3"

REPLACE_RESPONSE: Final = "UPDATE responses SET payload = ?4 WHERE tenant = ?1 AND id = ?2 AND payload = ?3"

REPLACE_TRACE: Final = "UPDATE responses SET trace = ?4 WHERE tenant = ?1 AND id = ?2 AND trace = ?3"

REPLACE_CONVERSATION: Final = "UPDATE conversations SET payload = ?4 WHERE tenant = ?1 AND id = ?2 AND payload = ?3"

REPLACE_PROMPT: Final = """
UPDATE prompts SET payload = ?5 WHERE tenant = ?1 AND id = ?2 AND version = ?3 AND payload = ?4
"""

REPLACE_PENDING: Final = """
UPDATE pending_requests SET payload = ?4 WHERE tenant = ?1 AND response_id = ?2 AND payload = ?3
"""

REPLACE_STREAM_EVENTS: Final = """
UPDATE stream_events SET payload = ?5 WHERE tenant = ?1 AND response_id = ?2 AND first = ?3 AND payload = ?4
"""

REPLACE_IDEMPOTENCY: Final = "UPDATE idempotency SET answer = ?4 WHERE tenant = ?1 AND key = unhex(?2) AND answer = ?3"

REPLACE_DELIVERY: Final = "UPDATE deliveries SET payload = ?4 WHERE tenant = ?1 AND id = ?2 AND payload = ?3"

REPLACE_SECRET: Final = "UPDATE tenants SET secret = ?4 WHERE tenant = ?1 AND ?2 = 'secret' AND secret = ?3"  # noqa: S105 - a statement

REPLACE_FAMILY: Final = "UPDATE families SET seal = ?4 WHERE tenant = ?1 AND family = ?2 AND seal = ?3"
