"""What must not be in a sound file of what is found, forked and hidden. See :mod:`antiphon.stores.sqlite.checking`."""

from __future__ import annotations

from typing import Final

__all__ = ["LIBRARY_CHECKS"]

# Whether anything sees item i: like ``queries.FIND_UNREACHED``, without a head that is held.
_SEEN: Final = """
EXISTS (
    WITH RECURSIVE seeing (log, since) AS (
        SELECT i.log, (
            SELECT v.epoch FROM removals v
            WHERE v.tenant = i.tenant AND v.viewing_log = i.log AND v.item_log = i.log AND v.position = i.position
        )
        UNION ALL
        SELECT f.log, (
            SELECT v.epoch FROM removals v
            WHERE v.tenant = i.tenant AND v.viewing_log = f.log AND v.item_log = i.log AND v.position = i.position
        )
        FROM seeing JOIN logs f
        ON f.tenant = i.tenant AND f.base_log = seeing.log AND f.base_position >= i.position
        WHERE seeing.since IS NULL OR f.base_epoch < seeing.since
    )
    SELECT 1 FROM seeing
    WHERE EXISTS (
        SELECT 1 FROM responses r
        WHERE r.tenant = i.tenant AND r.log = seeing.log AND r.last_position >= i.position
          AND (seeing.since IS NULL OR r.epoch < seeing.since)
      )
      OR seeing.since IS NULL
        AND EXISTS (SELECT 1 FROM conversations c WHERE c.tenant = i.tenant AND c.log = seeing.log)
  )
"""

_REMOVED_AND_KEPT: Final = """
SELECT DISTINCT i.log FROM removals v
JOIN items i ON i.tenant = v.tenant AND i.log = v.item_log AND i.position = v.position
WHERE (i.id IS NOT NULL OR i.ref_log IS NOT NULL)
  AND (i.tenant, i.log, i.position) NOT IN (SELECT tenant, log, position FROM pinned)
  AND NOT
"""

_ERASED_AND_SEEN: Final = "SELECT DISTINCT i.log FROM items i WHERE i.id IS NULL AND i.ref_log IS NULL AND "

# (what is wrong, what it is about), as in ``checking``.
LIBRARY_CHECKS: Final[tuple[tuple[str, str], ...]] = (
    ("log {} keeps removed items that nothing reaches", _REMOVED_AND_KEPT + _SEEN),
    ("an item in log {} is erased and still seen", _ERASED_AND_SEEN + _SEEN),
    (
        "log {} looks further into its base than anything looks into it",
        "SELECT l.log FROM logs l JOIN tops USING (tenant, log) WHERE l.base_log IS NOT NULL AND top < l.base_position",
    ),
    (
        "log {} is a conversation's and stands on a chain",
        """
        SELECT f.log FROM logs f JOIN logs b ON b.tenant = f.tenant AND b.log = f.base_log
        WHERE f.kind = 'conversation' AND b.kind <> 'conversation'
        """,
    ),
    (
        "log {} is of another family than its base",
        """
        SELECT f.log FROM logs f JOIN logs b ON b.tenant = f.tenant AND b.log = f.base_log
        WHERE f.kind = 'conversation' AND b.family <> f.family
        """,
    ),
    (
        "a removal hides an item of log {}, which its view does not go through",
        """
        SELECT DISTINCT v.item_log FROM removals v WHERE v.item_log NOT IN (
            WITH RECURSIVE path (log) AS (
                SELECT v.viewing_log
                UNION ALL
                SELECT l.base_log FROM path JOIN logs l ON l.tenant = v.tenant AND l.log = path.log
                WHERE l.base_log IS NOT NULL
            )
            SELECT log FROM path
        )
        """,
    ),
    (
        "a term leads to {}, which is not there, or not in that place",
        """
        SELECT DISTINCT m.object_id FROM metadata_index m
        LEFT JOIN responses r ON m.kind = 'response' AND r.tenant = m.tenant AND r.id = m.object_id
        LEFT JOIN conversations c ON m.kind = 'conversation' AND c.tenant = m.tenant AND c.id = m.object_id
        LEFT JOIN pending p ON m.kind = 'response' AND p.tenant = m.tenant AND p.response_id = m.object_id
        WHERE m.ordinal IS NOT coalesce(r.insertion_index, p.insertion_index, c.created_at)
        """,
    ),
    (
        "prompt {} lacks a version",
        "SELECT p.id FROM prompts p GROUP BY p.tenant, p.id HAVING min(p.version) <> 1 OR max(p.version) <> count(*)",
    ),
)
