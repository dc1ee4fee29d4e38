"""
Every statement of lists, prompts, and erasing with whatever stands on it. The rules of ``queries`` hold here too.

A list is read in *windows*: so many rows of an index after a cursor, in order, each with whether it fits the filter.
So no statement reads more than its window, however rare what is looked for is.
"""

from __future__ import annotations

from typing import Final

# Terms.

ADD_TERM: Final = """
INSERT INTO metadata_index (tenant, kind, object_id, ordinal, term) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING
"""

READ_TERMS: Final = "SELECT term FROM metadata_index WHERE tenant = ?1 AND kind = ?2 AND object_id = ?3"

DROP_TERMS: Final = "DELETE FROM metadata_index WHERE tenant = ?1 AND kind = ?2 AND object_id = ?3"

# Lists. The window is the ?4 rows after (?2, ?3). ?5: a term, where the list is read by one. ?6: all terms, in
# hexadecimal, as a JSON list. ?7 and ?8: not older than, older than. Of responses also ?9: status, ?10: model,
# ?11: conversation, ?12: now. NULL where anything will do.

_HAS_TERMS: Final = """
  AND NOT EXISTS (
    SELECT 1 FROM json_each(?6) AS wanted WHERE NOT EXISTS (
      SELECT 1 FROM metadata_index m
      WHERE m.tenant = ?1 AND m.term = unhex(wanted.value) AND m.kind = listed.kind AND m.ordinal = listed.ordinal
        AND m.object_id = listed.id
    )
  )
"""

_RESPONSES: Final = """
SELECT listed.ordinal, listed.id, (EXISTS (
  SELECT 1 FROM responses r
  WHERE r.tenant = ?1 AND r.id = listed.id AND (r.expires_at IS NULL OR r.expires_at > ?12)
    AND (?7 IS NULL OR r.created_at >= ?7) AND (?8 IS NULL OR r.created_at < ?8)
    AND (?9 IS NULL OR r.status = ?9) AND (?10 IS NULL OR r.model = ?10 OR r.alias = ?10)
    AND (?11 IS NULL OR r.conversation_id = ?11)
) OR EXISTS (
  SELECT 1 FROM pending p
  WHERE p.tenant = ?1 AND p.response_id = listed.id AND p.insertion_index IS NOT NULL
    AND (?7 IS NULL OR p.created_at >= ?7) AND (?8 IS NULL OR p.created_at < ?8)
    AND (?9 IS NULL OR p.status = ?9) AND (?10 IS NULL OR p.model = ?10 OR p.alias = ?10)
    AND (?11 IS NULL OR p.conversation_id = ?11)
))
"""

_CONVERSATIONS: Final = """
SELECT listed.ordinal, listed.id, (?7 IS NULL OR listed.ordinal >= ?7) AND (?8 IS NULL OR listed.ordinal < ?8)
"""

_BY_INDEX: Final = """
FROM (
    SELECT r.insertion_index AS ordinal, r.id AS id, 'response' AS kind
    FROM responses r WHERE r.tenant = ?1 AND r.insertion_index {after} ?2
    UNION ALL
    SELECT p.insertion_index, p.response_id, 'response'
    FROM pending p WHERE p.tenant = ?1 AND p.insertion_index {after} ?2
    ORDER BY ordinal {order} LIMIT ?4
) AS listed
ORDER BY listed.ordinal {order}
"""

# The plus keeps SQLite from the index of the whole tenant. Sorting the turns of one conversation costs less than that.
_BY_CONVERSATION: Final = """
FROM (
    SELECT r.insertion_index AS ordinal, r.id AS id, 'response' AS kind
    FROM responses r WHERE r.tenant = ?1 AND r.conversation_id = ?11 AND +r.insertion_index {after} ?2
    UNION ALL
    SELECT p.insertion_index, p.response_id, 'response'
    FROM pending p WHERE p.tenant = ?1 AND p.conversation_id = ?11 AND p.insertion_index {after} ?2
    ORDER BY ordinal {order} LIMIT ?4
) AS listed
ORDER BY listed.ordinal {order}
"""

_BY_AGE: Final = """
FROM (
    SELECT c.created_at AS ordinal, c.id AS id, 'conversation' AS kind
    FROM conversations c WHERE c.tenant = ?1 AND (c.created_at, c.id) {after} (?2, ?3)
    ORDER BY c.created_at {order}, c.id {order} LIMIT ?4
) AS listed
ORDER BY listed.ordinal {order}, listed.id {order}
"""

_BY_TERM: Final = """
FROM (
    SELECT t.ordinal AS ordinal, t.object_id AS id, t.kind AS kind
    FROM metadata_index t
    WHERE t.tenant = ?1 AND t.term = ?5 AND t.kind = '{kind}' AND (t.ordinal, t.object_id) {after} (?2, ?3)
    ORDER BY t.ordinal {order}, t.object_id {order} LIMIT ?4
) AS listed
ORDER BY listed.ordinal {order}, listed.id {order}
"""

_UP: Final = {"after": ">", "order": "ASC"}
_DOWN: Final = {"after": "<", "order": "DESC"}

LIST_RESPONSES_DOWN: Final = _RESPONSES + _HAS_TERMS + _BY_INDEX.format(**_DOWN)
LIST_RESPONSES_UP: Final = _RESPONSES + _HAS_TERMS + _BY_INDEX.format(**_UP)
LIST_RESPONSES_OF_DOWN: Final = _RESPONSES + _HAS_TERMS + _BY_CONVERSATION.format(**_DOWN)
LIST_RESPONSES_OF_UP: Final = _RESPONSES + _HAS_TERMS + _BY_CONVERSATION.format(**_UP)
LIST_RESPONSES_BY_TERM_DOWN: Final = _RESPONSES + _HAS_TERMS + _BY_TERM.format(kind="response", **_DOWN)
LIST_RESPONSES_BY_TERM_UP: Final = _RESPONSES + _HAS_TERMS + _BY_TERM.format(kind="response", **_UP)
LIST_CONVERSATIONS_DOWN: Final = _CONVERSATIONS + _HAS_TERMS + _BY_AGE.format(**_DOWN)
LIST_CONVERSATIONS_UP: Final = _CONVERSATIONS + _HAS_TERMS + _BY_AGE.format(**_UP)
LIST_CONVERSATIONS_BY_TERM_DOWN: Final = _CONVERSATIONS + _HAS_TERMS + _BY_TERM.format(kind="conversation", **_DOWN)
LIST_CONVERSATIONS_BY_TERM_UP: Final = _CONVERSATIONS + _HAS_TERMS + _BY_TERM.format(kind="conversation", **_UP)

READ_PLACE_OF_RESPONSE: Final = """
SELECT r.insertion_index, r.id FROM responses r
WHERE r.tenant = ?1 AND r.id = ?2 AND (r.expires_at IS NULL OR r.expires_at > ?3)
UNION ALL
SELECT p.insertion_index, p.response_id FROM pending p
WHERE p.tenant = ?1 AND p.response_id = ?2 AND p.insertion_index IS NOT NULL
"""

READ_PLACE_OF_CONVERSATION: Final = "SELECT c.created_at, c.id FROM conversations c WHERE c.tenant = ?1 AND c.id = ?2"

# Prompts.

ADD_PROMPT: Final = """
INSERT INTO prompts (tenant, id, version, created_at, payload)
SELECT ?1, ?2, coalesce(max(p.version), 0) + 1, ?3, ?4 FROM prompts p WHERE p.tenant = ?1 AND p.id = ?2
RETURNING version
"""

_PROMPT: Final = """
SELECT p.id, p.version, (SELECT max(n.version) FROM prompts n WHERE n.tenant = ?1 AND n.id = p.id),
       p.created_at, p.payload
FROM prompts p
"""

READ_PROMPT: Final = _PROMPT + "WHERE p.tenant = ?1 AND p.id = ?2 AND p.version = ?3"

READ_NEWEST_PROMPT: Final = _PROMPT + "WHERE p.tenant = ?1 AND p.id = ?2 ORDER BY p.version DESC LIMIT 1"

LIST_PROMPTS: Final = """
SELECT p.id, p.version, p.version, p.created_at, p.payload
FROM (
    SELECT f.id AS id, f.created_at AS created_at FROM prompts f
    WHERE f.tenant = ?1 AND f.version = 1 AND (f.created_at, f.id) < (?2, ?3)
    ORDER BY f.created_at DESC, f.id DESC LIMIT ?4
) AS listed CROSS JOIN prompts p ON p.tenant = ?1 AND p.id = listed.id
    AND p.version = (SELECT max(n.version) FROM prompts n WHERE n.tenant = ?1 AND n.id = listed.id)
ORDER BY listed.created_at DESC, listed.id DESC
"""

READ_PLACE_OF_PROMPT: Final = (
    "SELECT p.created_at, p.id FROM prompts p WHERE p.tenant = ?1 AND p.id = ?2 AND p.version = 1"
)

DROP_PROMPT: Final = "DELETE FROM prompts WHERE tenant = ?1 AND id = ?2 RETURNING version"

# What stands on what.

READ_RESPONSES_IN: Final = """
SELECT r.id, r.first_position, r.last_position, r.epoch, r.conversation_id, r.expires_at
FROM responses r WHERE r.tenant = ?1 AND r.log = ?2 AND r.last_position >= ?3
"""

READ_FORKS_OF: Final = """
SELECT f.log, f.base_position, f.base_epoch FROM logs f
WHERE f.tenant = ?1 AND f.base_log = ?2 AND f.base_position >= ?3
"""

READ_OWNER_OF: Final = "SELECT c.id FROM conversations c WHERE c.tenant = ?1 AND c.log = ?2"

# When log ?2 hid the items of log ?3 that stand at ?4 to ?5.
READ_HIDDEN_SINCE: Final = """
SELECT v.position, v.epoch FROM removals v
WHERE v.tenant = ?1 AND v.viewing_log = ?2 AND v.item_log = ?3 AND v.position BETWEEN ?4 AND ?5
"""

READ_LOGS_ON: Final = """
WITH RECURSIVE path (log) AS (
    SELECT ?2
    UNION ALL
    SELECT f.log FROM path CROSS JOIN logs f ON f.tenant = ?1 AND f.base_log = path.log
)
SELECT path.log FROM path
"""

READ_PLACES_OF: Final = """
SELECT r.id, r.log, r.first_position, r.last_position FROM responses r WHERE r.tenant = ?1 AND r.conversation_id = ?2
"""

# By age, as lists of them are; expired ones only if ?3 is before their expiry.
READ_RESPONSES_OF_END_USER: Final = """
SELECT r.id, r.created_at, r.conversation_id FROM responses r
WHERE r.tenant = ?1 AND r.end_user = ?2 AND (r.expires_at IS NULL OR r.expires_at > ?3)
ORDER BY r.created_at, r.id
"""

READ_PENDING_OF_END_USER: Final = """
SELECT p.response_id, p.created_at, p.conversation_id FROM pending p WHERE p.tenant = ?1 AND p.end_user = ?2
"""

READ_AGE_OF_CONVERSATIONS: Final = """
SELECT c.id, c.created_at FROM json_each(?2) CROSS JOIN conversations c ON c.tenant = ?1 AND c.id = json_each.value
"""

READ_PLACE_OF: Final = """
SELECT r.log, r.first_position, r.last_position, r.conversation_id FROM responses r
WHERE r.tenant = ?1 AND r.id = ?2 AND (r.expires_at IS NULL OR r.expires_at > ?3)
"""
