"""Nothing of another tenant can be reached, changed or noticed, by any operation and any id."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from antiphon.hub.ids import TenantId
from antiphon.sessions.store import SessionStore
from tests.isolation.document import UnknownField, fields_of, operations_of
from tests.isolation.matrix import Matrix, Report
from tests.isolation.stage import Stage, Tenant, populated

_ENOUGH = 3000


async def both(stage: Stage) -> None:
    """Populate both tenants; the second one also has a turn that is under way in a conversation."""
    await populated(stage, stage.a)
    b = await populated(stage, stage.b)
    conversation = await stage.done(b, "POST", "/v1/conversations", {})
    b.live["running conversation"] = [conversation["id"]]
    b.live["running response"] = [await stage.begin_endless(b, conversation=conversation["id"])]
    await stage.settle()


def shown(report: Report) -> str:
    return f"{len(report.problems)} problems:\n" + "\n".join(problem[:1500] for problem in report.problems[:20])


async def test_every_operation_and_every_id(tmp_path: Path) -> None:
    """
    A foreign, deleted, forged, misplaced or empty id is answered like one that nobody ever had; bad credentials and
    missing scopes are answered alike everywhere; and after each cell the other tenant is as it was.
    """
    async with Stage.open(tmp_path) as stage:
        await both(stage)
        before = await stage.export_of(stage.b.name)
        report = await Matrix(stage).run()
        assert not report.problems, shown(report)
        assert report.count >= _ENOUGH
        # Of the fields that take any id, requests got through to where ids are looked at.
        taken = {name.rpartition(" of ")[2] for name in report.taken if "input.[].id" in name}
        assert {"UserMessageInput", "AssistantMessageInput", "ReasoningInput"} <= taken
        assert await stage.export_of(stage.b.name) == before


async def test_every_operation_of_administrators(tmp_path: Path) -> None:
    """Each refuses every key but an administrator's; what was deleted is answered like what never was."""
    async with Stage.open(tmp_path) as stage:
        await both(stage)
        report = await Matrix(stage).run_admin()
        assert not report.problems, shown(report)
        assert report.count >= 200


async def test_the_matrix_tells_own_ids_from_others(tmp_path: Path) -> None:
    """In each field where something is looked up, the caller's own id is answered in another way."""
    async with Stage.open(tmp_path) as stage:
        await populated(stage, stage.b, people=2)

        async def anew() -> AsyncIterator[Tenant]:
            while True:
                yield await populated(stage, stage.a, people=2)

        assert await Matrix(stage).control(anew()) == []


# Plants, and the operations in which they have to be found.
_TOUCHED = {
    "get_by_response_id": ("createResponse", "getResponse"),
    "read_history_after": ("createResponse", "countInputTokens"),
    "list_conversation_items": ("createResponse", "listConversationItems"),
    "delete_conversation": ("createResponse", "deleteConversation"),
    "find_items": ("createResponse", "createConversation"),
}


class Leaky:
    """A store that hands one tenant the other one's object, for some of its methods."""

    def __init__(self, store: SessionStore, *leaking: str) -> None:
        self._store = store
        self._leaking = leaking

    def for_tenant(self, tenant: TenantId) -> Any:
        mine = self._store.for_tenant(tenant)
        theirs = self._store.for_tenant(TenantId("tenant-b"))
        return _Mixed(mine, theirs, self._leaking) if tenant == "tenant-a" else mine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class _Mixed:
    def __init__(self, mine: Any, theirs: Any, leaking: tuple[str, ...]) -> None:
        self._mine = mine
        self._theirs = theirs
        self._leaking = leaking

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._mine, name)
        if name not in self._leaking:
            return found
        theirs = getattr(self._theirs, name)

        async def mine_or_theirs(*args: Any, **named: Any) -> Any:
            answer = await found(*args, **named)
            return answer or await theirs(*args, **named)

        return mine_or_theirs


@pytest.mark.parametrize("method", sorted(_TOUCHED))
async def test_a_planted_leak_is_found(tmp_path: Path, method: str) -> None:
    """A store that looks into the other tenant, in one of its methods, is a problem of the matrix."""

    def around(store: SessionStore) -> Any:
        return Leaky(store, method)

    async with Stage.open(tmp_path, around=around) as stage:
        await both(stage)
        stage.operations = [each for each in stage.operations if each.name in _TOUCHED[method]]
        assert (await Matrix(stage, until_found=True).run()).problems


def _document(properties: dict[str, Any], parameters: list[dict[str, Any]]) -> dict[str, Any]:
    body = {"content": {"application/json": {"schema": {"type": "object", "properties": properties}}}}
    operation = {"operationId": "new", "parameters": parameters, "requestBody": body}
    return {"paths": {"/v1/new": {"post": operation}}, "components": {"schemas": {}}}


@pytest.mark.parametrize(
    "document",
    [
        _document({"vault_id": {"type": ["string", "null"]}}, []),
        _document({"wrapped": {"anyOf": [{"type": "array", "items": {"type": "string"}}]}}, []),
        _document({}, [{"name": "cursor", "in": "query", "schema": {"type": "string"}}]),
    ],
    ids=["member", "list", "query"],
)
def test_a_new_field_cannot_be_forgotten(document: dict[str, Any]) -> None:
    """A string that nobody has classified stops the generator."""
    (operation,) = operations_of(document)
    with pytest.raises(UnknownField, match="is it an id, or a word"):
        fields_of(operation)


def test_a_route_without_a_scope_does_not_start() -> None:
    """Who may call it has to be said where it is declared, and has to be a scope that there is."""
    from antiphon.server.routes import Route

    async def handler(_: Any) -> None: ...

    about: dict[str, Any] = {"name": "new", "tag": "Service", "answer": "Health", "extension": True}
    with pytest.raises(TypeError, match="scope"):
        Route("GET", "/v1/new", handler, "New", **about)
    with pytest.raises(ValueError, match="there is no scope"):
        Route("GET", "/v1/new", handler, "New", **{**about, "scope": ""})
