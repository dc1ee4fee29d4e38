"""
Verifying a whole file. Every statement here looks for rows that must not be, and reads whole tables to do so.

What holds in a sound file: whatever something looks at has all its positions; references and bases point at what is
there; a turn's items stand inside its log; and nothing is kept that nothing reaches.
"""

from __future__ import annotations

from typing import Final

import apsw

from antiphon.stores.sqlite.connection import snapshot
from antiphon.stores.sqlite.directory_checking import DIRECTORY_CHECKS
from antiphon.stores.sqlite.library_checking import LIBRARY_CHECKS
from antiphon.stores.sqlite.work_checking import WORK_CHECKS

__all__ = ["problems_of"]

# Put before every check. tops: how far anything looks into each log; a log without a row there is looked into by
# nothing. pinned: the items that are referred to.
_TERMS: Final = """
WITH looks (tenant, log, top) AS (
    SELECT tenant, log, last_position FROM responses
    UNION ALL SELECT tenant, base_log, base_position FROM logs WHERE base_log IS NOT NULL
    UNION ALL SELECT c.tenant, c.log, l.length - 1 FROM conversations c JOIN logs l USING (tenant, log)
),
tops (tenant, log, top) AS MATERIALIZED (SELECT tenant, log, max(top) FROM looks GROUP BY tenant, log),
pinned (tenant, log, position) AS MATERIALIZED (
    SELECT DISTINCT tenant, ref_log, ref_position FROM items WHERE ref_log IS NOT NULL
)
"""

# (what is wrong, what it is about): the first column is shown in place of {}.
_CHECKS: Final[tuple[tuple[str, str], ...]] = (
    (
        "log {} has gaps: not every position that is looked at is there",
        """
        SELECT l.log FROM logs l JOIN tops USING (tenant, log)
        WHERE top - l.base_position <> (
            SELECT count(*) FROM items i
            WHERE i.tenant = l.tenant AND i.log = l.log AND i.position BETWEEN l.base_position + 1 AND top
        )
        """,
    ),
    (
        "log {} has items outside its range of positions",
        """
        SELECT DISTINCT l.log FROM items i JOIN logs l USING (tenant, log)
        WHERE i.position <= l.base_position OR i.position >= l.length
        """,
    ),
    (
        "log {} does not exist and has items",
        "SELECT DISTINCT i.log FROM items i LEFT JOIN logs l USING (tenant, log) WHERE l.log IS NULL",
    ),
    (
        "log {} stands on a position that its base does not have",
        """
        SELECT f.log FROM logs f LEFT JOIN logs b ON b.tenant = f.tenant AND b.log = f.base_log
        WHERE f.base_log IS NOT NULL AND (
            b.log IS NULL OR f.base_position >= b.length OR f.base_position < -1 OR f.base_epoch > b.epoch
        )
        """,
    ),
    (
        "log {} has lost its base and is still looked into",
        "SELECT l.log FROM logs l JOIN tops USING (tenant, log) WHERE l.base_log IS NULL AND l.base_position >= 0",
    ),
    (
        "a reference in log {} points at nothing",
        """
        SELECT DISTINCT i.log FROM items i
        LEFT JOIN items t ON t.tenant = i.tenant AND t.log = i.ref_log AND t.position = i.ref_position
        WHERE i.ref_log IS NOT NULL AND t.id IS NULL
        """,
    ),
    (
        "log {} has rows that are both an item and a reference, or half of either",
        """
        SELECT DISTINCT log FROM items
        WHERE (id IS NULL) <> (payload IS NULL) OR (id IS NULL) <> (type IS NULL)
           OR (ref_log IS NULL) <> (ref_position IS NULL) OR (id IS NOT NULL AND ref_log IS NOT NULL)
        """,
    ),
    (
        "an item in log {} is erased and was never removed",
        """
        SELECT DISTINCT i.log FROM items i
        WHERE i.id IS NULL AND i.ref_log IS NULL AND NOT EXISTS (
            SELECT 1 FROM removals v
            WHERE v.tenant = i.tenant AND v.item_log = i.log AND v.position = i.position
        )
        """,
    ),
    (
        "response {} stands outside its log",
        """
        SELECT r.id FROM responses r LEFT JOIN logs l USING (tenant, log)
        WHERE l.log IS NULL OR r.last_position >= l.length
           OR r.first_position <= l.base_position AND r.last_position >= r.first_position
           OR r.output_position < r.first_position OR r.output_position > r.last_position + 1
           OR r.last_position < r.first_position - 1 OR r.epoch > l.epoch
        """,
    ),
    (
        "response {} is not whole: items of its own were erased",
        """
        SELECT DISTINCT r.id FROM responses r JOIN items i ON i.tenant = r.tenant AND i.log = r.log
            AND i.position BETWEEN r.first_position AND r.last_position
        WHERE i.id IS NULL AND i.ref_log IS NULL
        """,
    ),
    (
        "conversation {} has no log of its own",
        """
        SELECT c.id FROM conversations c LEFT JOIN logs l USING (tenant, log)
        WHERE l.log IS NULL OR l.kind <> 'conversation'
        """,
    ),
    (
        "tenant {} has handed out an insertion index that its counter has not reached",
        """
        SELECT DISTINCT r.tenant FROM (
            SELECT tenant, insertion_index FROM responses UNION ALL SELECT tenant, insertion_index FROM pending
        ) r LEFT JOIN tenants t USING (tenant)
        WHERE r.insertion_index IS NOT NULL AND (t.tenant IS NULL OR r.insertion_index >= t.next_insertion_index)
        """,
    ),
    (
        "nothing looks into log {} and nothing refers to it",
        """
        SELECT l.log FROM logs l LEFT JOIN tops USING (tenant, log)
        WHERE tops.log IS NULL AND NOT EXISTS (SELECT 1 FROM items i WHERE i.tenant = l.tenant AND i.log = l.log)
        """,
    ),
    (
        "log {} keeps items that nothing reaches",
        """
        SELECT DISTINCT i.log FROM items i LEFT JOIN tops USING (tenant, log)
        WHERE i.position > coalesce(top, -1)
          AND (i.tenant, i.log, i.position) NOT IN (SELECT tenant, log, position FROM pinned)
        """,
    ),
    (
        "a removal names log {}, which does not exist",
        """
        SELECT DISTINCT v.viewing_log FROM removals v LEFT JOIN logs l ON l.tenant = v.tenant AND l.log = v.viewing_log
        WHERE l.log IS NULL
        """,
    ),
)


def problems_of(connection: apsw.Connection) -> list[str]:
    """One line for each problem, in one snapshot; empty if the file is sound. Blocks for as long as it takes."""
    with snapshot(connection):
        # Not the quick check: a key that is damaged in an index makes its row unknown, and only this one compares them.
        damage = [str(line) for (line,) in connection.execute("PRAGMA integrity_check") if line != "ok"]
        return damage or [
            message.format(subject)
            for message, statement in (*_CHECKS, *LIBRARY_CHECKS, *WORK_CHECKS, *DIRECTORY_CHECKS)
            for (subject,) in connection.execute(_TERMS + statement)
        ]
