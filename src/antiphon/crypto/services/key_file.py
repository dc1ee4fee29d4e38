"""
Root keys in a file: one line for each, with a name, the key's check value and the key in base64. The first one wraps.

The file is for its owner alone, is made whole or not at all, and is read again when something was wrapped with a key
that is not known yet: so it can be changed while gateways run. It is small and on this machine, so it is read and
written on the event loop's thread.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from antiphon.crypto.nonces import random_key
from antiphon.crypto.services.root_keys import RootKey, RootKeys, parse_root_key
from antiphon.crypto.services.service import KeyContext, Wrapped, round_trip
from antiphon.hub.errors import KeysUnavailable

__all__ = ["KeyFile"]

_OWNER_ONLY = 0o600
_LARGEST_BYTES = 64 * 1024
_HEAD = """\
# Root keys of an Antiphon store: NAME, CHECK VALUE, KEY. The first one wraps new keys; the others still unwrap.
#
# Without these keys nothing in the store can be read, by anybody: there is no other way in. Keep a copy of this file,
# and keep it apart from copies of the store, since whoever has both can read everything.
"""


class KeyFile:
    """
    A key service over a file.

    Args:
        path: Read and written by its owner alone (mode 0600).
    """

    def __init__(self, path: Path) -> None:
        self.place = f"the key file '{path}'"
        self._path = path
        self._keys = RootKeys((), self.place)
        self._stamp: tuple[int, int, int] | None = None

    @property
    def ref(self) -> str:
        return self._keys.active.ref

    async def open(self, *, create: bool) -> str | None:
        notice = self._create() if create and not self._path.exists() else None
        self._read()
        return notice

    async def refs(self) -> tuple[str, ...]:
        self._read()
        return self._keys.refs

    async def has(self, ref: str) -> bool:
        self._read_for(ref)
        return ref in self._keys.refs

    async def wrap(self, key: bytes, context: KeyContext) -> Wrapped:
        # What is wrapped with a key that was taken out of the file meanwhile could never be opened again.
        self._read_if_changed()
        return self._keys.wrap(key, context)

    async def unwrap(self, ref: str, blob: bytes, context: KeyContext) -> bytes:
        self._read_for(ref)
        return self._keys.unwrap(ref, blob, context)

    async def health(self) -> None:
        await round_trip(self)

    async def add(self) -> str:
        """
        Put a new root key in front of the others, so that it wraps from now on. Returns its name with what it wraps.

        The others are still needed until :func:`antiphon.crypto.rotation.rotate_root` has been through every store.

        Raises:
            KeysUnavailable: The file cannot be read or written, or somebody else is adding a key to it.
        """
        self._read()
        added = RootKey(random_key())
        with _translated(self._path):
            lines = self._path.read_text(encoding="ascii").splitlines()
            first = next(index for index, line in enumerate(lines) if _holds_key(line))
            lines.insert(first, f"root-{len(self._keys.refs) + 1} {added.check_value} {added.reveal()}")
            draft = self._write_draft("\n".join(lines) + "\n")
            draft.replace(self._path)
            _sync_folder(self._path.parent)
        self._read()
        return added.ref

    # Reading.

    def _read_for(self, ref: str) -> None:
        if ref not in self._keys.refs:
            self._read()

    def _read_if_changed(self) -> None:
        with _translated(self._path):
            changed = _stamp_of(self._path.stat()) != self._stamp
        if changed:
            self._read()

    def _read(self) -> None:
        with _translated(self._path):
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            with os.fdopen(descriptor, encoding="ascii", errors="replace") as file:
                status = os.fstat(descriptor)
                self._refuse_exposed(status)
                text = file.read(_LARGEST_BYTES)
        self._keys = RootKeys(list(self._parse(text)), self.place)
        self._stamp = _stamp_of(status)
        if not self._keys.refs:
            raise KeysUnavailable(f"There is no root key in {self.place}. Put back your copy of the file.")

    def _refuse_exposed(self, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise KeysUnavailable(f"{self.place} is not a file.")
        if status.st_mode & 0o077:
            raise KeysUnavailable(
                f"Others than its owner may read or write {self.place} (mode {stat.S_IMODE(status.st_mode):04o}). "
                f"Make it its owner's alone: chmod 600 '{self._path}'"
            )

    def _parse(self, text: str) -> Iterator[RootKey]:
        for number, line in enumerate(text.splitlines(), start=1):
            if not _holds_key(line):
                continue
            words = line.split()
            try:
                yield _root_key_of(words)
            except ValueError as fault:
                raise KeysUnavailable(f"Line {number} of {self.place} cannot be used: {fault}.") from None

    # Writing.

    def _create(self) -> str | None:
        """Make the file with a first key. None if somebody else was faster: then theirs is taken."""
        key = RootKey(random_key())
        with _translated(self._path):
            draft = self._write_draft(f"{_HEAD}root-1 {key.check_value} {key.reveal()}\n", of=str(os.getpid()))
            try:
                os.link(draft, self._path)  # appears with all that is in it, and only if there is none
            except FileExistsError:
                return None
            finally:
                draft.unlink()
            _sync_folder(self._path.parent)
        return (
            f"A new root key '{key.ref}' was made in {self.place}. Without it nothing in the store can be read, by "
            "anybody. Keep a copy of the file, apart from copies of the store."
        )

    def _write_draft(self, text: str, *, of: str = "new") -> Path:
        draft = self._path.with_name(f"{self._path.name}.{of}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _OWNER_ONLY)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(text)
                file.flush()
                os.fsync(descriptor)
        except BaseException:
            draft.unlink()  # a key that nobody uses, and nobody looks for
            raise
        return draft


def _root_key_of(words: list[str]) -> RootKey:
    if len(words) != 3:
        raise ValueError("a line has a name, a check value and a key")
    key = parse_root_key(words[2])
    if key.check_value != words[1]:
        raise ValueError(f"its key has the check value {key.check_value}, and the line says {words[1][:32]!r}")
    return key


def _holds_key(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _stamp_of(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _sync_folder(folder: Path) -> None:
    """A file's name is on the disk when its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise KeysUnavailable(
            f"The key file '{path}' is not there. Put back your copy of it, or say in sealing.key where the key is."
        ) from None
    except FileExistsError as error:
        raise KeysUnavailable(
            f"The file '{error.filename}' is there: somebody else is changing the key file, or was interrupted. "
            "Delete it if nobody is."
        ) from None
    except OSError as error:
        raise KeysUnavailable(f"The key file '{path}' cannot be used: {error.strerror}.") from error
