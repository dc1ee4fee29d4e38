"""Going through every payload of a tenant, and replacing those that are still what they were."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import apsw
import msgspec
import orjson

from antiphon.hub.ids import Family, TenantId
from antiphon.sessions.codec import TENANT_FAMILY
from antiphon.sessions.vault import Payload, PayloadPage, Replacement, Scanned
from antiphon.stores.sqlite import vault_queries as queries
from antiphon.stores.sqlite.rows import Row, rows_of

__all__ = ["replace_payloads", "scan_payloads"]

Key = tuple[str | int, ...]
"""The columns that a table is scanned in the order of, and that name a row."""


def _family_in_id(key: Key) -> Family:
    return Family(str(key[0])[-50:-34])  # as ids are made


def _family_of_tenant(_key: Key) -> Family:
    return TENANT_FAMILY


def _family_itself(key: Key) -> Family:
    return Family(str(key[0]))


class _Table(msgspec.Struct, frozen=True, kw_only=True):
    """
    How the payloads of a table are found and replaced.

    Attributes:
        family: The family of the row with a key.
        is_numbered: The key is an id and a number.
    """

    scan: str
    replace: str
    family: Callable[[Key], Family] = _family_in_id
    is_numbered: bool = False

    @property
    def beginning(self) -> Key:
        return ("", -1) if self.is_numbered else ("",)

    def row_id(self, key: Key) -> str:
        return "/".join(map(str, key))

    def key_of(self, row_id: str) -> Key:
        if not self.is_numbered:
            return (row_id,)
        its_id, _, number = row_id.rpartition("/")
        return (its_id, int(number))


_TABLES: Final[Mapping[Scanned, _Table]] = {
    "items": _Table(scan=queries.SCAN_ITEMS, replace=queries.REPLACE_ITEM),
    "responses": _Table(scan=queries.SCAN_RESPONSES, replace=queries.REPLACE_RESPONSE),
    "traces": _Table(scan=queries.SCAN_TRACES, replace=queries.REPLACE_TRACE),
    "conversations": _Table(scan=queries.SCAN_CONVERSATIONS, replace=queries.REPLACE_CONVERSATION),
    "prompts": _Table(
        scan=queries.SCAN_PROMPTS, replace=queries.REPLACE_PROMPT, family=_family_of_tenant, is_numbered=True
    ),
    "pending": _Table(scan=queries.SCAN_PENDING, replace=queries.REPLACE_PENDING),
    "stream_events": _Table(scan=queries.SCAN_STREAM_EVENTS, replace=queries.REPLACE_STREAM_EVENTS, is_numbered=True),
    "idempotency": _Table(scan=queries.SCAN_IDEMPOTENCY, replace=queries.REPLACE_IDEMPOTENCY, family=_family_of_tenant),
    "deliveries": _Table(scan=queries.SCAN_DELIVERIES, replace=queries.REPLACE_DELIVERY, family=_family_of_tenant),
    "secrets": _Table(scan=queries.SCAN_SECRETS, replace=queries.REPLACE_SECRET, family=_family_of_tenant),
    "families": _Table(scan=queries.SCAN_FAMILIES, replace=queries.REPLACE_FAMILY, family=_family_itself),
}


def scan_payloads(
    connection: apsw.Connection, tenant: TenantId, table: Scanned, *, after: bytes | None, limit: int
) -> PayloadPage:
    """See :meth:`antiphon.sessions.vault.TenantVault.scan`."""
    place = _TABLES[table]
    start = place.beginning if after is None else tuple(orjson.loads(after))
    rows = rows_of(connection, place.scan, tenant, *start, limit + 1)
    taken = rows[:limit]
    return PayloadPage(
        payloads=tuple(_payload(table, row) for row in taken),
        cursor=orjson.dumps(taken[-1][1:]) if len(rows) > limit else None,
    )


def _payload(table: Scanned, row: Row) -> Payload:
    place, key = _TABLES[table], row[1:]
    return Payload(table=table, row_id=place.row_id(key), family=place.family(key), payload=row[0])


def replace_payloads(connection: apsw.Connection, tenant: TenantId, replacements: Sequence[Replacement]) -> int:
    """See :meth:`antiphon.sessions.vault.TenantVault.replace`."""
    replaced = 0
    for each in replacements:
        place = _TABLES[each.old.table]
        key = place.key_of(each.old.row_id)
        connection.execute(place.replace, (tenant, *key, each.old.payload, each.payload))
        replaced += connection.changes()
    return replaced
