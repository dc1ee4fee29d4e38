"""
A disk that obeys orders: it counts what SQLite writes, and at one of these points it fails, kills, or loses power.

The files are those of the operating system, written through the layer that puts checksums into pages. Beside them the
disk keeps what would be left of each after a power cut: only what was synced is sure to be there, of the rest any part
may be. What SQLite keeps in shared memory needs no disk.

After a sync that failed the disk takes what was to be synced for written, as kernels do: a later sync that succeeds
says nothing about it, and a power cut loses it.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock
from typing import Literal

import apsw

from antiphon.stores.sqlite import connection
from antiphon.stores.sqlite.connection import load_checksums

__all__ = ["Fault", "FaultyDisk", "Kind", "faulty_disk"]

Kind = Literal["write", "sync", "truncate", "delete"]
# full, error, short: what a write meets; a sync or truncation that meets one of them fails in its own way. sync: only
# syncs fail. kill, cut: the end of the process, without or with the machine's.
Fault = Literal["full", "error", "short", "sync", "kill", "cut"]

_NAME = "antiphon-faulty"
_SECTOR_BYTES = 512
_ERRORS: dict[Kind, int] = {
    "write": apsw.SQLITE_IOERR_WRITE,
    "sync": apsw.SQLITE_IOERR_FSYNC,
    "truncate": apsw.SQLITE_IOERR_TRUNCATE,
    "delete": apsw.SQLITE_IOERR_DELETE,
}


@dataclass(frozen=True)
class _Write:
    offset: int
    data: bytes


@dataclass(frozen=True)
class _Truncate:
    size: int


@dataclass
class _Image:
    """What the medium holds of one file for sure, and what is on its way there. None is no file."""

    durable: bytearray | None
    waiting: list[_Write | _Truncate] = field(default_factory=list)

    def settle(self, *, arrived: Callable[[_Write | _Truncate], _Write | _Truncate | None]) -> bytearray | None:
        """What is left after a power cut, given what of that which was on its way has arrived."""
        content = None if self.durable is None else bytearray(self.durable)
        for change in self.waiting:
            if (part := arrived(change)) is not None:
                content = _changed(content or bytearray(), part)
        return content


class FaultyDisk(apsw.VFS):
    """
    Use :func:`faulty_disk`.

    Args:
        at: The point at which it obeys, counted from 1; 0 for never.
        lasts: How many points in a row are met; None until :meth:`mend`. Kills and cuts need no more than one.
        cuts: The folders that the files are left in after a power cut: the first one gets only what was synced, the
            others any part of the rest.
        seed: Decides which part.

    Attributes:
        points: What was done at each point so far.
    """

    def __init__(
        self, fault: Fault, at: int = 0, *, lasts: int | None = 1, cuts: tuple[Path, ...] = (), seed: int = 0
    ) -> None:
        self.points: list[Kind] = []
        self._fault: Fault = fault
        self._at = at
        self._lasts = lasts
        self._cuts = cuts
        self._rng = random.Random(seed)  # noqa: S311 - chooses what is lost, hides nothing
        self._images: dict[str, _Image] = {}
        self._lock = RLock()
        load_checksums()
        self.below = connection.VFS
        super().__init__(_NAME, self.below)

    @property
    def met(self) -> bool:
        """Whether the point was reached at which it obeys."""
        return 0 < self._at <= len(self.points)

    def order(self, fault: Fault, *, lasts: int | None = None) -> None:
        """Obey from the next point on."""
        with self._lock:
            self._fault, self._at, self._lasts = fault, len(self.points) + 1, lasts

    def mend(self) -> None:
        """Work from now on."""
        with self._lock:
            self._at = 0

    def cut(self) -> None:
        """Leave in the folders what a power cut at this moment could leave on the medium."""
        with self._lock:
            for index, folder in enumerate(self._cuts):
                folder.mkdir(parents=True, exist_ok=True)
                for name, image in self._images.items():
                    content = image.settle(arrived=_nothing if index == 0 else self._some)
                    if content is not None:
                        (folder / Path(name).name).write_bytes(content)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - apsw's
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        if path is not None:
            with self._lock:
                self._image_of(path)
        return _File(self, path, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 - apsw's
        with self._lock:
            self.meet("delete", filename)
            super().xDelete(filename, syncdir)
            # Without a sync of its folder it may come back; for a log that was moved into its file it makes no odds,
            # so the harder case is the one without it.
            self._images[filename] = _Image(None)

    def write(self, path: str, data: bytes, offset: int, write: Callable[[bytes, int], None]) -> None:
        with self._lock:
            data = bytes(data)
            image = self._image_of(path)
            try:
                self.meet("write", path)
            except _ShortWrite:
                data = data[: len(data) // 2]
                _write_bare(path, data, offset)
                image.waiting.append(_Write(offset, data))
                raise apsw.exception_for(apsw.SQLITE_IOERR_WRITE) from None
            write(data, offset)
            image.waiting.append(_Write(offset, _read_bare(path, len(data), offset)))

    def truncate(self, path: str, size: int, truncate: Callable[[int], None]) -> None:
        with self._lock:
            self.meet("truncate", path)
            truncate(size)
            self._image_of(path).waiting.append(_Truncate(size))

    def sync(self, path: str) -> None:
        with self._lock:
            image = self._image_of(path)
            try:
                self.meet("sync", path)
            except apsw.Error:
                image.waiting.clear()
                raise
            image.durable = image.settle(arrived=_everything) or bytearray()
            image.waiting.clear()

    def meet(self, kind: Kind, path: str) -> None:
        """Count a point, and obey if it is the one."""
        self.points.append(kind)
        count = len(self.points)
        if not self._at or count < self._at or (self._lasts is not None and count >= self._at + self._lasts):
            return
        match self._fault:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "cut":
                self.cut()
                os.kill(os.getpid(), signal.SIGKILL)
            case "sync" if kind != "sync":
                return
            case "short" if kind == "write":
                raise _ShortWrite
            case "full" if kind == "write":
                raise apsw.exception_for(apsw.SQLITE_FULL)
            case _:
                raise apsw.exception_for(_ERRORS[kind])

    def _image_of(self, path: str) -> _Image:
        if path not in self._images:
            there = Path(path)
            self._images[path] = _Image(bytearray(there.read_bytes()) if there.exists() else None)
        image = self._images[path]
        if image.durable is None:
            image.durable = bytearray()  # opened, or written to: there is a file
        return image

    def _some(self, change: _Write | _Truncate) -> _Write | _Truncate | None:
        """All of a change, nothing, or the sectors up to one within it."""
        match self._rng.randrange(3), change:
            case 0, _:
                return None
            case 1, _Write(offset, data) if len(data) > _SECTOR_BYTES:
                sectors = self._rng.randrange(1, len(data) // _SECTOR_BYTES + 1)
                return _Write(offset, data[: sectors * _SECTOR_BYTES])
            case _:
                return change


class _ShortWrite(Exception):
    """A write is to be cut off in its middle."""


class _File(apsw.VFSFile):
    def __init__(
        self, disk: FaultyDisk, path: str | None, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> None:
        self._disk = disk
        self._path = path
        super().__init__(disk.below, name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - apsw's
        if self._path is None:  # a temporary file of SQLite's own
            super().xWrite(data, offset)
        else:
            self._disk.write(self._path, data, offset, super().xWrite)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - apsw's
        if self._path is None:
            super().xTruncate(newsize)
        else:
            self._disk.truncate(self._path, newsize, super().xTruncate)

    def xSync(self, flags: int) -> None:  # noqa: N802 - apsw's
        if self._path is not None:
            self._disk.sync(self._path)  # and no real sync: no machine is about to lose power


@contextmanager
def faulty_disk(
    fault: Fault = "error", at: int = 0, *, lasts: int | None = 1, cuts: tuple[Path, ...] = (), seed: int = 0
) -> Iterator[FaultyDisk]:
    """Every SQLite file that this process opens is on this disk, for as long as the block runs."""
    below = connection.VFS
    disk = FaultyDisk(fault, at, lasts=lasts, cuts=cuts, seed=seed)
    connection.VFS = _NAME
    try:
        yield disk
    finally:
        connection.VFS = below
        disk.unregister()


def _write_bare(path: str, data: bytes, offset: int) -> None:
    """Below the layer of checksums, which would put one into a part of a page."""
    with Path(path).open("r+b") as file:
        file.seek(offset)
        file.write(data)


def _read_bare(path: str, size: int, offset: int) -> bytes:
    """What was really written: with its checksum."""
    with Path(path).open("rb") as file:
        file.seek(offset)
        return file.read(size)


def _changed(content: bytearray, change: _Write | _Truncate) -> bytearray:
    if isinstance(change, _Truncate):
        del content[change.size :]
        content.extend(bytes(change.size - len(content)))
        return content
    end = change.offset + len(change.data)
    content.extend(bytes(max(end - len(content), 0)))
    content[change.offset : end] = change.data
    return content


def _nothing(_: _Write | _Truncate) -> None:
    return None


def _everything(change: _Write | _Truncate) -> _Write | _Truncate:
    return change
