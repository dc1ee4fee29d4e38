"""Every endpoint in every mode of a turn answers as the table of ``docs/modes.md`` says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.gateway.conftest import Client, parse, serving
from tests.support.modes import CONVERSATION_ROWS, MODES, OUTCOMES, TABLE, Mode, legend, table
from tests.support.scripted_upstream import (
    MODEL,
    ScriptedUpstream,
    Wait,
    chunk,
    delta,
    finish,
    http_json,
    http_stream_head,
    whole,
)

from antiphon import Gateway, InMemorySessionStore, SQLiteSessionStore, upstream
from antiphon.engine.turn import TurnPolicy

_PAGE = Path(__file__).parents[2] / "docs" / "modes.md"
# A stream that is followed begins when the model has answered, or after a while, which is ten seconds by default.
_SOON = TurnPolicy(open_after_s=0.05)
_PLACES = ("alone", "in a conversation")
_END = chunk(finish()) + b"0\r\n\r\n"


class Matrix:
    """A gateway that turns of every mode are sent to, and the ids that it mints."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.minted: list[str] = []
        mint = client.gateway.ids.response

        def noting(family: Any) -> str:
            # Nobody is told the id of a JSON turn before its end, so it is taken where it comes from.
            self.minted.append(mint(family))
            return self.minted[-1]

        client.gateway.ids.response = noting  # type: ignore[method-assign]  # see above


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["memory", "sqlite"])
async def matrix(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Matrix]:
    """One gateway for all cells."""
    file = tmp_path_factory.mktemp("matrix") / "antiphon.db"
    store = InMemorySessionStore() if request.param == "memory" else SQLiteSessionStore(file)
    async with ScriptedUpstream.serve() as scripted:
        gateway = Gateway([upstream(scripted.url, name="scripted")], policy=_SOON).with_session_store(store)
        async with serving(gateway, scripted) as client:
            yield Matrix(client)


class Cell:
    """One turn in one mode, and what is asked about it."""

    def __init__(self, matrix: Matrix, mode: Mode, conversation: str | None) -> None:
        self.client = matrix.client
        self.mode = mode
        self.conversation = conversation
        self.response_id = ""
        self._matrix = matrix
        place: dict[str, object] = {} if conversation is None else {"conversation": conversation}
        self._body: dict[str, object] = {"model": MODEL, "input": "hi", **mode.fields, **place}
        self._wait = Wait(asyncio.Event())
        self._posting: asyncio.Task[tuple[int, Any]] | None = None

    @property
    def path(self) -> str:
        return f"/v1/responses/{self.response_id}"

    async def begin(self) -> None:
        """Send the turn; its model holds its breath in the middle of the answer."""
        streams = self.mode.stream or self.mode.background
        before = (http_stream_head(), chunk(delta(content="Half"))) if streams else ()
        after = (_END,) if streams else (http_json(whole("Half")),)
        self.client.upstream.then(*before, self._wait, *after)
        self.client.upstream.disconnected.clear()
        self._posting = asyncio.create_task(self.ask("POST", "/v1/responses", self._body))
        await self._wait.reached.wait()
        self.response_id = self._matrix.minted[-1]

    def release(self) -> None:
        """Let the model go on."""
        self._wait.event.set()

    async def end(self) -> tuple[int, Any]:
        """What the POST answered; by then the turn has ended."""
        self.release()
        assert self._posting is not None
        answer = await self._posting
        if self.mode.background:
            await self._ended()
        return answer

    async def hang_up(self) -> tuple[int, Any]:
        """The client goes in the middle: what the response is in the end."""
        assert self._posting is not None
        if not self.mode.background:
            self._posting.cancel()
            await asyncio.wait_for(self.client.upstream.disconnected.wait(), 30)
        elif self.mode.stream:
            self._posting.cancel()
        self.release()
        await asyncio.wait([self._posting])
        if self.mode.store or self.mode.background:
            await self._ended()
        return await self.ask("GET", self.path)

    async def _ended(self) -> None:
        for _ in range(3000):
            status, body = await self.ask("GET", self.path)
            if status == 404 or body["status"] not in ("queued", "in_progress"):
                return
            await asyncio.sleep(0.005)
        raise AssertionError(body)

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """The status, and the body or the events. A stream is not held up any longer."""
        async with self.client.http.request(method, self.client.base_url + path, json=body) as answer:
            if answer.content_type != "text/event-stream":
                return answer.status, await answer.json()
            if method == "GET":
                self.release()
            return answer.status, parse(await answer.read())

    async def another(self, **place: object) -> tuple[int, Any]:
        """Another turn, somewhere."""
        return await self.ask("POST", "/v1/responses", {"model": MODEL, "input": "more", **place})


Ask = Callable[[Cell], Awaitable[tuple[int, Any]]]

_ENDPOINTS: dict[str, Ask] = {
    "GET": lambda cell: cell.ask("GET", cell.path),
    "its stream": lambda cell: cell.ask("GET", f"{cell.path}?stream=true"),
    "input items": lambda cell: cell.ask("GET", f"{cell.path}/input_items"),
    "cancel": lambda cell: cell.ask("POST", f"{cell.path}/cancel"),
    "delete": lambda cell: cell.ask("DELETE", cell.path),
    "continue from it": lambda cell: cell.another(previous_response_id=cell.response_id),
    "another turn in its conversation": lambda cell: cell.another(
        conversation=cell.conversation, store=cell.mode.store
    ),
    "its conversation": lambda cell: cell.ask("GET", f"/v1/conversations/{cell.conversation}/items"),
}


async def _answer(cell: Cell, row: str) -> tuple[int, Any]:
    """What the row's endpoint answers at the row's moment."""
    endpoint, _, moment = row.partition(", ")
    await cell.begin()
    if row == "POST":
        return await cell.end()
    if moment == "after its client hung up":
        return await cell.hang_up()
    if moment == "afterwards":
        await cell.end()
        return await _ENDPOINTS[endpoint](cell)
    answer = await _ENDPOINTS[endpoint](cell)
    await cell.end()
    return answer


_CELLS = [
    pytest.param(row, place, mode, outcome, id=f"{row}-{place}-{mode.name}")
    for row, outcomes in TABLE.items()
    for mode, outcome in zip(MODES, outcomes, strict=True)
    for place in _PLACES
    if place != "alone" or row not in CONVERSATION_ROWS
]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("row", "place", "mode", "outcome"), _CELLS)
async def test_a_cell(matrix: Matrix, row: str, place: str, mode: Mode, outcome: str) -> None:
    """The answer is what the table says, in a conversation as well as alone."""
    conversation = None
    if place != "alone":
        conversation = (await matrix.client.call("POST", "/v1/conversations", {}))[1]["id"]
    status, body = await _answer(Cell(matrix, mode, conversation), row)
    assert OUTCOMES[outcome].fits(status, body), (status, body)


@pytest.mark.parametrize("part", [table, legend], ids=["table", "legend"])
def test_the_page_is_the_table(part: Callable[[], str]) -> None:
    """The page shows what the cells are held against; ``python -m tests.support.modes`` prints it."""
    assert part() in _PAGE.read_text(encoding="utf-8")


def test_no_outcome_fits_another_ones_answer() -> None:
    """The words of the table differ: an answer that fits one of them fits no other that it could be taken for."""
    errors = {name: outcome for name, outcome in OUTCOMES.items() if outcome.meaning.startswith("4")}
    shown = {
        name: (int(outcome.meaning[:3]), {"error": {"message": outcome.meaning, "code": _quoted(outcome.meaning)}})
        for name, outcome in errors.items()
    }
    for name, (status, body) in shown.items():
        assert [other for other, outcome in OUTCOMES.items() if outcome.fits(status, body)] == [name]


def _quoted(meaning: str) -> str:
    return meaning.split("`")[1] if "`" in meaning else ""
