"""What a check of a session store works with: a fresh store, a clock that it sets, and short ways to make turns."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from antiphon.hub.ids import Family, ItemId, LogId, TenantId
from antiphon.sessions.records import (
    Committed,
    Conversation,
    Entry,
    Head,
    History,
    ItemPage,
    NewConversation,
    NewItem,
    NewTurn,
    Page,
    Reference,
    StoredItem,
    StoredSession,
)
from antiphon.sessions.store import SessionStore, TenantStore

__all__ = [
    "FAMILY",
    "NO_LOG",
    "Check",
    "CheckList",
    "FixedClock",
    "StoreFixture",
    "conversation_id",
    "item",
    "item_id",
    "payload_of",
    "raises",
    "refer",
    "response_id",
    "shown",
    "text",
    "texts",
]

FAMILY = Family("00000000000000aa")
# A log that no store ever has: ids are random.
NO_LOG = LogId(1)

_START_S = 1_000_000.0


class FixedClock:
    """A clock that stands still until it is told to go on."""

    def __init__(self, now_s: float = _START_S) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s

    def advance(self, seconds: float) -> None:
        """Go on by *seconds*."""
        self.now_s += seconds


class StoreFixture(msgspec.Struct, frozen=True):
    """
    One fresh, opened store.

    Attributes:
        clock: The clock that the store was made with.
        reopen: Closes the store and opens it again with what it kept; None if it keeps nothing.
    """

    store: SessionStore
    clock: FixedClock
    reopen: Callable[[], Awaitable[None]] | None = None

    @property
    def acme(self) -> TenantStore:
        """The tenant that most checks use."""
        return self.store.for_tenant(TenantId("acme"))

    @property
    def globex(self) -> TenantStore:
        """Another tenant."""
        return self.store.for_tenant(TenantId("globex"))

    def turn(
        self, name: str, attach: Head | None = None, entries: Sequence[Entry] | None = None, **changes: Any
    ) -> NewTurn:
        """A turn of one input and one output item, whose ids and contents follow from *name*."""
        given = (item(name, 0), item(name, 1)) if entries is None else tuple(entries)
        turn = NewTurn(
            response_id=response_id(name),
            family=FAMILY,
            attach=attach,
            entries=given,
            output_index=min(1, len(given)),
            status="completed",
            model="model",
            alias="alias",
            created_at=int(self.clock()),
            payload=f"response {name}".encode(),
        )
        return msgspec.structs.replace(turn, **changes)

    async def commit(
        self, name: str, attach: Head | None = None, entries: Sequence[Entry] | None = None, **changes: Any
    ) -> Committed:
        """Commit :meth:`turn` for the usual tenant."""
        return await self.acme.commit(self.turn(name, attach, entries, **changes))

    def conversation(self, name: str, entries: Sequence[Entry] = (), **changes: Any) -> NewConversation:
        """A conversation to be created."""
        new = NewConversation(
            id=conversation_id(name),
            family=FAMILY,
            created_at=int(self.clock()),
            payload=f"conversation {name}".encode(),
            entries=tuple(entries),
        )
        return msgspec.structs.replace(new, **changes)

    async def create(self, name: str, entries: Sequence[Entry] = (), **changes: Any) -> Conversation:
        """A conversation of the usual tenant."""
        return await self.acme.create_conversation(self.conversation(name, entries, **changes))

    async def fork(self, source: str, name: str, at: str | None = None, **changes: Any) -> Conversation:
        """A fork of the conversation *source*."""
        new = self.conversation(name, **changes)
        return await self.acme.fork_conversation(conversation_id(source), new, at=at)

    async def rewind(self, conversation: str, to: str) -> int:
        """Rewind a conversation to an item."""
        return await self.acme.rewind_conversation(conversation_id(conversation), to)

    async def remove(self, conversation: str, *ids: str) -> None:
        """Remove items from a conversation, one after the other."""
        for each in ids:
            assert await self.acme.remove_item(conversation_id(conversation), each), f"{conversation} has no {each}"

    async def append(self, conversation: str, *names: str) -> None:
        """Add an item by hand for each of *names*."""
        await self.acme.append_items(conversation_id(conversation), [item(name) for name in names])

    async def converse(self, conversation: str, name: str, **changes: Any) -> Committed:
        """A turn inside a conversation, from taking the lease to giving it back."""
        lease = await self.acme.acquire_lease(conversation_id(conversation), f"holder of {name}", 30)
        return await self.commit(name, lease=lease, conversation_id=conversation_id(conversation), **changes)

    def session(self, name: str, entries: Sequence[Entry] | None = None, **changes: Any) -> StoredSession:
        """A session to put, like :meth:`turn`."""
        given = (item(name, 0), item(name, 1)) if entries is None else tuple(entries)
        session = StoredSession(
            response_id=response_id(name),
            messages=given,
            output_index=min(1, len(given)),
            model="model",
            created_at=int(self.clock()),
            payload=f"response {name}".encode(),
        )
        return msgspec.structs.replace(session, **changes)

    async def history(self, name: str) -> list[str]:
        """The contents that a turn after the response *name* sees."""
        history = await self.acme.read_history_after(response_id(name))
        assert history is not None, f"the response {name} is unknown"
        return texts(history)

    async def present(self, conversation: str) -> list[str]:
        """The contents of a conversation."""
        history = await self.acme.read_history_of(conversation_id(conversation))
        assert history is not None, f"the conversation {conversation} is unknown"
        return texts(history)

    async def listed(self, conversation: str, **page: Any) -> list[str]:
        """The item ids of one page of a conversation."""
        answer = await self.acme.list_conversation_items(conversation_id(conversation), Page(**page))
        return shown(answer)

    async def inputs(self, name: str, **page: Any) -> list[str]:
        """The item ids of one page of a response's input items."""
        return shown(await self.acme.list_input_items(response_id(name), Page(**page)))

    async def sweep(self, limit: int = 500) -> int:
        """Sweep, and say how much went."""
        return (await self.store.sweep(limit)).count

    async def left(self, *ids: str) -> set[str]:
        """Which of these item ids can still be found."""
        return {str(found) for found in await self.acme.find_items(ids)}


class Check(msgspec.Struct, frozen=True):
    """One promised behaviour."""

    name: str
    promise: str
    body: Callable[[StoreFixture], Awaitable[None]]

    async def run(self, fixture: StoreFixture) -> None:
        """
        Run the check, then let the store verify itself.

        Raises:
            AssertionError: The promise is broken.
        """
        await self.body(fixture)
        problems = await fixture.store.check()
        assert problems == [], f"after {self.name} the store reports {problems}"


class CheckList:
    """Collects checks in the order in which they are written."""

    def __init__(self) -> None:
        self.checks: list[Check] = []

    def __call__(self, body: Callable[[StoreFixture], Awaitable[None]]) -> Callable[[StoreFixture], Awaitable[None]]:
        """Add *body*; used as a decorator. Its docstring is the promise."""
        name = getattr(body, "__name__", "")
        self.checks.append(Check(name=name, promise=inspect.getdoc(body) or "", body=body))
        return body


def response_id(name: str) -> str:
    """The response id of a turn."""
    return f"resp_{name}"


def conversation_id(name: str) -> str:
    """The id of a conversation."""
    return f"conv_{name}"


def item_id(name: str, index: int = 0) -> ItemId:
    """The id of a turn's item."""
    return ItemId(f"msg_{name}_{index}")


def payload_of(name: str, index: int = 0) -> bytes:
    """The content of a turn's item: starts with a NUL, as payloads do."""
    return b"\x00" + f"{name}.{index}".encode()


def item(name: str, index: int = 0, **changes: Any) -> NewItem:
    """A turn's item."""
    new = NewItem(id=item_id(name, index), type="message", payload=payload_of(name, index))
    return msgspec.structs.replace(new, **changes)


def refer(name: str, index: int = 0) -> Reference:
    """A reference to a turn's item."""
    return Reference(id=item_id(name, index))


def texts(history: History) -> list[str]:
    """The visible contents of a history, after making sure that it is whole."""
    assert [entry.position for entry in history.items] == list(range(history.head.position + 1)), "gaps in a history"
    return [text(entry) for entry in history.items if not entry.removed]


def text(entry: StoredItem) -> str:
    """The content of an item as text; ``-`` where it was erased."""
    return "-" if entry.payload is None else entry.payload[1:].decode()


def shown(page: ItemPage | None) -> list[str]:
    """The ids on a page; one more entry, ``...``, where there is more."""
    assert page is not None, "the list is unknown"
    return [str(entry.id) for entry in page.items] + (["..."] if page.has_more else [])


async def raises(error: type[Exception], awaitable: Awaitable[object]) -> None:
    """Make sure that *awaitable* raises *error*."""
    try:
        await awaitable
    except error:
        return
    raise AssertionError(f"{error.__name__} was not raised")
