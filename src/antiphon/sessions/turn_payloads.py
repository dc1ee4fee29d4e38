"""What the payloads of one turn are written with: its keys are asked for once, and then nothing waits for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from antiphon.hub.ids import Family, TenantId
from antiphon.hub.items import Item, JsonObject, is_cut_off_call
from antiphon.hub.origin import Origin
from antiphon.hub.response import compact
from antiphon.sessions.codec import TENANT_FAMILY, Keys, Place, Table
from antiphon.sessions.records import NewItem
from antiphon.sessions.slices import in_slices

__all__ = ["TurnPayloads", "family_of", "written_response"]

# What belongs to the tenant as a whole, whatever its ids look like.
_OF_TENANT: Final[frozenset[Table]] = frozenset({"prompts", "idempotency", "deliveries", "secrets"})


class TurnPayloads:
    """
    Writes payloads; see :class:`~antiphon.sessions.payloads.Payloads`, which makes it.

    Args:
        keys: Of the families of everything that is written.
    """

    def __init__(self, keys: Keys, tenant: TenantId) -> None:
        self._keys = keys
        self._tenant = tenant

    async def new_items(self, items: Sequence[Item], *, of_output: bool = False) -> list[NewItem]:
        """
        The records of items that are stored for the first time.

        Args:
            of_output: They are a turn's output, of which calls that were cut off are left out from then on.
        """
        return await in_slices(
            items, lambda item: self._new_item(item, left_out=of_output and is_cut_off_call(item.body))
        )

    def response(self, response: JsonObject, origin: Origin | None = None) -> bytes:
        """The payload of a response; its output is stored as items."""
        return self._encode(written_response(response, origin), "responses", response["id"])

    def trace(self, trace: object, response_id: str) -> bytes:
        """The payload of a response's trace."""
        return self._encode(trace, "traces", response_id)

    def _new_item(self, item: Item, *, left_out: bool) -> NewItem:
        value = [item.body] if item.private is None else [item.body, msgspec.to_builtins(item.private)]
        payload = self._encode(value, "items", item.id)
        return NewItem(id=item.id, type=item.type, payload=payload, left_out=left_out)

    def _encode(self, value: object, table: Table, row_id: str) -> bytes:
        return self._keys.encode(value, Place(self._tenant, family_of(table, row_id), table, row_id))


def written_response(response: JsonObject, origin: Origin | None) -> JsonObject:
    """What is in the payload of a response."""
    return compact(response) if origin is None else {**compact(response), "origin": [origin.dialect, origin.words]}


def family_of(table: Table, row_id: str) -> Family:
    """The family that a row's payload is sealed in."""
    if table in _OF_TENANT:
        return TENANT_FAMILY
    name = row_id.partition("/")[0] if table == "stream_events" else row_id
    return Family(name[-50:-34])
