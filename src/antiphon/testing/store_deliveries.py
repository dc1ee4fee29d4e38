"""Checks of webhook deliveries: born with their response, tried until they are done, gone with it."""

from __future__ import annotations

import asyncio

from antiphon.hub.errors import StoreConflict
from antiphon.hub.ids import TenantId
from antiphon.sessions.records import NewDelivery
from antiphon.sessions.store import TenantStore
from antiphon.sessions.work import Delivery
from antiphon.testing.store_fixture import CheckList, StoreFixture, item_id, raises, response_id
from antiphon.testing.store_pending import begin

__all__ = ["checks", "delivery"]

checks = CheckList()


def delivery(s: StoreFixture, turn: str, name: str = "0", *, age_s: int = 0) -> NewDelivery:
    """A webhook that tells of a turn."""
    return NewDelivery(
        id=f"wh_{turn}_{name}",
        response_id=response_id(turn),
        created_at=int(s.clock()) - age_s,
        payload=f"webhook {turn}.{name}".encode(),
    )


async def _tell(s: StoreFixture, turn: str, *names: str, tenant: TenantStore | None = None) -> None:
    told = tuple(delivery(s, turn, name) for name in names or ("0",))
    await (tenant or s.acme).commit(s.turn(turn, deliveries=told))


async def _listed(s: StoreFixture, *, limit: int = 10, after: str | None = None) -> list[str]:
    return [each.id for each in await s.acme.list_deliveries(limit=limit, after=after)]


async def _due(s: StoreFixture, *, limit: int = 10, ttl_s: float = 30) -> list[str]:
    return [each.id for _, each in await s.store.take_deliveries(limit, ttl_s=ttl_s)]


async def _only(s: StoreFixture) -> Delivery:
    [found] = await s.acme.list_deliveries(limit=10, after=None)
    return found


@checks
async def delivery_is_due_at_once(s: StoreFixture) -> None:
    """A delivery is stored with its turn, has not been tried, and is due now, whenever it says it was created."""
    given = delivery(s, "a", age_s=5)
    await s.commit("a", deliveries=(given,))
    expected = Delivery(
        id=given.id,
        response_id=response_id("a"),
        created_at=given.created_at,
        payload=given.payload,
        attempts=0,
        next_at=int(s.clock()),
        delivered_at=None,
        outcome="",
    )
    assert await _only(s) == expected
    [(tenant, taken)] = await s.store.take_deliveries(10, ttl_s=30)
    assert (tenant, taken) == (TenantId("acme"), await _only(s))
    assert (taken.id, taken.payload, taken.attempts) == (given.id, given.payload, 0)


@checks
async def delivery_outlives_the_process(s: StoreFixture) -> None:
    """What is to be delivered is still there after the store was opened anew."""
    await _tell(s, "a")
    if s.reopen is not None:
        await s.reopen()
    assert await _due(s) == ["wh_a_0"]


@checks
async def refused_turn_delivers_nothing(s: StoreFixture) -> None:
    """A turn that is not stored tells nobody; a delivery that cannot be kept refuses its turn."""
    await _tell(s, "a")
    await raises(StoreConflict, _tell(s, "a", "1"))
    taken, twice = delivery(s, "a"), delivery(s, "b")
    foreign = NewDelivery(id="wh_x", response_id=response_id("a"), created_at=1, payload=b"x")
    of_b = NewDelivery(id=taken.id, response_id=response_id("b"), created_at=1, payload=b"x")
    claim = await begin(s, "b")
    for told in ((foreign,), (twice, twice), (twice, of_b)):
        await raises(StoreConflict, s.commit("b", claim=claim, deliveries=told))
    assert await _listed(s) == ["wh_a_0"]
    assert await s.left(item_id("b")) == set()
    assert await s.acme.read_pending(response_id("b")) is not None


@checks
async def delivery_is_taken_by_one(s: StoreFixture) -> None:
    """Of many who look for work at once, exactly one gets each delivery."""
    for index in range(5):
        await _tell(s, f"t{index}")
    taken = await asyncio.gather(*(_due(s, limit=2) for _ in range(6)))
    assert sorted(each for answer in taken for each in answer) == [f"wh_t{index}_0" for index in range(5)]


@checks
async def taken_delivery_is_put_off(s: StoreFixture) -> None:
    """If nobody says how a try went, the delivery is due again when the time is over, and not a moment before."""
    await _tell(s, "a")
    s.clock.advance(0.5)
    assert await _due(s, ttl_s=10) == ["wh_a_0"]
    s.clock.advance(9.75)
    assert await _due(s) == []
    s.clock.advance(1)
    assert await _due(s) == ["wh_a_0"]
    assert (await _only(s)).attempts == 0


@checks
async def tries_are_noted(s: StoreFixture) -> None:
    """A try counts and says how it went and when the next one is; one that succeeded is the last."""
    await _tell(s, "a")
    await _due(s)
    later = int(s.clock()) + 60
    await s.acme.record_delivery("wh_a_0", outcome="timeout", next_at=later, delivered_at=None)
    found = await _only(s)
    assert (found.attempts, found.outcome, found.next_at, found.delivered_at) == (1, "timeout", later, None)
    s.clock.advance(59)
    assert await _due(s) == []
    s.clock.advance(1)
    assert await _due(s) == ["wh_a_0"]
    now = int(s.clock())
    await s.acme.record_delivery("wh_a_0", outcome="204", next_at=None, delivered_at=now)
    found = await _only(s)
    assert (found.attempts, found.outcome, found.next_at, found.delivered_at) == (2, "204", None, now)
    s.clock.advance(1_000_000)
    assert await _due(s) == []


@checks
async def longest_due_is_delivered_first(s: StoreFixture) -> None:
    """Deliveries are taken few at a time, those first that have been due for longest, whoever's they are."""
    await _tell(s, "a")
    await s.acme.record_delivery("wh_a_0", outcome="500", next_at=int(s.clock()) + 2, delivered_at=None)
    s.clock.advance(1)
    await _tell(s, "b", tenant=s.globex)
    s.clock.advance(5)
    await _tell(s, "c")
    assert await _due(s, limit=2) == ["wh_b_0", "wh_a_0"]
    assert await _due(s, limit=2) == ["wh_c_0"]


@checks
async def deliveries_are_listed_newest_first(s: StoreFixture) -> None:
    """Deliveries are listed by age and id, newest first, page by page; an unknown cursor has nothing after it."""
    await s.commit("a", deliveries=(delivery(s, "a", "x"), delivery(s, "a", "y"), delivery(s, "a", "old", age_s=9)))
    s.clock.advance(1)
    await _tell(s, "b")
    expected = ["wh_b_0", "wh_a_y", "wh_a_x", "wh_a_old"]
    assert await _listed(s) == expected
    assert await _listed(s, limit=3) == expected[:3]
    for index, after in enumerate(expected):
        assert await _listed(s, limit=2, after=after) == expected[index + 1 : index + 3]
    assert await _listed(s, after="wh_never") == []


@checks
async def foreign_deliveries_are_unknown(s: StoreFixture) -> None:
    """Nobody lists, or notes anything about, another tenant's deliveries; ids are shared with nobody."""
    await _tell(s, "a")
    assert await s.globex.list_deliveries(limit=10, after=None) == ()
    await s.globex.record_delivery("wh_a_0", outcome="204", next_at=None, delivered_at=1)
    assert (await _only(s)).attempts == 0
    await _tell(s, "a", tenant=s.globex)
    assert await s.globex.list_deliveries(limit=10, after="wh_a_0") == ()
    await s.globex.delete_response(response_id("a"))
    assert await _listed(s) == ["wh_a_0"]


@checks
async def deliveries_go_with_their_response(s: StoreFixture) -> None:
    """When a response is deleted nobody is told of it any more; noting a late try is not an error."""
    await _tell(s, "a", "0", "1")
    await _tell(s, "b")
    await s.acme.delete_response(response_id("a"))
    assert await _listed(s) == ["wh_b_0"]
    assert await _due(s) == ["wh_b_0"]
    await s.acme.record_delivery("wh_a_0", outcome="204", next_at=None, delivered_at=1)
    assert await _listed(s) == ["wh_b_0"]


@checks
async def deliveries_go_in_a_cascade(s: StoreFixture) -> None:
    """When a response takes along what stands on it, nobody is told of either any more."""
    head = (await s.acme.commit(s.turn("a", deliveries=(delivery(s, "a"),)))).head
    await s.commit("b", head, deliveries=(delivery(s, "b"),))
    assert await s.acme.delete_response(response_id("a"), cascade=True) is not None
    assert await _listed(s) == []


@checks
async def deliveries_of_an_expired_response_are_unknown_at_once(s: StoreFixture) -> None:
    """From the moment a response expires nobody is told of it, whether or not the sweeper was there."""
    await s.commit("a", expires_at=int(s.clock()) + 5, deliveries=(delivery(s, "a"),))
    await _tell(s, "b")
    s.clock.advance(5)
    assert await _listed(s) == ["wh_b_0"]
    assert await _listed(s, after="wh_a_0") == []
    assert await _due(s) == ["wh_b_0"]
    await s.acme.record_delivery("wh_a_0", outcome="500", next_at=int(s.clock()), delivered_at=None)
    assert await s.sweep() == 1
    assert await _due(s) == []


@checks
async def replaced_turn_keeps_its_deliveries(s: StoreFixture) -> None:
    """A turn that is put in place of itself is still told of; one that replaces an expired one is not."""
    await _tell(s, "a")
    await s.commit("b", expires_at=int(s.clock()) + 5, deliveries=(delivery(s, "b"),))
    await s.acme.put_session(s.session("a", payload=b"edited"))
    assert await _listed(s) == ["wh_b_0", "wh_a_0"]
    s.clock.advance(5)
    await s.acme.put_session(s.session("b"))
    assert await _listed(s) == ["wh_a_0"]
