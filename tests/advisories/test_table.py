"""The page about security lists what is replayed, and nothing else."""

from __future__ import annotations

from tests.advisories.table import replays, table, written

_ENOUGH = 45


def test_the_page_lists_the_replays() -> None:
    """The table is made of the tests, and is up to date."""
    assert written() == table()


def test_every_replay_says_what_happened_and_what_holds() -> None:
    """Each test has one sentence for what happened elsewhere and one for what holds here, and its name has an id."""
    found = list(replays())
    assert [each.test for each in found if not (each.happened and each.holds)] == []
    named = [each for each in found if each.ids]
    ids = {each for replay in named for each in replay.ids}
    assert len(ids) >= _ENOUGH
    spelled = {_spelled(each) for each in ids}
    assert [each.test for each in named if not any(name in each.test for name in spelled)] == []


def _spelled(advisory: str) -> str:
    """An id as it stands in a test's name."""
    name = advisory.rpartition("/")[2].lower()
    return "".join(char if char.isalnum() else "_" for char in name)
