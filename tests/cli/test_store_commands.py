"""``antiphon store``: backups, keys, verification, expiry; and what a start makes of a store's keys."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import apsw
import pytest

from antiphon.cli import main

from .administering import CommandLine
from .stored import gateway_on, turns


def bytes_of(path: Path) -> bytes:
    """A database with its log."""
    return b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*") if not file.name.endswith(".key"))


@pytest.fixture
def acme(cli: CommandLine) -> CommandLine:
    """The command line on a store with a tenant's turn in it."""
    cli.done("tenants", "create", "acme")
    asyncio.run(turns(cli.path, "acme", "a canary sang"))
    return cli


def test_nothing_is_in_the_clear(acme: CommandLine) -> None:
    """Without being asked, a new store is sealed: what was said is not in its files."""
    assert b"canary" not in bytes_of(acme.path)


def test_backup(acme: CommandLine, tmp_path: Path) -> None:
    """A copy is whole and sealed, opens with the same key, and never replaces a file."""
    copy = tmp_path / "copies" / "copy.db"
    copy.parent.mkdir()

    said = acme.done("store", "backup", str(copy))
    twice = acme.run("store", "backup", str(copy))
    exported = main(["tenants", "export", "acme", "--store", f"sqlite:///{copy}", "--key", f"file:{acme.key_path}"])

    assert said.out == f"{copy}\n"
    assert twice.code == 1
    assert "A backup never replaces one" in twice.err
    assert exported == 0
    assert b"canary" not in bytes_of(copy)
    assert acme.run("tenants", "list", "--key", f"file:{copy}.key").code == 2


def test_verify(acme: CommandLine) -> None:
    """Everything can be opened; a payload that was altered is named by its row, and the exit code is 1."""
    sound = acme.done("store", "verify")
    database = apsw.Connection(str(acme.path))
    database.execute("UPDATE items SET payload = substr(payload, 1, length(payload) - 1) WHERE position = 0")
    database.close()

    broken = acme.run("store", "verify")

    assert sound.out.endswith("can be opened\n")
    assert broken.code == 1
    assert broken.out.startswith("acme: items '")
    assert "canary" not in broken.out + broken.err


def test_rotate_root(acme: CommandLine) -> None:
    """A new root key is added to the key file and wraps everything; the old one can then be taken out of it."""
    before = acme.key_path.read_text().splitlines()

    said = acme.done("store", "rotate-root")
    after = acme.key_path.read_text().splitlines()
    acme.key_path.write_text("\n".join(line for line in after if line not in before or line.startswith("#")))

    assert len(after) == len(before) + 1
    assert "renew your copy of it" in said.err
    assert acme.done("store", "verify").out.endswith("can be opened\n")
    assert "canary" in acme.done("tenants", "export", "acme").out


def test_a_tenant_that_there_is_not_is_not_rotated(acme: CommandLine) -> None:
    """A mistyped tenant is told at once, before anything is announced."""
    said = acme.run("store", "rotate-tenant", "acne")

    assert said.code == 1
    assert said.err == "error: Tenant 'acne' not found; did you mean 'acme'?\n"


def test_sealing_what_is_in_the_clear(cli: CommandLine) -> None:
    """A store that was kept in the clear is sealed, and nothing of what was said is left in its files."""
    plain = ["--key", "none"]
    cli.done("tenants", "create", "acme", *plain)

    async def say() -> None:
        async with gateway_on(cli.path, ["answered"], sealing="none") as gateway:
            await gateway.respond({"model": "m", "input": "a canary sang", "metadata": {"bird": "canary"}})

    asyncio.run(say())
    was_readable = b"canary" in bytes_of(cli.path)
    refused = cli.run("tenants", "list")
    sealed = cli.done("store", "seal")
    twice = cli.done("store", "seal")

    assert was_readable
    assert refused.code == 2
    assert "antiphon store seal" in refused.err
    assert f"'{cli.key_path}'" in sealed.err
    assert sealed.out.endswith("is sealed\n")
    assert "in the clear" in twice.out
    assert b"canary" not in bytes_of(cli.path)
    assert "canary" in cli.done("tenants", "export", "default").out
    assert cli.run("tenants", "list", *plain).code == 2


def test_nothing_can_be_sealed_with_nothing(acme: CommandLine) -> None:
    """To seal without a key is a contradiction."""
    assert acme.run("store", "seal", "--key", "none").code == 2


def test_a_missing_key(acme: CommandLine, tmp_path: Path) -> None:
    """Without its key a store is not opened, no other one is made, and the message names the key and the file."""
    (line,) = (line for line in acme.key_path.read_text().splitlines() if not line.startswith("#"))
    acme.key_path.rename(tmp_path / "elsewhere.key")

    said = acme.run("tenants", "list")

    assert (said.code, said.out) == (2, "")
    assert line.split()[1] in said.err
    assert str(acme.key_path) in said.err
    assert line.split()[2] not in said.err
    assert not acme.key_path.exists()
    assert "canary" in acme.done("tenants", "export", "acme", "--key", f"file:{tmp_path / 'elsewhere.key'}").out


def test_a_wrong_key(acme: CommandLine, tmp_path: Path) -> None:
    """Another store's key is refused with both keys' check values."""
    other = tmp_path / "other"
    other.mkdir()
    assert main(["tenants", "create", "x", "--store", f"sqlite:///{other}/a.db"]) == 0
    checks = [path.read_text().split()[-2] for path in (acme.key_path, other / "a.db.key")]
    shutil.copy(other / "a.db.key", acme.key_path)

    said = acme.run("tenants", "list")

    assert said.code == 2
    assert all(check in said.err for check in checks)


def test_a_key_that_others_can_read(acme: CommandLine) -> None:
    """A key file that others may read is refused with the command that mends it."""
    acme.key_path.chmod(0o644)

    said = acme.run("tenants", "list")

    assert said.code == 2
    assert f"chmod 600 '{acme.key_path}'" in said.err


@pytest.mark.parametrize("key", ["aHVudGVyMmh1bnRlcjI=", "fil:hunter2", "env:NO_SUCH_VARIABLE"])
def test_a_key_that_is_nowhere(acme: CommandLine, key: str) -> None:
    """A key reference that leads nowhere is a mistake in the settings, and its text is not repeated."""
    said = acme.run("tenants", "list", "--key", key)

    assert said.code == 2
    assert "hunter2" not in said.err
    assert "aHVudGVy" not in said.err


def test_sweep(cli: CommandLine) -> None:
    """What has expired is told first, then erased."""
    cli.done("tenants", "create", "acme", "--retention-days", "0.000001")
    asyncio.run(turns(cli.path, "globex", "long remembered"))  # first: a gateway sweeps when it starts
    asyncio.run(turns(cli.path, "acme", "soon forgotten"))

    told, done, after = (cli.done("store", "sweep", *how).lines for how in (["--dry-run"], [], ["--dry-run"]))

    assert (told[0], done[0]) == ("would be erased", "erased")
    assert told[1:] == done[1:]
    assert told[1].split() == ["responses", "1"]
    assert after[1].split() == ["responses", "0"]
    assert "remembered" in cli.done("tenants", "export", "globex").out


@pytest.mark.parametrize(
    "command", [["check"], ["backup", "x.db"], ["seal"], ["rotate-root"], ["rotate-tenant", "x"], ["verify"], ["sweep"]]
)
def test_a_store_that_there_is_not(cli: CommandLine, command: list[str]) -> None:
    """None of the commands makes a store."""
    said = cli.run("store", *command)

    assert said.code == 2
    assert not cli.path.exists()


@pytest.mark.parametrize("command", [["tenants", "list"], ["keys", "create", "--admin"], ["store", "check"]])
def test_a_store_in_memory(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A store in memory is in another process; saying so beats doing nothing."""
    assert main([*command, "--store", "memory:"]) == 2
    assert "in the process of its server alone" in capsys.readouterr().err


def test_documents_are_json(acme: CommandLine) -> None:
    """A receipt for programs is one document."""
    receipt = json.loads(acme.done("tenants", "erase", "acme", "--dry-run", "--json").out)

    assert (receipt["object"], receipt["dry_run"], len(receipt["responses"])) == ("erasure", True, 1)
