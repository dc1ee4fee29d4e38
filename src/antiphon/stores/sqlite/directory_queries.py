"""
The statements of tenants, API keys and the audit trail, by name; see :mod:`antiphon.stores.sqlite.queries`.

``?1`` is the tenant, except of API keys: whose one is, is not known before it was read.
"""

from __future__ import annotations

from typing import Final

# Tenants.

READ_STATE: Final = "SELECT state FROM tenants WHERE tenant = ?1"

READ_STORED_BYTES: Final = "SELECT stored_bytes FROM tenants WHERE tenant = ?1"

ADD_ROW: Final = "INSERT INTO tenants (tenant, next_insertion_index) VALUES (?1, 1)"

CREATE_TENANT: Final = """
INSERT INTO tenants (tenant, next_insertion_index, created_at, retention_days, max_stored_bytes, state)
VALUES (?1, 1, ?2, ?3, ?4, ?5)
ON CONFLICT (tenant) DO NOTHING
"""

UPDATE_TENANT: Final = """
UPDATE tenants SET retention_days = ?2, max_stored_bytes = ?3, state = ?4 WHERE tenant = ?1 AND state <> 'erasing'
"""

UPDATE_TENANT_THAT_WAS: Final = (
    UPDATE_TENANT + "AND created_at = ?5 AND retention_days IS ?6 AND max_stored_bytes IS ?7 AND state = ?8"
)

_TENANT: Final = """
SELECT t.tenant, t.created_at, t.retention_days, t.max_stored_bytes, t.stored_bytes, t.state FROM tenants t
"""

READ_TENANT: Final = _TENANT + "WHERE t.tenant = ?1"

LIST_TENANTS: Final = _TENANT + "WHERE t.tenant >= '' ORDER BY t.tenant"

# API keys.

_API_KEY: Final = """
SELECT k.key_id, k.tenant, k.mac, k.previous_mac, k.previous_until, k.hint, k.name, k.scopes, k.models,
       k.requests_per_minute, k.tokens_per_minute, k.parallel_turns, k.created_at, k.created_by, k.expires_at,
       k.revoked_at, k.last_used_at
FROM api_keys k
"""

READ_API_KEY: Final = _API_KEY + "WHERE k.key_id = ?1"

LIST_API_KEYS_OF: Final = _API_KEY + "WHERE k.tenant = ?1 ORDER BY k.created_at, k.key_id"

ADD_API_KEY: Final = """
INSERT INTO api_keys (
    key_id, tenant, mac, previous_mac, previous_until, hint, name, scopes, models, requests_per_minute,
    tokens_per_minute, parallel_turns, created_at, created_by, expires_at, revoked_at, last_used_at
)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
ON CONFLICT (key_id) DO NOTHING
"""

# When it was last used stays as it is.
UPDATE_API_KEY: Final = """
UPDATE api_keys SET
    tenant = ?2, mac = ?3, previous_mac = ?4, previous_until = ?5, hint = ?6, name = ?7, scopes = ?8, models = ?9,
    requests_per_minute = ?10, tokens_per_minute = ?11, parallel_turns = ?12, created_at = ?13, created_by = ?14,
    expires_at = ?15, revoked_at = ?16
WHERE key_id = ?1
"""

# Several processes tell of uses, each somewhat late: the latest stands.
NOTE_API_KEY_USE: Final = """
UPDATE api_keys SET last_used_at = ?2 WHERE key_id = ?1 AND (last_used_at IS NULL OR last_used_at < ?2)
"""

DROP_API_KEYS: Final = "DELETE FROM api_keys WHERE tenant = ?1"

LIST_API_KEYS: Final = _API_KEY + "WHERE k.key_id >= ''"

# The audit trail.

READ_END_OF_TRAIL: Final = "SELECT idx, link FROM audit WHERE tenant = ?1 ORDER BY idx DESC LIMIT 1"

ADD_AUDIT_ENTRY: Final = """
INSERT INTO audit (tenant, idx, at_ms, actor, action, object_id, outcome, request_id, link)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
"""

_AUDIT: Final = "SELECT a.idx, a.at_ms, a.actor, a.action, a.object_id, a.outcome, a.request_id, a.link FROM audit a "

# Indexes have no gaps, so a window of so many entries is a range of them.
READ_AUDIT: Final = (
    _AUDIT
    + """
WHERE a.tenant = ?1 AND a.idx > ?2 AND a.idx <= ?3 AND (?4 IS NULL OR a.actor = ?4)
    AND (?5 IS NULL OR a.object_id = ?5)
ORDER BY a.idx
"""
)
