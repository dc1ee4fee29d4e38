"""
Every statement of the store's daily work, by name. Constants with parameters only; an index serves each of them.

``?1`` is the tenant throughout. A test reads the plan of every constant here and refuses one that scans a table.
Reads of items give ``log, position, id, type, payload, left_out, ref_log``, a reference shown as what it points at.
"""

from __future__ import annotations

from typing import Final

# Reading turns.

_RESPONSE: Final = """
SELECT r.id, r.conversation_id, r.previous_response_id, r.model, r.alias, r.provider, r.status, r.created_at,
       r.completed_at, r.insertion_index, r.expires_at, r.input_tokens, r.cached_tokens, r.cache_write_tokens,
       r.output_tokens, r.reasoning_tokens, r.payload, l.family, r.log, r.last_position, r.epoch, r.first_position,
       r.output_position, r.ephemeral
FROM responses r LEFT JOIN logs l ON l.tenant = r.tenant AND l.log = r.log
"""

READ_RESPONSE: Final = _RESPONSE + "WHERE r.tenant = ?1 AND r.id = ?2 AND (r.expires_at IS NULL OR r.expires_at > ?3)"

READ_RESPONSES_OF: Final = (
    _RESPONSE
    + "WHERE r.tenant = ?1 AND r.conversation_id = ?2 AND (r.expires_at IS NULL OR r.expires_at > ?3) "
    + "ORDER BY r.created_at, r.insertion_index"
)

READ_HEAD: Final = """
SELECT r.log, r.last_position, r.epoch, r.status, r.conversation_id, l.family, r.ephemeral
FROM responses r LEFT JOIN logs l ON l.tenant = r.tenant AND l.log = r.log
WHERE r.tenant = ?1 AND r.id = ?2 AND (r.expires_at IS NULL OR r.expires_at > ?3)
"""

READ_END_USER: Final = "SELECT end_user FROM responses WHERE tenant = ?1 AND id = ?2"

# Reading items.

_ITEM: Final = """
SELECT i.log, i.position, coalesce(i.id, t.id), coalesce(i.type, t.type), coalesce(i.payload, t.payload), i.left_out,
       i.ref_log
FROM items i LEFT JOIN items t ON t.tenant = i.tenant AND t.log = i.ref_log AND t.position = i.ref_position
"""

READ_OWN_ITEMS: Final = (
    _ITEM + "WHERE i.tenant = ?1 AND i.log = ?2 AND i.position BETWEEN ?3 AND ?4 ORDER BY i.position"
)

FIND_ITEM: Final = """
SELECT i.log, i.position, i.id, i.type, i.payload, i.left_out, NULL FROM items i WHERE i.tenant = ?1 AND i.id = ?2
"""

FIND_ITEMS: Final = """
SELECT i.log, i.position, i.id, i.type, i.payload, i.left_out, NULL
FROM json_each(?2) CROSS JOIN items i ON i.tenant = ?1 AND i.id = json_each.value
WHERE NOT EXISTS (
    SELECT 1 FROM responses r
    WHERE r.tenant = ?1 AND r.log = i.log AND r.ephemeral = 1
      AND i.position BETWEEN r.first_position AND r.last_position
)
"""

# A view in one statement: its head (kind 0), what is hidden in it (kind 1), its items (kind 2), in segments from the
# head's log down to the last base. Removals are looked for only in logs that had any.
_VIEW: Final = """
path (log, low, high, epoch, base_log, base_epoch) AS MATERIALIZED (
    SELECT l.log, l.base_position + 1, start.position, start.epoch, l.base_log, l.base_epoch
    FROM start CROSS JOIN logs l ON l.tenant = ?1 AND l.log = start.log
    UNION ALL
    SELECT l.log, l.base_position + 1, min(path.low - 1, path.high), path.base_epoch, l.base_log, l.base_epoch
    FROM path CROSS JOIN logs l ON l.tenant = ?1 AND l.log = path.base_log
)
SELECT 0, start.log, start.position, start.epoch, start.family, start.status, start.conversation_id,
       start.last_created_at, start.ephemeral
FROM start
UNION ALL
SELECT 1, v.item_log, v.position, NULL, NULL, NULL, NULL, NULL, NULL
FROM path CROSS JOIN removals v ON v.tenant = ?1 AND v.viewing_log = path.log AND v.epoch <= path.epoch
WHERE path.epoch > 0
UNION ALL
SELECT 2, i.log, i.position, coalesce(i.id, t.id), coalesce(i.type, t.type), coalesce(i.payload, t.payload),
       i.left_out, i.ref_log, NULL
FROM path
CROSS JOIN items i ON i.tenant = ?1 AND i.log = path.log AND i.position BETWEEN path.low AND path.high
LEFT JOIN items t ON t.tenant = ?1 AND t.log = i.ref_log AND t.position = i.ref_position
"""

_START_AFTER: Final = """
WITH RECURSIVE
start (log, position, epoch, family, status, conversation_id, ephemeral, last_created_at)
AS MATERIALIZED (
    SELECT r.log, r.last_position, r.epoch, l.family, r.status, r.conversation_id, r.ephemeral,
    coalesce((
        SELECT n.created_at FROM responses n
        WHERE n.tenant = ?1 AND n.conversation_id = r.conversation_id AND (n.expires_at IS NULL OR n.expires_at > ?3)
        ORDER BY n.created_at DESC LIMIT 1
    ), 0)
    FROM responses r LEFT JOIN logs l ON l.tenant = r.tenant AND l.log = r.log
    WHERE r.tenant = ?1 AND r.id = ?2 AND (r.expires_at IS NULL OR r.expires_at > ?3)
),
"""

_START_OF: Final = """
WITH RECURSIVE
start (log, position, epoch, family, status, conversation_id, ephemeral, last_created_at)
AS MATERIALIZED (
    SELECT c.log, l.length - 1, l.epoch, l.family, 'completed', c.id, 0,
    coalesce((
        SELECT n.created_at FROM responses n
        WHERE n.tenant = ?1 AND n.conversation_id = c.id AND (n.expires_at IS NULL OR n.expires_at > ?3)
        ORDER BY n.created_at DESC LIMIT 1
    ), 0)
    FROM conversations c LEFT JOIN logs l ON l.tenant = c.tenant AND l.log = c.log
    WHERE c.tenant = ?1 AND c.id = ?2
),
"""

READ_HISTORY_AFTER: Final = _START_AFTER + _VIEW

READ_HISTORY_OF: Final = _START_OF + _VIEW

# Where the input of a turn ends, as a head; and how many of its own items are missing.
READ_INPUT_END: Final = """
SELECT r.log, r.output_position - 1, r.epoch, r.last_position - r.first_position + 1 - (
    SELECT count(*) FROM items i
    WHERE i.tenant = ?1 AND i.log = r.log AND i.position BETWEEN r.first_position AND r.last_position
)
FROM responses r WHERE r.tenant = ?1 AND r.id = ?2 AND (r.expires_at IS NULL OR r.expires_at > ?3)
"""

# The positions ?3 to ?4 of a view from (log ?2, position ?5, epoch ?6): its path, as far down as they reach.
_PATH_TO_WINDOW: Final = """
WITH RECURSIVE
path (log, low, high, epoch, base_log, base_epoch) AS MATERIALIZED (
    SELECT l.log, l.base_position + 1, ?5, ?6, l.base_log, l.base_epoch
    FROM logs l WHERE l.tenant = ?1 AND l.log = ?2
    UNION ALL
    SELECT l.log, l.base_position + 1, min(path.low - 1, path.high), path.base_epoch, l.base_log, l.base_epoch
    FROM path CROSS JOIN logs l ON l.tenant = ?1 AND l.log = path.base_log
    WHERE path.low > ?3
)
"""

READ_WINDOW: Final = (
    _PATH_TO_WINDOW
    + """
SELECT i.log, i.position, coalesce(i.id, t.id), coalesce(i.type, t.type), coalesce(i.payload, t.payload), i.left_out,
       i.ref_log
FROM path
CROSS JOIN items i
ON i.tenant = ?1 AND i.log = path.log AND i.position BETWEEN max(path.low, ?3) AND min(path.high, ?4)
LEFT JOIN items t ON t.tenant = ?1 AND t.log = i.ref_log AND t.position = i.ref_position
"""
)

FIND_HIDDEN_IN_WINDOW: Final = (
    _PATH_TO_WINDOW
    + """
SELECT v.item_log, v.position
FROM path CROSS JOIN removals v
ON v.tenant = ?1 AND v.viewing_log = path.log AND v.epoch <= path.epoch AND v.position BETWEEN ?3 AND ?4
WHERE path.epoch > 0
"""
)

# The logs that log ?2 stands on, itself first: how far its present end looks into each, and the epoch that it sees.
_PATH_OF_LOG: Final = """
WITH RECURSIVE
path (log, high, epoch) AS MATERIALIZED (
    SELECT l.log, l.length - 1, l.epoch FROM logs l WHERE l.tenant = ?1 AND l.log = ?2
    UNION ALL
    SELECT l.base_log, min(l.base_position, path.high), l.base_epoch
    FROM path CROSS JOIN logs l ON l.tenant = ?1 AND l.log = path.log
    WHERE l.base_log IS NOT NULL
)
"""

# The same for a view from (log ?2, position ?4, epoch ?5).
_PATH_OF_HEAD: Final = """
WITH RECURSIVE
path (log, high, epoch) AS MATERIALIZED (
    SELECT ?2, ?4, ?5
    UNION ALL
    SELECT l.base_log, min(l.base_position, path.high), l.base_epoch
    FROM path CROSS JOIN logs l ON l.tenant = ?1 AND l.log = path.log
    WHERE l.base_log IS NOT NULL
)
"""

_PLACES_ON_PATH: Final = """
, places (log, position, left_out) AS MATERIALIZED (
    SELECT i.log, i.position, i.left_out FROM items i WHERE i.tenant = ?1 AND i.id = ?3
    UNION ALL
    SELECT i.log, i.position, i.left_out
    FROM items t CROSS JOIN items i ON i.tenant = ?1 AND i.ref_log = t.log AND i.ref_position = t.position
    WHERE t.tenant = ?1 AND t.id = ?3
),
shown (log, position) AS MATERIALIZED (
    SELECT places.log, places.position FROM places CROSS JOIN path ON path.log = places.log
    WHERE places.position <= path.high AND places.left_out = 0
)
SELECT shown.log, shown.position FROM shown
WHERE
"""

_ITEMS_ON_PATH_AFTER: Final = """
SELECT shown.log, shown.position, shown.left_out
FROM path AS at CROSS JOIN items shown
ON shown.tenant = ?1 AND shown.log = at.log AND shown.position > ?3 AND shown.position <= at.high
WHERE
"""

_NOT_HIDDEN_ON_PATH: Final = """
NOT EXISTS (
    SELECT 1 FROM path CROSS JOIN removals v
    ON v.tenant = ?1 AND v.viewing_log = path.log AND v.item_log = shown.log AND v.position = shown.position
    WHERE v.epoch <= path.epoch
)
"""

# Where the item ?3 shows in a log's present view, as itself and through references to it: (log, position).
FIND_PRESENT: Final = _PATH_OF_LOG + _PLACES_ON_PATH + _NOT_HIDDEN_ON_PATH + "ORDER BY shown.position"

# Where the item ?3 shows in a view from (log ?2, position ?4, epoch ?5), likewise.
FIND_SHOWN: Final = _PATH_OF_HEAD + _PLACES_ON_PATH + _NOT_HIDDEN_ON_PATH + "ORDER BY shown.position"

# What a log's present view shows after position ?3: (log, position), and whether it is left out.
FIND_PRESENT_AFTER: Final = _PATH_OF_LOG + _ITEMS_ON_PATH_AFTER + _NOT_HIDDEN_ON_PATH

# Where a turn goes.

# With how far anything looks into the log: its responses, forks that stand on it, a conversation that owns it.
READ_LOG: Final = """
SELECT l.kind, l.family, l.base_log, l.base_position, l.base_epoch, l.length, l.epoch,
       (SELECT max(r.last_position) FROM responses r WHERE r.tenant = ?1 AND r.log = ?2),
       (SELECT max(f.base_position) FROM logs f WHERE f.tenant = ?1 AND f.base_log = ?2),
       (SELECT c.id FROM conversations c WHERE c.tenant = ?1 AND c.log = ?2)
FROM logs l WHERE l.tenant = ?1 AND l.log = ?2
"""

# A view from log ?2 at epoch ?3: its path, with the epoch that it sees of each log.
_PATH_OF_VIEW: Final = """
WITH RECURSIVE
path (log, epoch) AS MATERIALIZED (
    SELECT ?2, ?3
    UNION ALL
    SELECT l.base_log, l.base_epoch FROM path CROSS JOIN logs l ON l.tenant = ?1 AND l.log = path.log
    WHERE l.base_log IS NOT NULL
)
"""

# Log ?2 and those that it stands on.
_PATH_BELOW: Final = """
WITH RECURSIVE
path (log) AS MATERIALIZED (
    SELECT ?2
    UNION ALL
    SELECT l.base_log FROM path CROSS JOIN logs l ON l.tenant = ?1 AND l.log = path.log WHERE l.base_log IS NOT NULL
)
"""

# What may be unreachable when log ?2 has lost something that looked into it: the items of its own that it hid, and
# those on its path that were hidden by a log above theirs.
_REMOVED_AROUND: Final = """
, removed (log, position) AS MATERIALIZED (
    SELECT v.item_log, v.position FROM removals v WHERE v.tenant = ?1 AND v.viewing_log = ?2 AND v.item_log = ?2
    UNION
    SELECT v.item_log, v.position
    FROM path CROSS JOIN removals v ON v.tenant = ?1 AND v.item_log = path.log AND v.viewing_log <> v.item_log
)
"""

_ERASED_UP_TO: Final = """
SELECT 1
FROM removed AS shown CROSS JOIN items i ON i.tenant = ?1 AND i.log = shown.log AND i.position = shown.position
WHERE i.position <= ?4 AND i.id IS NULL AND i.ref_log IS NULL AND
"""

# Something that a view from (log ?2, epoch ?3) shows up to position ?4 was removed from other views, and erased.
FIND_ERASED_IN_VIEW: Final = _PATH_OF_VIEW + _REMOVED_AROUND + _ERASED_UP_TO + _NOT_HIDDEN_ON_PATH + "LIMIT 1"

# The plus keeps SQLite from the index by insertion_index, which does not give the order.
READ_LAST_CREATED_AT: Final = """
SELECT n.created_at FROM responses n
WHERE n.tenant = ?1 AND n.conversation_id = ?2 AND +n.insertion_index < ?3
  AND (n.expires_at IS NULL OR n.expires_at > ?4)
ORDER BY n.created_at DESC LIMIT 1
"""

FIND_TURN_BEHIND: Final = """
SELECT 1 FROM responses n WHERE n.tenant = ?1 AND n.conversation_id = ?2 AND +n.insertion_index > ?3 LIMIT 1
"""

# Writing turns.

# In two statements: one that inserts or updates and returns costs twice as much as these.
READ_INSERTION_INDEX: Final = "SELECT next_insertion_index, state FROM tenants WHERE tenant = ?1"

# With what the turn adds to ``stored_bytes``.
TAKE_INSERTION_INDEX: Final = """
UPDATE tenants SET next_insertion_index = next_insertion_index + 1, stored_bytes = stored_bytes + ?2 WHERE tenant = ?1
"""

ADD_STORED_BYTES: Final = "UPDATE tenants SET stored_bytes = stored_bytes + ?2 WHERE tenant = ?1"

ADD_FAMILY: Final = "INSERT INTO families (tenant, family, seal) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING"

READ_SEAL: Final = "SELECT seal FROM families WHERE tenant = ?1 AND family = ?2"

ADD_LOG: Final = """
INSERT INTO logs (tenant, log, family, kind, base_log, base_position, base_epoch, length)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
ON CONFLICT (tenant, log) DO NOTHING
"""

EXTEND_CHAIN: Final = """
UPDATE logs SET length = ?3 WHERE tenant = ?1 AND log = ?2 AND length = ?4 AND kind = 'chain'
"""

EXTEND_CONVERSATION: Final = """
UPDATE logs SET length = ?3 WHERE tenant = ?1 AND log = ?2 AND length = ?4 AND kind = 'conversation'
"""

ADD_ITEM: Final = """
INSERT INTO items (tenant, log, position, id, type, left_out, ref_log, ref_position, payload)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
"""

# Not under the id of a turn that is pending: that one's commit has removed its row before.
ADD_RESPONSE: Final = """
INSERT INTO responses (
    tenant, id, log, first_position, output_position, last_position, epoch, previous_response_id, conversation_id,
    status, model, alias, provider, created_at, insertion_index, completed_at, expires_at, input_tokens,
    cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens, payload, ephemeral, trace, end_user
)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24,
       ?25, ?26
WHERE NOT EXISTS (SELECT 1 FROM pending p WHERE p.tenant = ?1 AND p.response_id = ?2)
"""

# Erasing.

DROP_RESPONSE: Final = """
DELETE FROM responses WHERE tenant = ?1 AND id = ?2 RETURNING log, length(payload) + length(trace)
"""

UPDATE_RESPONSE: Final = """
UPDATE responses SET payload = ?3
WHERE tenant = ?1 AND id = ?2 AND payload = ?4 AND (expires_at IS NULL OR expires_at > ?5)
RETURNING insertion_index
"""

DROP_LIVE_RESPONSE: Final = """
DELETE FROM responses WHERE tenant = ?1 AND id = ?2 AND (expires_at IS NULL OR expires_at > ?3)
RETURNING log, length(payload) + length(trace)
"""

READ_EXPIRED: Final = "SELECT tenant, id FROM responses WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2"

DROP_REFERENCES_ABOVE: Final = """
DELETE FROM items WHERE tenant = ?1 AND log = ?2 AND position > ?3 AND ref_log IS NOT NULL RETURNING ref_log
"""

_ABOVE: Final = """
WHERE tenant = ?1 AND log = ?2 AND position > ?3 AND NOT EXISTS (
    SELECT 1 FROM items f
    WHERE f.tenant = ?1 AND f.ref_log = ?2 AND f.ref_position = items.position AND f.ref_log IS NOT NULL
)
"""

# How many have content, and how long it is. Two statements: RETURNING would cost three times as much as this.
READ_ITEMS_ABOVE: Final = "SELECT count(id), sum(length(payload)) FROM items" + _ABOVE  # noqa: S608 - a constant

DROP_ITEMS_ABOVE: Final = "DELETE FROM items" + _ABOVE  # noqa: S608 - a constant

# An item is seen in its own log, and in the forks of each log that sees it; since is when such a log has hidden it.
# Forks and responses that looked before that see it, and so does the head (?3, ?4, ?5) that is held besides, or NULLs.
_UNREACHED: Final = """
SELECT i.log, i.position, i.ref_log
FROM removed CROSS JOIN items i ON i.tenant = ?1 AND i.log = removed.log AND i.position = removed.position
WHERE (i.id IS NOT NULL OR i.ref_log IS NOT NULL)
  AND NOT EXISTS (
    SELECT 1 FROM items f
    WHERE f.tenant = ?1 AND f.ref_log = i.log AND f.ref_position = i.position AND f.ref_log IS NOT NULL
  )
  AND NOT EXISTS (
    WITH RECURSIVE seeing (log, since) AS (
        SELECT i.log, (
            SELECT v.epoch FROM removals v
            WHERE v.tenant = ?1 AND v.viewing_log = i.log AND v.item_log = i.log AND v.position = i.position
        )
        UNION ALL
        SELECT f.log, (
            SELECT v.epoch FROM removals v
            WHERE v.tenant = ?1 AND v.viewing_log = f.log AND v.item_log = i.log AND v.position = i.position
        )
        FROM seeing CROSS JOIN logs f
        ON f.tenant = ?1 AND f.base_log = seeing.log AND f.base_position >= i.position
        WHERE seeing.since IS NULL OR f.base_epoch < seeing.since
    )
    SELECT 1 FROM seeing
    WHERE EXISTS (
        SELECT 1 FROM responses r
        WHERE r.tenant = ?1 AND r.log = seeing.log AND r.last_position >= i.position
          AND (seeing.since IS NULL OR r.epoch < seeing.since)
      )
      OR seeing.since IS NULL AND EXISTS (SELECT 1 FROM conversations c WHERE c.tenant = ?1 AND c.log = seeing.log)
      OR seeing.log = ?3 AND i.position <= ?4 AND (seeing.since IS NULL OR ?5 < seeing.since)
  )
"""

# Removed items that nothing reaches, in log ?2 and in those that it stands on.
FIND_UNREACHED: Final = _PATH_BELOW + _REMOVED_AROUND + _UNREACHED

BLANK_ITEM: Final = """
UPDATE items SET id = NULL, type = NULL, payload = NULL, left_out = 0, ref_log = NULL, ref_position = NULL
WHERE tenant = ?1 AND log = ?2 AND position = ?3
"""

FIND_ROW_OF_LOG: Final = "SELECT 1 FROM items WHERE tenant = ?1 AND log = ?2 LIMIT 1"

SHORTEN_BASE: Final = "UPDATE logs SET base_position = ?3 WHERE tenant = ?1 AND log = ?2"

DETACH_LOG: Final = "UPDATE logs SET base_log = NULL WHERE tenant = ?1 AND log = ?2"

DROP_LOG: Final = "DELETE FROM logs WHERE tenant = ?1 AND log = ?2"

DROP_REMOVALS: Final = "DELETE FROM removals WHERE tenant = ?1 AND viewing_log = ?2"

DROP_UNUSED_FAMILY: Final = """
DELETE FROM families
WHERE tenant = ?1 AND family = ?2
  AND NOT EXISTS (SELECT 1 FROM logs l WHERE l.tenant = ?1 AND l.family = ?2)
  AND NOT EXISTS (SELECT 1 FROM pending p WHERE p.tenant = ?1 AND p.family = ?2)
"""

# Conversations.

ADD_CONVERSATION: Final = """
INSERT INTO conversations (tenant, id, log, created_at, payload) VALUES (?1, ?2, ?3, ?4, ?5)
"""

READ_CONVERSATION: Final = """
SELECT c.id, l.family, c.created_at, c.payload, c.log, l.length, l.epoch, c.holder, c.lock_epoch, c.lock_until_ms
FROM conversations c CROSS JOIN logs l ON l.tenant = c.tenant AND l.log = c.log
WHERE c.tenant = ?1 AND c.id = ?2
"""

UPDATE_CONVERSATION: Final = "UPDATE conversations SET payload = ?3 WHERE tenant = ?1 AND id = ?2"

DROP_CONVERSATION: Final = "DELETE FROM conversations WHERE tenant = ?1 AND id = ?2 RETURNING log"

BUMP_EPOCH: Final = "UPDATE logs SET epoch = epoch + 1 WHERE tenant = ?1 AND log = ?2"

ADD_REMOVAL: Final = """
INSERT INTO removals (tenant, viewing_log, item_log, position, epoch)
SELECT ?1, ?2, ?3, ?4, l.epoch FROM logs l WHERE l.tenant = ?1 AND l.log = ?2
ON CONFLICT DO NOTHING
"""

FIND_HIDDEN: Final = """
SELECT v.position FROM removals v
WHERE v.tenant = ?1 AND v.viewing_log = ?2 AND v.item_log = ?2 AND v.position >= ?3 AND v.position < ?4
"""

# Leases.

TAKE_LEASE: Final = """
UPDATE conversations SET holder = ?3, lock_epoch = lock_epoch + 1, lock_until_ms = ?4
WHERE tenant = ?1 AND id = ?2 AND (holder IS NULL OR lock_until_ms <= ?5)
RETURNING lock_epoch
"""

RENEW_LEASE: Final = """
UPDATE conversations SET lock_until_ms = ?5 WHERE tenant = ?1 AND id = ?2 AND holder = ?3 AND lock_epoch = ?4
RETURNING 1
"""

RELEASE_LEASE: Final = """
UPDATE conversations SET holder = NULL WHERE tenant = ?1 AND id = ?2 AND holder = ?3 AND lock_epoch = ?4
"""
