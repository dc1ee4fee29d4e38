"""The key file: made whole, kept for its owner alone, and never made in place of one that is needed."""

from __future__ import annotations

import asyncio
import base64
import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from antiphon.crypto.services import KeyContext, KeyFile, RootKey
from antiphon.hub.errors import KeysUnavailable, StoreCorrupt
from antiphon.hub.ids import TenantId

CONTEXT = KeyContext(TenantId("acme"), 1)
TENANT_KEY = os.urandom(32)


def line(key: RootKey, name: str = "root-1") -> str:
    """A line of a key file."""
    return f"{name} {key.check_value} {key.reveal()}\n"


def written(path: Path, text: str, mode: int = 0o600) -> KeyFile:
    """A key file with this text."""
    path.write_text(text, encoding="ascii")
    path.chmod(mode)
    return KeyFile(path)


async def test_a_first_key_is_made_and_told_of(tmp_path: Path) -> None:
    """The file is its owner's alone, says what it is, and the notice says to keep a copy."""
    path = tmp_path / "store.db.key"
    notice = await KeyFile(path).open(create=True)
    assert notice is not None
    assert str(path) in notice
    assert "Keep a copy" in notice
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "nothing in the store can be read" in path.read_text(encoding="ascii")
    assert [*tmp_path.iterdir()] == [path]
    secret = path.read_text(encoding="ascii").split()[-1]
    assert secret not in notice


async def test_a_key_that_is_there_is_taken_without_a_word(tmp_path: Path) -> None:
    """A second start makes nothing, and wraps with the same key."""
    first, second = KeyFile(tmp_path / "k"), KeyFile(tmp_path / "k")
    await first.open(create=True)
    assert await second.open(create=True) is None
    assert first.ref == second.ref


async def test_no_key_is_made_where_one_is_needed(tmp_path: Path) -> None:
    """A store that has wrapped keys needs its old key, not a new one."""
    with pytest.raises(KeysUnavailable, match=r"is not there\. Put back your copy"):
        await KeyFile(tmp_path / "k").open(create=False)
    assert not list(tmp_path.iterdir())


def _start(path: Path, gate: multiprocessing.synchronize.Event, found: multiprocessing.Queue[str]) -> None:
    service = KeyFile(path)
    gate.wait()
    asyncio.run(service.open(create=True))
    found.put(service.ref)


def test_processes_that_start_together_make_one_key(tmp_path: Path) -> None:
    """Whoever is first makes the file; everybody reads all of it."""
    context = multiprocessing.get_context("spawn")
    gate, found = context.Event(), context.Queue()
    starters = [context.Process(target=_start, args=(tmp_path / "k", gate, found)) for _ in range(4)]
    for starter in starters:
        starter.start()
    gate.set()
    refs = {found.get(timeout=60) for _ in starters}
    for starter in starters:
        starter.join()
    assert len(refs) == 1
    assert [*tmp_path.iterdir()] == [tmp_path / "k"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o666, 0o777], ids=oct)
async def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    """The error names the command that mends it."""
    service = written(tmp_path / "k", line(RootKey(os.urandom(32))), mode)
    with pytest.raises(KeysUnavailable, match=f"chmod 600 '{tmp_path / 'k'}'"):
        await service.open(create=True)


async def test_the_first_line_wraps_and_all_of_them_unwrap(tmp_path: Path) -> None:
    """Comments and empty lines are passed over."""
    old, new = RootKey(os.urandom(32)), RootKey(os.urandom(32))
    before = written(tmp_path / "k", line(old))
    await before.open(create=False)
    wrapped = await before.wrap(TENANT_KEY, CONTEXT)
    after = written(tmp_path / "k", f"# both\n\n{line(new, 'b')}  # indented\n{line(old, 'a')}")
    await after.open(create=False)
    assert await after.refs() == (new.ref, old.ref)
    assert after.ref == new.ref
    assert await after.unwrap(wrapped.ref, wrapped.blob, CONTEXT) == TENANT_KEY


async def test_a_key_that_was_added_by_somebody_else_is_found(tmp_path: Path) -> None:
    """The file is read again when something names a key that is not known."""
    running, admin = KeyFile(tmp_path / "k"), KeyFile(tmp_path / "k")
    await running.open(create=True)
    await admin.open(create=False)
    added = await admin.add()
    wrapped = await admin.wrap(TENANT_KEY, CONTEXT)
    assert wrapped.ref == added
    assert await running.unwrap(added, wrapped.blob, CONTEXT) == TENANT_KEY
    assert running.ref == added
    assert stat.S_IMODE((tmp_path / "k").stat().st_mode) == 0o600


async def test_nothing_is_wrapped_with_a_key_that_was_taken_out(tmp_path: Path) -> None:
    """What is wrapped can be unwrapped by who reads the file now."""
    service = KeyFile(tmp_path / "k")
    await service.open(create=True)
    new = RootKey(os.urandom(32))
    written(tmp_path / "k", line(new))
    assert (await service.wrap(TENANT_KEY, CONTEXT)).ref == new.ref
    (tmp_path / "k").unlink()
    with pytest.raises(KeysUnavailable):
        await service.wrap(TENANT_KEY, CONTEXT)


async def test_keys_are_not_lost_when_one_is_added_twice_at_once(tmp_path: Path) -> None:
    """Whoever finds somebody else's draft gives up, and says what may be done."""
    service = KeyFile(tmp_path / "k")
    await service.open(create=True)
    before = await service.refs()
    (tmp_path / "k.new").touch()
    with pytest.raises(KeysUnavailable, match="somebody else is changing"):
        await service.add()
    assert await service.refs() == before


GOOD = RootKey(os.urandom(32))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no root key"),
        ("# nothing\n", "no root key"),
        ("root-1\n", "Line 1 .* a name, a check value and a key"),
        (f"# one\nroot-1 {GOOD.check_value} @@@\n", "Line 2 .* not base64"),
        (f"root-1 {'0' * 16} {GOOD.reveal()}\n", f"Line 1 .* the check value {GOOD.check_value}"),
        (f"root-1 x {base64.b64encode(bytes(32)).decode()}\n", "repeats a few bytes"),
    ],
    ids=["empty", "only comments", "a word", "no base64", "another check value", "zeros"],
)
async def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, text: str, told: str) -> None:
    """The line is named, and the key is not."""
    with pytest.raises(KeysUnavailable, match=told) as raised:
        await written(tmp_path / "k", text).open(create=True)
    assert GOOD.reveal() not in str(raised.value)


async def test_a_folder_is_no_key_file(tmp_path: Path) -> None:
    """What is no file is refused."""
    with pytest.raises(KeysUnavailable):
        await KeyFile(tmp_path).open(create=True)


@pytest.mark.parametrize(
    ("context", "blob"),
    [
        (KeyContext(TenantId("other"), 1), None),
        (KeyContext(TenantId("acme"), 2), None),
        (CONTEXT, b""),
        (CONTEXT, b"x" * 60),
    ],
    ids=["another tenant", "another version", "nothing", "something else"],
)
async def test_a_wrapped_key_is_bound_to_what_it_is_for(
    tmp_path: Path, context: KeyContext, blob: bytes | None
) -> None:
    """It opens for its tenant and version, unaltered, and not otherwise."""
    service = KeyFile(tmp_path / "k")
    await service.open(create=True)
    wrapped = await service.wrap(TENANT_KEY, CONTEXT)
    with pytest.raises(StoreCorrupt):
        await service.unwrap(wrapped.ref, wrapped.blob if blob is None else blob, context)
