"""The audit trail: how entries are linked, what they say, in which order they are written, and what becomes of them."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon import InMemorySessionStore
from antiphon.engine.audit import AuditTrail
from antiphon.engine.audit_buffer import AuditBuffer
from antiphon.engine.audit_entry import outcome_of, plain_text, system
from antiphon.engine.audit_link import AuditLink
from antiphon.hub.errors import (
    AuthenticationRequired,
    ConversationLocked,
    InvalidRequest,
    ItemNotFound,
    ModelNotFound,
    PreviousResponseNotFound,
    PromptNotFound,
    ResponseNotFound,
    StoreUnavailable,
    UpstreamRefused,
)
from antiphon.hub.ids import IdFactory, TenantId
from antiphon.hub.principal import Principal
from antiphon.sessions.directory import AuditEntry, AuditPage, AuditRecord
from antiphon.sessions.sessions import Sessions
from antiphon.telemetry import Log

TENANT = TenantId("acme")
ANN = Principal(tenant=TENANT, actor="ann")
SECRET = bytes(range(32))
ENTRY = AuditEntry(
    at_ms=1_785_974_865_123,
    actor="k1",
    action="response.read",
    object_id="resp_1",
    outcome="ok",
    request_id="req_1",
)

texts = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=12)


def chain(link: AuditLink, count: int, *, previous: bytes = b"", after: int = 0) -> list[AuditRecord]:
    """A sound trail of so many entries."""
    records = []
    for index in range(after + 1, after + count + 1):
        entry = msgspec.structs.replace(ENTRY, object_id=f"resp_{index}")
        previous = link(previous, index, entry)
        records.append(AuditRecord(index=index, entry=entry, link=previous))
    return records


# Links.


def test_a_link_is_what_it_was_when_the_format_was_frozen() -> None:
    """Trails outlive the program that wrote them: the bytes that a link is made of never change."""
    first = AuditLink(SECRET)(b"", 1, ENTRY)
    assert first.hex() == "076d25b045fb9249a8ba0ea8cf5a4a4f3b93546f490a246ea552d8da887b691a"
    second = AuditLink(SECRET)(first, 2, ENTRY)
    assert second.hex() == "60dc95659565e85de749bdb3818ea678370c672cde844d7d3c3b20c094973781"


@pytest.mark.parametrize(
    "change",
    [
        {"at_ms": ENTRY.at_ms + 1},
        {"actor": "k2"},
        {"action": "response.delete"},
        {"object_id": "resp_2"},
        {"outcome": "not_found"},
        {"request_id": "req_2"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_field_is_in_the_link(change: dict[str, Any]) -> None:
    """An entry of which anything was changed has another link."""
    link = AuditLink(SECRET)
    assert link(b"", 1, msgspec.structs.replace(ENTRY, **change)) != link(b"", 1, ENTRY)


def test_index_predecessor_and_secret_are_in_the_link() -> None:
    """The same entry has another link elsewhere in the trail, in another trail, and of another tenant."""
    link = AuditLink(SECRET)
    others = [link(b"", 2, ENTRY), link(bytes(32), 1, ENTRY), AuditLink(SECRET[::-1])(b"", 1, ENTRY)]
    assert len({link(b"", 1, ENTRY), *others}) == 4


@given(st.lists(texts, min_size=5, max_size=5), st.lists(texts, min_size=5, max_size=5))
def test_no_two_entries_have_the_same_text(first: list[str], second: list[str]) -> None:
    """Moving characters from one field to the next changes the link: all lengths stand in front."""
    names = ("actor", "action", "object_id", "outcome", "request_id")
    link = AuditLink(SECRET)
    links = {link(b"", 1, AuditEntry(at_ms=1, **dict(zip(names, fields, strict=True)))) for fields in (first, second)}
    assert len(links) == len({tuple(first), tuple(second)})


def test_a_sound_trail_has_no_problems_page_by_page() -> None:
    """What is verified in pages is what is verified at once."""
    link = AuditLink(SECRET)
    records = chain(link, 9)
    assert link.problems(records, after=0, previous=b"") == []
    assert link.problems(records[4:], after=4, previous=records[3].link) == []


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda records: records[:3] + records[4:], ["Entry 4 is missing"]),
        (lambda records: records[1:], ["Entry 1 is missing"]),
        (lambda records: [*records[:2], altered(records[2]), *records[3:]], ["Entry 3 was altered"]),
        (lambda records: [*records[:2], forged(records[2]), *records[3:]], ["Entry 3 was altered", "Entry 4 was"]),
        (lambda records: [*records[:2], records[3], records[2], *records[4:]], ["Entry 3 is missing"]),
        (lambda records: renumbered(records[:2] + records[3:]), ["Entry 3 was altered"]),
    ],
    ids=["taken out", "first taken out", "altered", "altered with a link of another key", "swapped", "renumbered"],
)
def test_whoever_has_no_key_cannot_change_a_trail_unseen(spoil: Any, expected: list[str]) -> None:
    """Each change to a stored trail is named, with the entry at which it shows."""
    found = AuditLink(SECRET).problems(spoil(chain(AuditLink(SECRET), 6)), after=0, previous=b"")
    assert [line[: len(start)] for line, start in zip(found, expected, strict=False)] == expected
    assert len(found) >= len(expected)


def altered(record: AuditRecord) -> AuditRecord:
    return msgspec.structs.replace(record, entry=msgspec.structs.replace(record.entry, actor="mallory"))


def forged(record: AuditRecord) -> AuditRecord:
    entry = altered(record).entry
    return msgspec.structs.replace(record, entry=entry, link=AuditLink(bytes(32))(b"", record.index, entry))


def renumbered(records: list[AuditRecord]) -> list[AuditRecord]:
    return [msgspec.structs.replace(record, index=index) for index, record in enumerate(records, 1)]


# What entries say.


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (None, "ok"),
        (ResponseNotFound("resp_x"), "not_found"),
        (ItemNotFound("gone"), "not_found"),
        (PromptNotFound("pmpt_x"), "not_found"),
        (ModelNotFound("m"), "model_not_found"),
        (PreviousResponseNotFound("resp_x"), "previous_response_not_found"),
        (InvalidRequest("no"), "invalid_request"),
        (ConversationLocked(), "conversation_locked"),
        (AuthenticationRequired(), "authentication_required"),
        (UpstreamRefused("no", code="Their words, of any length"), "upstream_refused"),
        (KeyError("a bug"), "server_error"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_an_outcome_is_the_errors_code(error: BaseException | None, expected: str) -> None:
    """An id that is unknown has one outcome whatever it is of; an upstream's own words are never taken for a code."""
    assert outcome_of(error) == expected


@pytest.mark.parametrize(
    ("given_id", "expected"),
    [
        ("resp_0011", "resp_0011"),
        ("", ""),
        ("x" * 1000, "x" * 127 + "~"),
        ("a\nb\x00c", "a?b?c"),
        ("\ud800\u2028é", "???"),
    ],
    ids=["plain", "empty", "long", "control characters", "no ASCII"],
)
def test_a_callers_id_can_neither_fill_the_trail_nor_end_a_line(given_id: str, expected: str) -> None:
    """What is written down of an id is printable and short, whatever a client sent."""
    assert plain_text(given_id) == expected


# Entries that may wait.


class Sink:
    """Takes batches of entries, unless it is told to refuse."""

    def __init__(self) -> None:
        self.batches: list[tuple[TenantId, list[str]]] = []
        self.refusing = False
        self.tried = asyncio.Event()

    async def append(self, tenant: TenantId, entries: Sequence[AuditEntry]) -> None:
        await asyncio.sleep(0)
        self.tried.set()
        if self.refusing:
            raise StoreUnavailable("The store is away.")
        self.batches.append((tenant, [entry.object_id for entry in entries]))

    @property
    def ids(self) -> list[str]:
        return [object_id for _, batch in self.batches for object_id in batch]


def entries(*names: str) -> list[AuditEntry]:
    return [msgspec.structs.replace(ENTRY, object_id=name) for name in names]


def buffer(sink: Sink, **options: Any) -> tuple[AuditBuffer, io.StringIO]:
    lines = io.StringIO()
    settings = {"flush_after_s": 0.001, "max_entries": 100, **options}
    return AuditBuffer(sink.append, log=Log("warning", stream=lines), **settings), lines


async def test_entries_are_written_together_a_moment_later() -> None:
    """What comes within a moment is one batch for each tenant, in the order in which it came."""
    sink = Sink()
    waiting, _ = buffer(sink)
    for name in ("a", "b", "c"):
        waiting.keep(TENANT, entries(name))
    waiting.keep(TenantId("other"), entries("d"))
    assert sink.batches == []
    await sink.tried.wait()
    await waiting.flush()
    assert sorted(sink.batches) == [(TENANT, ["a", "b", "c"]), ("other", ["d"])]
    await waiting.close()


async def test_a_store_that_comes_back_is_given_everything_in_order() -> None:
    """Entries that could not be written are tried again, each once, before those that came later."""
    sink = Sink()
    sink.refusing = True
    waiting, lines = buffer(sink)
    waiting.keep(TENANT, entries("a", "b"))
    assert await waiting.flush() is False
    waiting.keep(TENANT, entries("c"))
    sink.refusing = False
    assert await waiting.flush() is True
    assert sink.ids == ["a", "b", "c"]
    assert waiting.lost == 0
    assert "audit_not_written_yet" in lines.getvalue()
    assert "response.read" not in lines.getvalue()
    await waiting.close()


async def test_it_tries_again_by_itself() -> None:
    """Nobody has to ask: a buffer that could not be written sets its own clock."""
    sink = Sink()
    sink.refusing = True
    waiting, _ = buffer(sink)
    waiting.keep(TENANT, entries("a"))
    await sink.tried.wait()
    sink.refusing = False
    async with asyncio.timeout(20):
        while not sink.ids:
            await asyncio.sleep(0.001)
    assert sink.ids == ["a"]
    await waiting.close()


async def test_what_waits_is_bounded_and_what_is_lost_is_counted() -> None:
    """The oldest entries are kept; how many were lost is told in the log, without what they said."""
    sink = Sink()
    sink.refusing = True
    waiting, lines = buffer(sink, max_entries=3)
    waiting.keep(TENANT, entries("a", "b"))
    waiting.keep(TENANT, entries("c", "d", "e"))
    assert waiting.lost == 2
    assert "audit_entries_lost level=error" in lines.getvalue()
    assert "count=2" in lines.getvalue()
    sink.refusing = False
    await waiting.close()
    assert sink.ids == ["a", "b", "c"]


async def test_the_end_writes_what_waits_and_counts_what_cannot_be() -> None:
    """Closing flushes; with a store that stays away it ends all the same, and says how many entries are gone."""
    sink = Sink()
    waiting, _ = buffer(sink, flush_after_s=60.0)
    waiting.keep(TENANT, entries("a"))
    await waiting.close()
    assert sink.ids == ["a"]

    sink.refusing = True
    waiting, lines = buffer(sink, flush_after_s=60.0)
    waiting.keep(TENANT, entries("b", "c"))
    await waiting.close()
    assert waiting.lost == 2
    assert "lost_so_far=2" in lines.getvalue()


async def test_one_tenant_that_cannot_be_written_holds_up_no_other() -> None:
    """Each tenant's entries go by themselves."""
    written = []

    async def append(tenant: TenantId, batch: Sequence[AuditEntry]) -> None:
        if tenant == TENANT:
            raise StoreUnavailable("Its keys are away.")
        written.append(tenant)

    waiting = AuditBuffer(append, log=Log("error", stream=io.StringIO()), flush_after_s=60.0, max_entries=10)
    waiting.keep(TENANT, entries("a"))
    waiting.keep(TenantId("other"), entries("b"))
    assert await waiting.flush() is False
    assert written == ["other"]
    await waiting.close()


# Changes.


class Tenant:
    """A tenant's store that notes what it is asked for, and does or hides what it is told to."""

    def __init__(self, store: Any, owner: Store) -> None:
        self._store = store
        self._owner = owner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def append_audit(self, batch: Any, link: Any) -> None:
        self._owner.notes.append("entry asked for")
        if self._owner.refuse and self._owner.refuse.pop():
            raise StoreUnavailable("The store is away.")
        await self._store.append_audit(batch, link)
        self._owner.notes.append("entry durable")

    async def read_audit(self, **wanted: Any) -> AuditPage:
        page: AuditPage = await self._store.read_audit(**wanted)
        shown = tuple(record for record in page.records if record.index != self._owner.hidden)
        return msgspec.structs.replace(page, records=shown)


class Store(InMemorySessionStore):
    """
    A store whose tenants' stores are such.

    Attributes:
        refuse: Whether the next appends are refused, the last one first.
        hidden: The index of an entry that is not there any more.
    """

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []
        self.refuse: list[bool] = []
        self.hidden = 0

    def for_tenant(self, tenant: TenantId) -> Any:
        return Tenant(super().for_tenant(tenant), self)


async def trail_of(store: Store, **options: Any) -> AuditTrail:
    def clock() -> float:
        return 1_785_974_865.0

    await store.open()
    sessions = Sessions(store, ids=IdFactory(clock), clock=clock)
    return AuditTrail(sessions, clock=clock, log=Log("error", stream=io.StringIO()), **options)


async def records(trail: AuditTrail) -> list[tuple[str, str, str, str]]:
    page = await trail.read(TENANT)
    return [(each.entry.actor, each.entry.action, each.entry.object_id, each.entry.outcome) for each in page.records]


async def test_an_entry_is_asked_for_before_the_change_and_durable_before_anybody_is_told() -> None:
    """Entry, change, end of the block: whoever dies in between leaves an entry without a change, never the reverse."""
    store = Store()
    trail = await trail_of(store)
    async with trail.writing(ANN, ("response.delete", "resp_1"), request_id="req_1"):
        store.notes.append("change")
    store.notes.append("told")
    assert store.notes.index("entry asked for") < store.notes.index("change")
    assert store.notes.index("entry durable") < store.notes.index("told")
    assert await records(trail) == [("ann", "response.delete", "resp_1", "ok")]
    await trail.close()


async def test_an_entry_whose_change_failed_is_followed_by_one_that_says_so() -> None:
    """The first entry stays, as nothing in a trail is ever changed; the second has the error's code."""
    trail = await trail_of(Store())
    with pytest.raises(ConversationLocked):
        async with trail.writing(ANN, ("conversation.append", "conv_1"), request_id="req_1"):
            raise ConversationLocked
    assert await records(trail) == [
        ("ann", "conversation.append", "conv_1", "ok"),
        ("ann", "conversation.append", "conv_1", "conversation_locked"),
    ]
    await trail.close()


async def test_an_entry_is_tried_again_before_the_change_is_told() -> None:
    """A store that refuses an entry once is asked again, and the caller hears nothing of it."""
    store = Store()
    trail = await trail_of(store)
    store.refuse += [True]
    async with trail.writing(ANN, ("response.delete", "resp_1")):
        pass
    assert await records(trail) == [("ann", "response.delete", "resp_1", "ok")]
    await trail.close()


async def test_a_change_whose_entry_cannot_be_written_is_not_told_and_its_entry_is_not_lost() -> None:
    """The caller hears that the store is away; the entry is written when it is back."""
    store = Store()
    trail = await trail_of(store)
    store.refuse += [True] * 4
    with pytest.raises(StoreUnavailable):
        async with trail.writing(ANN, ("response.delete", "resp_1")):
            pass
    assert await records(trail) == [("ann", "response.delete", "resp_1", "ok")]
    await trail.close()


async def test_an_entry_goes_on_when_its_request_is_cancelled() -> None:
    """Who leaves cannot take back the entry of a change that may have been made."""
    trail = await trail_of(Store())

    async def change() -> None:
        async with trail.writing(ANN, ("response.delete", "resp_1")):
            await asyncio.Event().wait()

    task = asyncio.ensure_future(change())
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await records(trail) == [("ann", "response.delete", "resp_1", "ok")]
    await trail.close()


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("all", ["response.delete ok", "response.read ok", "response.create model_not_found"]),
        ("writes", ["response.delete ok", "response.create model_not_found"]),
        ("off", []),
    ],
)
async def test_a_mode_says_what_is_written_down(mode: Any, expected: list[str]) -> None:
    """Everything; changes, made or refused; or nothing."""
    trail = await trail_of(Store(), mode=mode)
    async with trail.writing(ANN, ("response.delete", "resp_1")):
        pass
    with trail.reading(ANN, "response.read", "resp_1"):
        pass
    with pytest.raises(ModelNotFound), trail.refusing(ANN, "response.create"):
        raise ModelNotFound("m")
    with trail.refusing(ANN, "response.create"):
        pass
    assert [f"{action} {outcome}" for _, action, _, outcome in await records(trail)] == expected
    await trail.close()


async def test_without_a_store_there_is_no_trail() -> None:
    """A stateless gateway keeps nothing, of what was done neither."""
    trail = AuditTrail(None, clock=lambda: 0.0, log=Log("error"))
    async with trail.writing(ANN, ("response.create", "resp_1")):
        pass
    trail.note(ANN, "response.read", "resp_1")
    assert await records(trail) == []
    assert await trail.verify(TENANT) == []
    await trail.close()


async def test_a_trail_of_many_pages_is_verified_whole_and_a_change_on_any_of_them_is_found() -> None:
    """Verification goes to the end, and each tenant's trail stands by itself."""
    store = Store()
    trail = await trail_of(store)
    for number in range(1203):
        trail.note(ANN, "response.read", f"resp_{number}")
    trail.note(system(TenantId("other")), "response.expire", "resp_x")
    await trail.flush()
    assert await trail.verify(TENANT) == []
    assert await trail.verify(TenantId("other")) == []

    store.hidden = 700
    assert await trail.verify(TENANT) == ["Entry 700 is missing: the one after 699 is 701."]
    await trail.close()
