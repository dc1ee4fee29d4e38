"""The judge itself: it acquits a sound store, and finds what was planted in a broken one, for every invariant."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import apsw
import msgspec
import pytest

from tests.faults.conftest import NAME
from tests.faults.invariants import INVARIANTS, judge
from tests.faults.ledger import Answered, Erased, Ledger, Told

TRIGGERS_OFF = "SELECT name FROM sqlite_schema WHERE type = 'trigger'"


class Planted(NamedTuple):
    """Something wrong: what is done to the file (``:a1`` is a turn's response id), and what the judge has to find."""

    invariant: str
    what: str
    statements: tuple[str, ...]


def planted(invariant: str, what: str, *statements: str) -> Planted:
    return Planted(invariant, what, statements)


PLANTED = (
    planted("I1", "a response is gone", "DELETE FROM responses WHERE id = :a2"),
    planted("I1", "a conversation is gone", "DELETE FROM conversations"),
    planted("I1", "a response says when it was made otherwise", "UPDATE responses SET created_at = 1 WHERE id = :a5"),
    planted("I1", "a response has lost its output", "UPDATE responses SET last_position = 0 WHERE id = :a1"),
    planted(
        "I2",
        "the last turn has lost its answer",
        "DELETE FROM items WHERE log = (SELECT log FROM conversations) AND position = 6",
        "UPDATE logs SET length = length - 1 WHERE log = (SELECT log FROM conversations)",
    ),
    planted(
        "I2",
        "a turn's question is hidden",
        "UPDATE logs SET epoch = 1 WHERE log = (SELECT log FROM conversations)",
        "INSERT INTO removals SELECT tenant, log, log, 3, 1 FROM conversations",
    ),
    planted("I3", "a stored response runs", "UPDATE responses SET status = 'in_progress' WHERE id = :a2"),
    planted(
        "I3",
        "a turn is stored twice",
        "UPDATE responses SET (log, first_position, output_position, last_position) = "
        "(SELECT log, first_position, output_position, last_position FROM responses WHERE id = :a3) WHERE id = :a2",
    ),
    planted("I4", "a log has a gap", "DELETE FROM items WHERE log = (SELECT log FROM conversations) AND position = 2"),
    planted(
        "I4",
        "a position is beyond the log's end",
        "UPDATE items SET position = position + 9 WHERE log = (SELECT log FROM conversations) AND position = 4",
    ),
    planted("I5", "a stream is lost", "UPDATE responses SET trace = x'' WHERE id = :b1"),
    planted(
        "I5",
        "a stream is another's",
        "UPDATE responses SET trace = (SELECT trace FROM responses WHERE id = :b2) WHERE id = :b1",
    ),
    planted("I6", "a turn was charged twice", "UPDATE responses SET output_tokens = 2 * output_tokens WHERE id = :c1"),
    planted("I6", "a turn was charged nothing", "UPDATE responses SET input_tokens = NULL WHERE id = :g1"),
    planted("I7", "a key is forgotten", "DELETE FROM idempotency WHERE tenant = 'acme'"),
    planted("I7", "a key leads to another turn", "UPDATE idempotency SET response_id = :a1 WHERE tenant = 'acme'"),
    planted("I8", "a turn is another tenant's", "UPDATE responses SET tenant = 'globex' WHERE id = :c2"),
    planted(
        "I8",
        "a family is of two tenants",
        "INSERT INTO families SELECT 'globex', family, seal FROM families WHERE tenant = 'acme'",
    ),
    planted("I8", "an unknown tenant has rows", "UPDATE api_keys SET tenant = 'umbrella' WHERE tenant = 'globex'"),
    planted(
        "I9",
        "a byte of an item is another",
        "UPDATE items SET payload = CAST(substr(payload, 1, 40) || x'00' || substr(payload, 42) AS BLOB) "
        "WHERE id IS NOT NULL AND substr(payload, 41, 1) <> x'00'",
    ),
    planted(
        "I9",
        "two payloads have changed places",
        "UPDATE responses SET payload = (SELECT payload FROM responses WHERE id = :a2) WHERE id = :a1",
    ),
    planted(
        "I10",
        "a conversation is locked for ever",
        "UPDATE conversations SET holder = 'nobody', lock_until_ms = 9000000000000000",
    ),
    planted(
        "I10",
        "a request is left",
        "INSERT INTO pending_requests SELECT tenant, id, payload FROM responses LIMIT 1",
    ),
    planted(
        "I10",
        "a stream is left",
        "INSERT INTO stream_events SELECT tenant, id, 0, 1, payload FROM responses LIMIT 1",
    ),
)


def broken(folder: Path, statements: tuple[str, ...]) -> None:
    """Do to a store what its code would never do."""
    told = Told.of(folder / "ledger")
    names = {turn: response["id"] for turn, response in told.answered.items()}
    connection = apsw.Connection(str(folder / NAME))
    for (trigger,) in list(connection.execute(TRIGGERS_OFF)):
        connection.execute(f"DROP TRIGGER {trigger}")
    for statement in statements:
        connection.execute(statement, names)
        assert connection.changes() > 0, f"nothing was broken by {statement}"
    connection.close()


def found_in(folder: Path) -> list[str]:
    """The invariants that the judge finds broken."""
    return [violation.invariant for violation in asyncio.run(judge(folder / NAME, Told.of(folder / "ledger")))]


def test_sound_store_is_acquitted(copy_of_life: Callable[[], Path]) -> None:
    """Of a life that went well there is nothing to say, nor the second time."""
    folder = copy_of_life()
    assert found_in(folder) == []
    assert found_in(folder) == []


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: f"{plant.invariant} {plant.what}")
def test_what_is_planted_is_found(copy_of_life: Callable[[], Path], plant: Planted) -> None:
    """The judge names the invariant that was broken."""
    folder = copy_of_life()
    broken(folder, plant.statements)
    assert plant.invariant in found_in(folder)


def test_every_invariant_is_planted_against() -> None:
    """At least two ways to break each are tried."""
    counts = {invariant: sum(plant.invariant == invariant for plant in PLANTED) for invariant in INVARIANTS}
    assert min(counts.values()) >= 2, counts


def test_left_file_is_found(copy_of_life: Callable[[], Path]) -> None:
    """A file that is neither the store nor beside it for a reason is left behind."""
    folder = copy_of_life()
    (folder / "antiphon.db-journal.partial").write_bytes(b"")
    assert found_in(folder) == ["I10"]


def test_lost_key_file_is_found(copy_of_life: Callable[[], Path]) -> None:
    """Without its key nothing of a store can be read, and no other key is made."""
    folder = copy_of_life()
    (folder / f"{NAME}.key").unlink()
    assert found_in(folder) == ["I1"]
    assert not (folder / f"{NAME}.key").exists()


def test_second_answer_to_a_key_is_found(copy_of_life: Callable[[], Path]) -> None:
    """A client that was told two things for one key was told one too many."""
    folder = copy_of_life()
    told = Told.of(folder / "ledger")
    ledger = Ledger(folder / "ledger")
    ledger.add(Answered("k1", {**told.answered["k1"], "id": told.answered["a4"]["id"]}))
    ledger.close()
    assert "I7" in found_in(folder)


def test_erased_and_still_there_is_found(copy_of_life: Callable[[], Path]) -> None:
    """What a client was told is erased must not be there."""
    folder = copy_of_life()
    text = (folder / "ledger").read_bytes()
    (folder / "ledger").write_bytes(text + msgspec.json.encode(Erased(("a1",), done=True)))
    assert "I1" in found_in(folder)
