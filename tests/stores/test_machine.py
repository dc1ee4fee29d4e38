"""
The SQLite store and the reference model do the same, whatever is done.

``ANTIPHON_STORE_EXAMPLES`` says how many runs of the machine there are; the suite's few find what is crude, a longer
run before a release what is subtle.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from unittest import TestCase

from hypothesis import HealthCheck, settings

from antiphon.sessions.store import SessionStore
from antiphon.stores.memory import InMemorySessionStore
from antiphon.stores.sqlite import SQLiteSessionStore
from antiphon.testing.store_fixture import FixedClock
from antiphon.testing.store_machine_library import LibraryMachine
from antiphon.testing.store_machine_trust import TrustMachine
from antiphon.testing.store_machine_work import WorkMachine

_EXAMPLES = int(os.environ.get("ANTIPHON_STORE_EXAMPLES", "12"))
_SETTINGS = settings(
    max_examples=_EXAMPLES,
    stateful_step_count=35,
    deadline=None,
    derandomize="ANTIPHON_STORE_EXAMPLES" not in os.environ,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


class SQLiteMachine(TrustMachine, WorkMachine, LibraryMachine):
    """The SQLite store beside the model."""

    def make_store(self, clock: FixedClock) -> SessionStore:
        self.folder = Path(tempfile.mkdtemp(prefix="antiphon-machine-"))
        return SQLiteSessionStore(self.folder / "store.db", clock=clock)

    def discard(self, store: SessionStore) -> None:
        shutil.rmtree(self.folder)


class MemoryMachine(TrustMachine, WorkMachine, LibraryMachine):
    """The model beside itself: the machine finds no fault where there is none."""

    def make_store(self, clock: FixedClock) -> SessionStore:
        return InMemorySessionStore(clock=clock)


TestSQLite: type[TestCase] = SQLiteMachine.TestCase
TestSQLite.settings = _SETTINGS  # type: ignore[attr-defined]  # Hypothesis adds it to the class

TestMemory: type[TestCase] = MemoryMachine.TestCase
TestMemory.settings = _SETTINGS  # type: ignore[attr-defined]  # Hypothesis adds it to the class
