"""``antiphon tenants``: who shares a gateway."""

from __future__ import annotations

import asyncio
import io
import json
import stat
import sys

import pytest

from .administering import CommandLine
from .stored import turns


def test_create_prints_the_name_alone(cli: CommandLine) -> None:
    """A tenant's name, and nothing else, is on stdout, so that a script can use it."""
    said = cli.done("tenants", "create", "acme")

    assert said.out == "acme\n"


def test_the_first_command_makes_store_and_key(cli: CommandLine) -> None:
    """A store that is not there yet is made with its key file, for its owner alone, and stderr says what that means."""
    said = cli.done("tenants", "create", "acme")

    assert stat.S_IMODE(cli.path.stat().st_mode) == stat.S_IMODE(cli.key_path.stat().st_mode) == 0o600
    assert f"'{cli.key_path}'" in said.err
    assert "Without it nothing in the store can be read" in said.err
    assert cli.key_path.read_text().split()[-1] not in said.out + said.err
    assert cli.done("tenants", "create", "globex").err == ""


def test_a_tenant_is_created_once(cli: CommandLine) -> None:
    """A second tenant of the same name is refused."""
    cli.done("tenants", "create", "acme")

    said = cli.run("tenants", "create", "acme")

    assert (said.code, said.out) == (1, "")
    assert "There is a tenant 'acme' already" in said.err


@pytest.mark.parametrize("name", ["_system", "Acme", "a.b", "a b", "", "x" * 64, "ä"])
def test_names_that_cannot_be(cli: CommandLine, name: str) -> None:
    """Names that begin with an underscore are ours; others have lower-case letters, digits, '_' and '-'."""
    said = cli.run("tenants", "create", name)

    assert said.code == 2
    assert "lower-case letters, digits" in said.err
    assert not cli.path.exists()


def test_list(cli: CommandLine) -> None:
    """All tenants by name, with what they may store; ours are not among them."""
    cli.done("tenants", "create", "globex", "--max-stored-bytes", "5000000", "--retention-days", "7")
    cli.done("tenants", "create", "acme")

    head, *rows = cli.done("tenants", "list").lines

    assert head.split() == ["TENANT", "STATE", "STORED", "AT", "MOST", "RETENTION", "CREATED"]
    assert [row.split()[:3] for row in rows] == [["acme", "active", "0"], ["globex", "active", "0"]]
    assert "no limit" in rows[0]
    assert "5 MB" in rows[1]
    assert "7 days" in rows[1]


def test_documents(cli: CommandLine) -> None:
    """The same as JSON, in the form of the administrators' API."""
    cli.done("tenants", "create", "acme", "--max-stored-bytes", "10")

    (listed,) = json.loads(cli.done("tenants", "list", "--json").out)["data"]
    shown = json.loads(cli.done("tenants", "show", "acme", "--json").out)

    assert (listed["id"], listed["max_stored_bytes"], listed["state"]) == ("acme", 10, "active")
    assert {name: shown[name] for name in listed} == listed
    assert shown["api_keys"] == []


def test_set(cli: CommandLine) -> None:
    """What is given changes, what is not stays; 'none' and 'default' take a limit away."""
    cli.done("tenants", "create", "acme")

    cli.done("tenants", "set", "acme", "--max-stored-bytes", "10")
    cli.done("tenants", "set", "acme", "--retention-days", "0.5")
    both = json.loads(cli.done("tenants", "show", "acme", "--json").out)
    cli.done("tenants", "set", "acme", "--max-stored-bytes", "none", "--retention-days", "default")
    neither = json.loads(cli.done("tenants", "show", "acme", "--json").out)

    assert (both["max_stored_bytes"], both["retention_days"]) == (10, 0.5)
    assert (neither["max_stored_bytes"], neither["retention_days"]) == (None, None)


@pytest.mark.parametrize(
    "arguments", [[], ["--max-stored-bytes", "many"], ["--max-stored-bytes", "-1"], ["--retention-days", "0"]]
)
def test_settings_that_cannot_be(cli: CommandLine, arguments: list[str]) -> None:
    """Nothing to change, and what is no number or out of range, ends with 2."""
    cli.done("tenants", "create", "acme")

    assert cli.run("tenants", "set", "acme", *arguments).code == 2


def test_suspend_and_resume(cli: CommandLine) -> None:
    """A suspended tenant is shown as such until it is let in again; both can be said twice."""
    cli.done("tenants", "create", "acme")

    suspended = [cli.done("tenants", "suspend", "acme").out for _ in range(2)]
    resumed = [cli.done("tenants", "resume", "acme").out for _ in range(2)]

    assert suspended == ["acme is suspended\n"] * 2
    assert resumed == ["acme is active\n"] * 2


@pytest.mark.parametrize(
    "command", [["show"], ["suspend"], ["resume"], ["set", "--retention-days", "1"], ["export"], ["erase", "--yes"]]
)
def test_a_tenant_that_there_is_not(cli: CommandLine, command: list[str]) -> None:
    """An unknown name is told with the nearest one."""
    cli.done("tenants", "create", "acme")

    said = cli.run("tenants", command[0], "acne", *command[1:])

    assert (said.code, said.out) == (1, "")
    assert said.err == "error: Tenant 'acne' not found; did you mean 'acme'?\n"


@pytest.mark.parametrize("command", [["list"], ["show", "x"], ["erase", "x", "--yes"], ["export", "x"]])
def test_a_store_that_there_is_not(cli: CommandLine, command: list[str]) -> None:
    """Looking makes no store: one that is not there is a mistake."""
    said = cli.run("tenants", *command)

    assert said.code == 2
    assert f"there is no store at {cli.path}" in said.err
    assert not cli.path.exists()


def test_export(cli: CommandLine) -> None:
    """Everything of a tenant is taken out as JSON lines: each turn with its own input and its output, once."""
    cli.done("tenants", "create", "acme")
    ids = asyncio.run(turns(cli.path, "acme", "first words", "second words"))
    asyncio.run(turns(cli.path, "globex", "words of others"))

    said = cli.done("tenants", "export", "acme")
    head, *lines = map(json.loads, said.lines)

    assert head == {"object": "tenant.export", "version": 1, "tenant": "acme"}
    assert [line["id"] for line in lines] == ids
    assert [line["input"][0]["content"][0]["text"] for line in lines] == ["first words", "second words"]
    assert [line["output"][0]["content"][0]["text"] for line in lines] == [
        "answer to first words",
        "answer to second words",
    ]
    assert "others" not in said.out


def test_export_of_an_end_user(cli: CommandLine) -> None:
    """Of an end user there is what was made on their behalf, and nothing else."""
    cli.done("tenants", "create", "acme")
    asyncio.run(turns(cli.path, "acme", "words for ada", safety_identifier="ada"))
    asyncio.run(turns(cli.path, "acme", "words for bob", user="bob"))

    said = cli.done("tenants", "export", "acme", "--end-user", "bob")

    assert "words for bob" in said.out
    assert "words for ada" not in said.out
    assert len(cli.done("tenants", "export", "acme", "--end-user", "nobody").lines) == 1


def test_a_dry_run_of_an_erasure(cli: CommandLine) -> None:
    """A dry run tells what the erasure then does, and changes nothing."""
    cli.done("tenants", "create", "acme")
    ids = asyncio.run(turns(cli.path, "acme", "one", "two"))
    asyncio.run(turns(cli.path, "globex", "three"))

    planned = json.loads(cli.done("tenants", "erase", "acme", "--dry-run", "--json").out)
    exported = cli.done("tenants", "export", "acme")
    done = json.loads(cli.done("tenants", "erase", "acme", "--yes", "--json").out)

    assert sorted(planned["responses"]) == sorted(ids)
    assert len(exported.lines) == 1 + len(ids)
    assert (planned.pop("dry_run"), done.pop("dry_run")) == (True, False)
    for receipt in (planned, done):
        receipt["responses"].sort()
    assert planned == done
    assert cli.run("tenants", "show", "acme").code == 1
    assert len(cli.done("tenants", "export", "globex").lines) == 2
    assert cli.done("store", "check").out.endswith("is sound\n")


def test_erasing_an_end_user(cli: CommandLine) -> None:
    """What was made for an end user goes, with a receipt; what was made for others stays."""
    cli.done("tenants", "create", "acme")
    ids = asyncio.run(turns(cli.path, "acme", "words for ada", safety_identifier="ada"))
    asyncio.run(turns(cli.path, "acme", "words for bob", safety_identifier="bob"))

    planned = json.loads(cli.done("tenants", "erase", "acme", "--end-user", "ada", "--dry-run", "--json").out)
    done = json.loads(cli.done("tenants", "erase", "acme", "--end-user", "ada", "--yes", "--json").out)

    assert planned["responses"] == done["responses"] == ids
    assert "words for ada" not in cli.done("tenants", "export", "acme").out
    assert "words for bob" in cli.done("tenants", "export", "acme").out


def test_erasing_asks(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --yes it has to be meant: a script is refused, and a person types the tenant's name."""

    class Keyboard(io.StringIO):
        def isatty(self) -> bool:
            return True

    cli.done("tenants", "create", "acme")
    monkeypatch.setattr(sys, "stdin", io.StringIO("acme\n"))
    refused = cli.run("tenants", "erase", "acme")
    monkeypatch.setattr(sys, "stdin", Keyboard("acne\n"))
    mistyped = cli.run("tenants", "erase", "acme")
    still_there = cli.run("tenants", "show", "acme")
    monkeypatch.setattr(sys, "stdin", Keyboard("acme\n"))
    meant = cli.run("tenants", "erase", "acme")

    assert (refused.code, mistyped.code, still_there.code, meant.code) == (2, 1, 0, 0)
    assert "--dry-run" in refused.err
    assert "nothing was erased" in mistyped.err
    assert cli.run("tenants", "show", "acme").code == 1


def test_a_name_can_be_used_again(cli: CommandLine) -> None:
    """After an erasure a tenant of the same name is a new one."""
    cli.done("tenants", "create", "acme")
    asyncio.run(turns(cli.path, "acme", "old words"))
    cli.done("tenants", "erase", "acme", "--yes")

    cli.done("tenants", "create", "acme")
    asyncio.run(turns(cli.path, "acme", "new words"))

    exported = cli.done("tenants", "export", "acme").out
    assert "new words" in exported
    assert "old words" not in exported
