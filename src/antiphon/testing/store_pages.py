"""Checks of pages of items: of lists that are long, forked, full of holes, or that show an item twice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

from antiphon.sessions.records import ItemPage, Page
from antiphon.testing.store_fixture import CheckList, StoreFixture, conversation_id, item, item_id, refer, response_id

__all__ = ["checks"]

checks = CheckList()

Order = Literal["asc", "desc"]
ReadPage = Callable[[Page], Awaitable[ItemPage | None]]


def items_of(s: StoreFixture, conversation: str) -> ReadPage:
    """How pages of a conversation are read."""
    return lambda page: s.acme.list_conversation_items(conversation_id(conversation), page)


def inputs_of(s: StoreFixture, name: str) -> ReadPage:
    """How pages of a response's input items are read."""
    return lambda page: s.acme.list_input_items(response_id(name), page)


async def all_pages(read: ReadPage, order: Order, limit: int) -> list[str]:
    """The ids of all pages, one after the other; makes sure that each but the last is full."""
    seen: list[str] = []
    after: str | None = None
    for _ in range(1000):
        page = await read(Page(limit=limit, order=order, after=after))
        assert page is not None, "the list is unknown"
        seen += [str(entry.id) for entry in page.items]
        if not page.has_more:
            return seen
        assert len(page.items) == limit, "a page that is not the last is not full"
        after = seen[-1]
    raise AssertionError("the pages go round in circles")


async def pages_agree(read: ReadPage, expected: Sequence[str], *limits: int) -> None:
    """Make sure that pages of these sizes, in both orders, make up the *expected* list (oldest first)."""
    for limit in limits:
        assert await all_pages(read, "asc", limit) == [*expected], f"oldest first, {limit} at a time"
        assert await all_pages(read, "desc", limit) == [*expected][::-1], f"newest first, {limit} at a time"


@checks
async def long_list_is_paged_across_forks_and_gaps(s: StoreFixture) -> None:
    """Pages of a long list show each item once, whatever was removed from it and wherever it was forked."""
    await s.create("c", [item("c", index, left_out=index % 50 == 7) for index in range(700)])
    await s.rewind("c", item_id("c", 690))
    await s.fork("c", "f", at=item_id("c", 600))
    await s.rewind("f", item_id("c", 200))
    await s.append("f", *(f"f{index}" for index in range(20)))
    await s.fork("f", "g", at=item_id("f9"))
    await s.remove("g", item_id("c", 3), item_id("f4"))
    await s.append("g", "g")
    await s.remove("c", item_id("c", 5))
    listed = [item_id("c", index) for index in range(691) if index % 50 != 7]
    kept = [each for each in listed if each <= item_id("c", 200) or len(each) < len(item_id("c", 200))]
    forked = [*kept, *(item_id(f"f{index}") for index in range(20))]
    again = [*kept, *(item_id(f"f{index}") for index in range(10)), item_id("g")]
    gone = (item_id("c", 3), item_id("f4"))
    lists = {
        "c": [each for each in listed if each != item_id("c", 5)],
        "f": forked,
        "g": [each for each in again if each not in gone],
    }
    for name, expected in lists.items():
        await pages_agree(items_of(s, name), expected, 1000, 97)


@checks
async def input_items_of_a_long_chain_are_paged(s: StoreFixture) -> None:
    """Pages of what a model saw go back through the whole chain and its forks, and end before the answer."""
    head = None
    ids: list[str] = []
    for index in range(40):
        head = (await s.commit(f"t{index}", head)).head
        ids += [item_id(f"t{index}", 0), item_id(f"t{index}", 1)]
    parent = await s.acme.read_head(response_id("t29"))
    assert parent is not None
    await s.commit("fork", parent.head)
    await pages_agree(inputs_of(s, "t39"), ids[:79], 100, 7, 1)
    expected = [*ids[:60], item_id("fork", 0)]
    await pages_agree(inputs_of(s, "fork"), expected, 100, 7, 1)


@checks
async def page_goes_on_at_the_first_place_of_an_item(s: StoreFixture) -> None:
    """A cursor means the first place of an item in the order of the page, where it shows more than once."""
    head = (await s.commit("a", None, [item("a", index) for index in range(6)], output_index=6)).head
    await s.commit("b", head, [refer("a", 4), item("b"), refer("a", 1)], output_index=3)
    a = [item_id("a", index) for index in range(6)]
    assert await s.inputs("b", order="asc", limit=20, after=a[4]) == [a[5], a[4], item_id("b"), a[1]]
    assert await s.inputs("b", order="asc", limit=2, after=a[4]) == [a[5], item_id("b"), "..."]
    assert await s.inputs("b", order="desc", limit=20, after=a[4]) == a[::-1]
    assert await s.inputs("b", order="desc", limit=2, after=a[4]) == [a[5], a[3], "..."]
    assert await s.inputs("b", order="desc", limit=1, after=a[2]) == [a[0]]
