"""The faulty disk itself: it counts, it fails on order, and it knows what a power cut leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from antiphon.stores.sqlite.connection import connect
from tests.faults.vfs import Fault, FaultyDisk, faulty_disk


def opened(path: Path) -> apsw.Connection:
    """A database in WAL mode whose commits are synced."""
    connection = connect(path, busy_timeout_ms=0)
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "full")
    connection.wal_autocheckpoint(0)
    return connection


def filled(disk: FaultyDisk, path: Path) -> apsw.Connection:
    """A database with one row."""
    connection = opened(path)
    connection.execute("CREATE TABLE t (x); INSERT INTO t VALUES ('first')")
    return connection


def writes(path: Path) -> Callable[[bytes, int], None]:
    """What really writes the beginning of a file."""

    def write(data: bytes, _: int) -> None:
        path.write_bytes(data)

    return write


def rows_in(path: Path) -> list[object]:
    """What another process would read."""
    connection = apsw.Connection(str(path), vfs="unix")
    rows = [row[0] for row in connection.execute("SELECT x FROM t ORDER BY rowid")]
    assert connection.pragma("integrity_check") == "ok"
    connection.close()
    return rows


@pytest.mark.parametrize(
    ("fault", "error"), [("full", apsw.FullError), ("error", apsw.IOError), ("short", apsw.IOError)], ids=str
)
def test_write_fails_as_ordered(tmp_path: Path, fault: Fault, error: type[apsw.Error]) -> None:
    """The error is the one that was ordered, the transaction is not there, and a mended disk works."""
    with faulty_disk() as disk:
        connection = filled(disk, tmp_path / "a.db")
        disk.order(fault)
        with pytest.raises(error):
            connection.execute("INSERT INTO t VALUES ('second')")
        disk.mend()
        connection.execute("INSERT INTO t VALUES ('third')")
        connection.close()
    assert rows_in(tmp_path / "a.db") == ["first", "third"]


def test_power_cut_keeps_what_was_synced(tmp_path: Path) -> None:
    """After a cut there is what was committed, and nothing of what was not."""
    with faulty_disk(cuts=(tmp_path / "cut",)) as disk:
        connection = filled(disk, tmp_path / "a.db")
        connection.execute("BEGIN; INSERT INTO t VALUES ('second')")
        disk.cut()
        connection.execute("COMMIT")
        connection.close()
    assert rows_in(tmp_path / "cut" / "a.db") == ["first"]
    assert rows_in(tmp_path / "a.db") == ["first", "second"]


def test_power_cut_loses_what_was_not_synced(tmp_path: Path) -> None:
    """A program that does not sync loses what it wrote: the disk would find such a program out."""
    with faulty_disk(cuts=(tmp_path / "cut",)) as disk:
        connection = filled(disk, tmp_path / "a.db")
        connection.pragma("synchronous", "normal")
        connection.execute("INSERT INTO t VALUES ('second')")
        disk.cut()
        connection.close()
    assert rows_in(tmp_path / "cut" / "a.db") == ["first"]


def test_failed_sync_loses_what_it_was_to_sync(tmp_path: Path) -> None:
    """A sync that succeeds after one that failed says nothing about what the first was called for."""
    with faulty_disk(cuts=(tmp_path / "cut",)) as disk:
        connection = filled(disk, tmp_path / "a.db")
        disk.write(str(tmp_path / "other"), b"lost", 0, writes(tmp_path / "other"))
        disk.order("error", lasts=1)
        with pytest.raises(apsw.IOError):
            disk.sync(str(tmp_path / "other"))
        disk.sync(str(tmp_path / "other"))
        disk.cut()
        connection.close()
    assert (tmp_path / "cut" / "other").read_bytes() == b""


def test_any_part_of_what_was_not_synced_may_arrive(tmp_path: Path) -> None:
    """Of a long write on its way nothing, all, or a part that ends with a sector is there after a cut."""
    seen = set()
    for seed in range(30):
        folders = (tmp_path / f"none-{seed}", tmp_path / f"some-{seed}")
        with faulty_disk(cuts=folders, seed=seed) as disk:
            disk.write(str(tmp_path / f"b{seed}"), bytes(2048), 0, writes(tmp_path / f"b{seed}"))
            disk.cut()
        assert (folders[0] / f"b{seed}").read_bytes() == b""
        seen.add((folders[1] / f"b{seed}").stat().st_size)
    assert {0, 2048} < seen <= {0, 512, 1024, 1536, 2048}
