"""Looks at a restarted gateway through its public API, and at the ids in its file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw

from tests.kills.checker import INPUT_ITEMS_SHOWN, ObservedConversation, ObservedTurn, probe
from tests.kills.client import Client
from tests.kills.ledger import JsonObject, item_of
from tests.support.echo_upstream import MODEL
from tests.support.history_model import Saying

__all__ = ["Observer", "stored_ids"]


class Observer:
    """Asks one process of the gateway what it knows."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def knows(self, response_id: str) -> bool:
        """Whether there is a response of this id for who asks."""
        status, _ = await self._client.get(f"/responses/{response_id}")
        return bool(status != 404)

    async def turn(self, response_id: str, *, continued_after: Sequence[Saying] | None = None) -> ObservedTurn:
        """
        A turn, its input items and, if asked for, what a continuation stands on.

        Args:
            continued_after: The history that the continuation should have; it decides what the probe has to answer.
        """
        status, response = await self._client.get(f"/responses/{response_id}")
        if status != 200:
            return ObservedTurn(response=None)
        _, listed = await self._client.get(
            f"/responses/{response_id}/input_items", limit=str(INPUT_ITEMS_SHOWN), order="desc"
        )
        continued = None if continued_after is None else await self._continue(response_id, continued_after)
        return ObservedTurn(response=response, input_items=listed["data"][::-1], continued=continued)

    async def conversation(self, conversation_id: str) -> ObservedConversation:
        """A conversation with all of its items."""
        status, body = await self._client.get(f"/conversations/{conversation_id}")
        if status != 200:
            return ObservedConversation(body=None)
        items: list[JsonObject] = []
        page: dict[str, Any] = {"has_more": True, "last_id": None}
        while page["has_more"]:
            after = {"after": page["last_id"]} if page["last_id"] else {}
            _, page = await self._client.get(
                f"/conversations/{conversation_id}/items", limit="100", order="asc", **after
            )
            items += page["data"]
        return ObservedConversation(body=body, items=items)

    async def _continue(self, response_id: str, history: Sequence[Saying]) -> str:
        said = [item_of(saying) for saying in probe(history)]
        request = {"model": MODEL, "input": said, "previous_response_id": response_id, "store": False}
        answer = await self._client.post("/responses", request)
        return str(answer["output"][0]["content"][0]["text"])


def stored_ids(file: Path, tenant: str) -> set[str]:
    """The ids of all responses of a tenant in a SQLite store, read beside the gateway."""
    connection = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return {row[0] for row in connection.execute("SELECT id FROM responses WHERE tenant = ?", (tenant,))}
    finally:
        connection.close()
