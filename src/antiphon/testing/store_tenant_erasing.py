"""Checks of erasing a whole tenant."""

from __future__ import annotations

from antiphon.hub.errors import StoreConflict
from antiphon.hub.ids import TenantId
from antiphon.sessions.directory import AuditEntry, Erasure
from antiphon.sessions.library import Filter, NewPrompt
from antiphon.testing.store_audit import entry, link
from antiphon.testing.store_contents import END_USER, contents, fill
from antiphon.testing.store_directory import ACME, GLOBEX, api_key, stored_bytes, tenant
from antiphon.testing.store_fixture import CheckList, StoreFixture, conversation_id, item, raises, response_id
from antiphon.testing.store_keys import ask
from antiphon.testing.store_pending import begin
from antiphon.testing.store_vault import key

__all__ = ["checks"]

checks = CheckList()

_MANY = 200  # more batches than any check needs


async def _erase(s: StoreFixture, *, limit: int = 500) -> list[Erasure]:
    """Erase the usual tenant. Returns the receipt of every batch."""
    receipts: list[Erasure] = []
    for _ in range(_MANY):
        receipt, has_more = await s.store.erase_tenant(ACME, limit=limit)
        receipts.append(receipt)
        if not has_more:
            return receipts
    raise AssertionError("the tenant does not come to an end")


async def _fill_both(s: StoreFixture) -> None:
    for each in (s.acme, s.globex):
        await fill(s, each)
        await each.add_key(key())
        await each.append_audit([entry("a"), entry("b")], link)
    await s.create("c", [item("c")])
    await s.converse("c", "a")
    await s.commit("b", expires_at=int(s.clock()) + 1)
    await ask(s, "claimed")
    await begin(s, "d")
    await s.store.create_api_key(api_key("ours"))
    await s.store.create_api_key(api_key("theirs", tenant=GLOBEX))


@checks
async def erased_tenant_leaves_nothing(s: StoreFixture) -> None:
    """Of an erased tenant nothing is left but its trail, in no table and by no read; the other has all it had."""
    await _fill_both(s)
    await s.store.create_tenant(tenant(TenantId("third")))
    theirs = await contents(s.globex)
    await _erase(s)
    assert await contents(s.acme) == {}
    assert await s.acme.read_keys() == ()
    assert await s.acme.read_secret() is None
    assert (await s.acme.list_responses(Filter())).data == ()
    assert (await s.acme.list_conversations(Filter())).data == ()
    assert await s.acme.list_prompts(limit=5, after=None) == ()
    assert await s.acme.read_pending(response_id("d")) is None
    assert (await s.acme.list_of_end_user(END_USER)).responses == ()
    assert await s.store.read_tenant(ACME) is None
    assert [record.id for record in await s.store.list_tenants()] == ["globex", "third"]
    assert await s.store.list_api_keys() == (api_key("theirs", tenant=GLOBEX),)
    assert await contents(s.globex) == theirs
    assert await s.globex.read_keys() == (key(),)
    assert len((await s.acme.read_audit()).records) == 2


@checks
async def tenant_goes_in_batches(s: StoreFixture) -> None:
    """A tenant is erased a little at a time; until the last batch it is there, and is being erased."""
    await _fill_both(s)
    before = await stored_bytes(s)
    _, has_more = await s.store.erase_tenant(ACME, limit=1)
    assert has_more is True
    found = await s.store.read_tenant(ACME)
    assert found is not None
    assert found.state == "erasing"
    if s.reopen is not None:
        await s.reopen()
    receipts = await _erase(s, limit=2)
    assert len(receipts) > 3
    assert sum(receipt.payload_bytes for receipt in receipts) <= before
    assert await contents(s.acme) == {}
    assert await s.store.read_tenant(ACME) is None


@checks
async def batches_are_small(s: StoreFixture) -> None:
    """No batch erases more turns than it was allowed to."""
    for index in range(7):
        await s.commit(f"t{index}")
    receipts = await _erase(s, limit=3)
    assert max(len(receipt.responses) for receipt in receipts) <= 3
    assert {each for receipt in receipts for each in receipt.responses} == {response_id(f"t{n}") for n in range(7)}


@checks
async def smallest_batches_come_to_an_end(s: StoreFixture) -> None:
    """A tenant is gone after a while, however little is erased at a time."""
    await _fill_both(s)
    receipts = await _erase(s, limit=1)
    assert len(receipts) > 5
    assert await contents(s.acme) == {}


@checks
async def keys_of_an_erased_tenant_go_first(s: StoreFixture) -> None:
    """From the first batch on a tenant's content cannot be opened."""
    await s.acme.add_key(key())
    for index in range(5):
        await s.commit(f"t{index}")
    _, has_more = await s.store.erase_tenant(ACME, limit=1)
    assert has_more is True
    assert await s.acme.read_keys() == ()
    assert await contents(s.acme) != {}


@checks
async def nothing_is_stored_for_a_tenant_that_goes(s: StoreFixture) -> None:
    """From the first batch on nothing that founds anything is stored for a tenant, so that it comes to an end."""
    for index in range(3):
        await s.commit(f"t{index}")
    await s.create("c")
    await s.acme.secret(b"secret")
    claims = {name: await begin(s, name) for name in ("p", "q")}
    await s.store.erase_tenant(ACME, limit=1)
    left = [name for name in claims if await s.acme.read_pending(response_id(name)) is not None]
    assert left
    before = await contents(s.acme)
    await raises(StoreConflict, s.commit("a"))
    for name in left:
        await raises(StoreConflict, s.commit(name, claim=claims[name]))
    await raises(StoreConflict, begin(s, "a"))
    await raises(StoreConflict, begin(s, "b", background=False))
    await raises(StoreConflict, s.create("d"))
    await raises(StoreConflict, s.acme.put_session(s.session("a")))
    await raises(StoreConflict, s.acme.add_key(key()))
    await raises(StoreConflict, s.acme.secret(b"secret"))
    await raises(StoreConflict, ask(s, "k"))
    prompt = NewPrompt(id="pmpt", created_at=1, payload=b"prompt")
    await raises(StoreConflict, s.acme.add_prompt(prompt))
    assert await contents(s.acme) == before
    await s.globex.commit(s.turn("a"))
    await _erase(s)
    await s.commit("a")


@checks
async def erasure_is_not_taken_back(s: StoreFixture) -> None:
    """A tenant that is being erased cannot be configured or made active again, whatever somebody read before."""
    await s.commit("a")
    await s.commit("b")
    before = await s.store.read_tenant(ACME)
    assert before is not None
    await s.store.erase_tenant(ACME, limit=1)
    assert await s.store.update_tenant(before) is False
    found = await s.store.read_tenant(ACME)
    assert found is not None
    assert found.state == "erasing"


@checks
async def receipts_of_a_tenant_add_up(s: StoreFixture) -> None:
    """The receipts of all batches together name everything that there was, down to the last byte."""
    await _fill_both(s)
    bytes_before, found = await stored_bytes(s), await contents(s.acme)
    responses = (await s.acme.list_responses(Filter())).data
    receipts = await _erase(s, limit=3)
    named = [each for receipt in receipts for each in receipt.responses]
    assert len(set(named)) == len(named)
    assert set(responses) <= set(named)
    conversations = sorted(each for receipt in receipts for each in receipt.conversations)
    assert conversations == sorted([row for table, row in found if table == "conversations"])
    assert conversation_id("c") in conversations
    assert len([each for receipt in receipts for each in receipt.prompts]) == 1
    assert sum(receipt.items for receipt in receipts) == len([1 for table, _ in found if table == "items"])
    assert sum(receipt.payload_bytes for receipt in receipts) == bytes_before
    assert sum(receipt.keys_destroyed for receipt in receipts) == 2
    other = {table: sum(receipt.other.get(table, 0) for receipt in receipts) for table in ("pending", "deliveries")}
    assert other == {"pending": 2, "deliveries": 1}


@checks
async def unknown_tenant_is_not_erased(s: StoreFixture) -> None:
    """Erasing a tenant that there is not does nothing; one that was created and never used goes."""
    await s.store.create_tenant(tenant(GLOBEX))
    assert await s.store.erase_tenant(ACME) == (Erasure(), False)
    assert await s.store.read_tenant(ACME) is None
    assert (await s.store.erase_tenant(GLOBEX))[0] == Erasure()
    assert await s.store.list_tenants() == ()


@checks
async def erased_tenant_can_be_made_anew(s: StoreFixture) -> None:
    """After its end a tenant of the same name begins from nothing; its trail goes on."""
    await _fill_both(s)
    await _erase(s)
    assert await s.store.create_tenant(tenant(max_stored_bytes=5)) is True
    assert (await s.commit("a")).insertion_index == 1
    assert await s.acme.secret(b"new") == b"new"
    assert await s.store.read_tenant(ACME) == tenant(max_stored_bytes=5, stored_bytes=await stored_bytes(s))
    await s.acme.append_audit([AuditEntry(at_ms=9, actor="cli", action="tenant.create")], link)
    assert [record.index for record in (await s.acme.read_audit()).records] == [1, 2, 3]
