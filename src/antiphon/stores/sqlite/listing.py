"""Reading one page of a list in windows, between which the event loop goes on."""

from __future__ import annotations

import asyncio
import math

import apsw
import msgspec
import orjson

from antiphon.hub.ids import TenantId
from antiphon.sessions.library import Filter, ListPage
from antiphon.stores.sqlite import library_queries as queries
from antiphon.stores.sqlite.rows import rows_of

__all__ = ["Listing", "Place", "conversations_of", "responses_of"]

# Rows between two looks at the event loop where a filter passes over many: about half a millisecond of work.
_WINDOW = 256
# The turns of one conversation are sorted for each window, so few of these should do.
_WINDOW_OF_CONVERSATION = 4096

Place = tuple[int, str]
"""Where an object stands in its list: what the list is ordered by, then its id."""

_BEGINNING: dict[str, Place] = {"asc": (-(1 << 63), ""), "desc": ((1 << 63) - 1, "")}


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """
    One page that is asked for.

    Attributes:
        parameters: What the statement takes from ``?5`` on.
        after: The place after which the page begins.
        low: Nothing that stands before this belongs to the list.
        high: Nothing that stands here or after it does.
    """

    statement: str
    parameters: tuple[object, ...]
    limit: int
    after: Place
    window: int = _WINDOW
    low: float = -math.inf
    high: float = math.inf

    async def read(self, connection: apsw.Connection, tenant: TenantId) -> ListPage[str]:
        """
        The ids on the page.

        Without a filter one window of the page's own size does; with one, as many windows as it takes are read.
        """
        found: list[str] = []
        place, size = self.after, self.limit + 1
        while True:
            rows = rows_of(connection, self.statement, tenant, *place, size, *self.parameters)
            found += [object_id for _, object_id, fits in rows if fits]
            ended = len(rows) < size or not self.low <= rows[-1][0] < self.high
            if ended or len(found) > self.limit:
                return ListPage(data=tuple(found[: self.limit]), has_more=len(found) > self.limit)
            place, size = rows[-1][:2], self.window
            await asyncio.sleep(0)


def responses_of(wanted: Filter, *, after: Place | None, now_s: int) -> Listing:
    """The page of responses that is *wanted*; *after* is the place of ``wanted.after``."""
    down = wanted.order == "desc"
    if wanted.conversation_id is not None:
        statement = queries.LIST_RESPONSES_OF_DOWN if down else queries.LIST_RESPONSES_OF_UP
    elif wanted.terms:
        statement = queries.LIST_RESPONSES_BY_TERM_DOWN if down else queries.LIST_RESPONSES_BY_TERM_UP
    else:
        statement = queries.LIST_RESPONSES_DOWN if down else queries.LIST_RESPONSES_UP
    return Listing(
        statement=statement,
        parameters=(*_common(wanted), wanted.status, wanted.model, wanted.conversation_id, now_s),
        limit=wanted.limit,
        after=after or _BEGINNING[wanted.order],
        window=_WINDOW if wanted.conversation_id is None else _WINDOW_OF_CONVERSATION,
    )


def conversations_of(wanted: Filter, *, after: Place | None) -> Listing:
    """The page of conversations that is *wanted*; *after* is the place of ``wanted.after``."""
    down = wanted.order == "desc"
    if wanted.terms:
        statement = queries.LIST_CONVERSATIONS_BY_TERM_DOWN if down else queries.LIST_CONVERSATIONS_BY_TERM_UP
    else:
        statement = queries.LIST_CONVERSATIONS_DOWN if down else queries.LIST_CONVERSATIONS_UP
    return Listing(
        statement=statement,
        parameters=_common(wanted),
        limit=wanted.limit,
        after=_not_outside(wanted, after or _BEGINNING[wanted.order]),
        low=-math.inf if wanted.created_from is None else wanted.created_from,
        high=math.inf if wanted.created_before is None else wanted.created_before,
    )


def _common(wanted: Filter) -> tuple[object, ...]:
    """The parameters that both lists take. A list that is read by a term is read by the first."""
    term = wanted.terms[0] if wanted.terms else None
    terms = orjson.dumps([each.hex() for each in wanted.terms]).decode()
    return term, terms, wanted.created_from, wanted.created_before


def _not_outside(wanted: Filter, place: Place) -> Place:
    """*place*, or where the time begins that is wanted: conversations are ordered by their age."""
    if wanted.order == "asc":
        return place if wanted.created_from is None else max(place, (wanted.created_from, ""))
    return place if wanted.created_before is None else min(place, (wanted.created_before, ""))
