"""How long it takes to refuse an id does not tell whether somebody else has it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from antiphon.hub.ids import TenantId
from antiphon.sessions.store import SessionStore
from tests.isolation.timing import OPERATIONS, differs, measuring
from tests.isolation.welch import LIMIT, trimmed, welch

_SAMPLES = 2000
# A busy machine may bury a planted difference in noise; that there is none has to be seen at once.
_LOOKS = 6


async def test_foreign_ids_take_as_long_as_missing_ones(tmp_path: Path) -> None:
    """In the process, for each operation, over 2,000 samples; see :func:`differs` for when it is a difference."""
    async with measuring(tmp_path) as timing:
        ask = timing.surfaces["in the process"]
        told = [name for name, measure in OPERATIONS.items() if await differs(timing, measure, ask, samples=_SAMPLES)]
        assert told == []


async def test_a_look_into_the_other_tenant_is_noticed(tmp_path: Path) -> None:
    """A store that looks whether another tenant has the id, and tells nobody, is caught by its time alone."""
    async with measuring(tmp_path, around=_Curious) as timing:
        ask = timing.surfaces["in the process"]
        look = OPERATIONS["GET response"]
        for _ in range(_LOOKS):
            if await differs(timing, look, ask, samples=_SAMPLES // 4):
                return
        pytest.fail("the planted look was not noticed")


class _Curious:
    """
    Looks for what one tenant does not have in the other one, and answers nothing of it.

    Thirty times: beside other tests on the same cores, a single look is lost in the noise of a short run.
    """

    def __init__(self, store: SessionStore) -> None:
        self._store = store

    def for_tenant(self, tenant: TenantId) -> Any:
        mine = self._store.for_tenant(tenant)
        return _CuriousTenant(mine, self._store.for_tenant(TenantId("tenant-b"))) if tenant == "tenant-a" else mine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class _CuriousTenant:
    def __init__(self, mine: Any, theirs: Any) -> None:
        self._mine = mine
        self._theirs = theirs

    async def get_by_response_id(self, response_id: str) -> Any:
        found = await self._mine.get_by_response_id(response_id)
        if found is None:
            for _ in range(30):
                await self._theirs.get_by_response_id(response_id)
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._mine, name)


@pytest.mark.parametrize(("shift", "is_seen"), [(0.0, False), (5.0, True), (-5.0, True)])
def test_the_test_itself(shift: float, is_seen: bool) -> None:
    """A shift of a twentieth of the spread is seen in 20,000 samples whose tail is long; none is not."""
    numbers = random.Random(7)  # noqa: S311 - not for secrets
    one = [100 + shift + numbers.expovariate(0.02) for _ in range(10_000)]
    two = [100 + numbers.expovariate(0.02) for _ in range(10_000)]
    assert (abs(welch(one, two)) >= LIMIT) is is_seen
    assert welch(one, two) * shift >= 0


def test_the_tail_is_cut_for_both_alike() -> None:
    """What is above one bound goes, whichever group it is in."""
    assert trimmed([1, 2, 3, 4, 100], [1, 2, 3, 4, 5]) == ([1, 2, 3, 4], [1, 2, 3, 4, 5])
