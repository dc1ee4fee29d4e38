"""Bugs that are planted in a store, to see that the conformance suite finds them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from antiphon.sessions.store import SessionStore
from antiphon.stores.sqlite import queries
from antiphon.testing.store_suite import CHECKS, FixedClock, StoreFixture

Plant = Callable[[pytest.MonkeyPatch], None]


class Bug(msgspec.Struct, frozen=True):
    """A bug, and the check whose promise it breaks."""

    caught_by: str
    plant: Plant


def edit(name: str, old: str, new: str, *, among: object = queries) -> Plant:
    """A bug in one statement."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        statement = getattr(among, name)
        assert old in statement, f"{name} has no {old!r} any more: mend the planted bug"
        patch.setattr(among, name, statement.replace(old, new))

    return plant


def swap(owner: object, name: str, make: Callable[[Any], Any]) -> Plant:
    """A bug in one function: *make* gets the right one and returns the wrong one."""
    return lambda patch: patch.setattr(owner, name, make(getattr(owner, name)))


def but(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """For :func:`swap`: the right function, with *change* made to what it returns."""

    def make(right: Any) -> Any:
        return lambda *arguments, **named: change(right(*arguments, **named))

    return make


async def is_caught(bug: Bug, store: SessionStore, clock: FixedClock) -> bool:
    """Whether the bug's check fails; the bug may also break it with an error of its own."""
    check = next(check for check in CHECKS if check.name == bug.caught_by)
    await store.open()
    try:
        await check.run(StoreFixture(store, clock))
    except Exception:  # noqa: BLE001 - however the bug shows, the suite has seen it
        return True
    finally:
        await store.close()
    return False
