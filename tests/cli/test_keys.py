"""``antiphon keys``: what programs and administrators are let in with."""

from __future__ import annotations

import json
import re
from typing import Any

import apsw
import pytest

from antiphon.hub.api_key import parse
from antiphon.hub.principal import TENANT_SCOPES

from .administering import CommandLine


@pytest.fixture
def acme(cli: CommandLine) -> CommandLine:
    """The command line on a store with a tenant."""
    cli.done("tenants", "create", "acme")
    return cli


def listed(cli: CommandLine, *arguments: str) -> list[dict[str, Any]]:
    """All keys, as documents."""
    return list(json.loads(cli.done("keys", "list", "--json", *arguments).out)["data"])


def test_create_prints_the_key_alone(acme: CommandLine) -> None:
    """A new key is the one word on stdout, well-formed, and can do everything that a tenant's key can."""
    said = acme.done("keys", "create", "--tenant", "acme")

    key = parse(said.out.removesuffix("\n"))
    (record,) = listed(acme)
    assert key is not None
    assert (key.environment, key.key_id, key.hint) == ("live", record["id"], record["hint"])
    assert set(record["scopes"]) == TENANT_SCOPES
    assert said.err == ""


def test_what_a_key_may_do(acme: CommandLine) -> None:
    """Scopes, models, limits, a name and an end are kept as they were given."""
    acme.done(
        "keys", "create", "--tenant", "acme", "--name", "nightly", "--scopes", "responses:read,models:read",
        "--models", "small, large", "--expires-days", "2", "--rpm", "60", "--tpm", "1000", "--parallel", "3",
    )  # fmt: skip

    (record,) = listed(acme)

    assert (record["tenant"], record["name"], record["created_by"]) == ("acme", "nightly", "cli")
    assert sorted(record["scopes"]) == ["models:read", "responses:read"]
    assert record["models"] == ["small", "large"]
    assert record["limits"] == {"requests_per_minute": 60, "tokens_per_minute": 1000, "parallel_turns": 3}
    assert record["expires_at"] - record["created_at"] == 2 * 86400


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--scopes", "respones:read"], "there is no scope 'respones:read'; did you mean 'responses:read'?"),
        (["--scopes", "admin"], "'admin' is not for a tenant's key"),
        (["--scopes", ""], "Invalid 'scopes'"),
        (["--rpm", "0"], "Invalid 'limits.requests_per_minute'"),
        (["--rpm", "many"], "Invalid 'limits.requests_per_minute'"),
        (["--expires-days", "-1"], "Invalid 'expires_days'"),
        (["--expires-days", "nan"], "Invalid 'expires_days'"),
        (["--name", "x" * 201], "Invalid 'name'"),
    ],
)
def test_a_key_that_cannot_be(acme: CommandLine, arguments: list[str], expected: str) -> None:
    """What cannot be is refused by its name, and makes no key."""
    said = acme.run("keys", "create", "--tenant", "acme", *arguments)

    assert (said.code, said.out) == (2, "")
    assert expected in said.err
    assert listed(acme) == []


def test_a_key_for_a_tenant_that_there_is_not(acme: CommandLine) -> None:
    """A mistyped tenant is refused with the nearest one; ours is refused like any other."""
    mistyped = acme.run("keys", "create", "--tenant", "acne")
    ours = acme.run("keys", "create", "--tenant", "_system")

    assert (mistyped.code, mistyped.out, ours.code, ours.out) == (1, "", 1, "")
    assert "did you mean 'acme'?" in mistyped.err


def test_an_administrators_key(acme: CommandLine) -> None:
    """It is of a class of its own, belongs to no tenant, and has nothing to be chosen."""
    said = acme.done("keys", "create", "--admin", "--name", "ops")

    key = parse(said.out.strip())
    (record,) = listed(acme)
    assert key is not None
    assert key.environment == "admin"
    assert (record["tenant"], record["scopes"], record["name"]) == (None, ["admin"], "ops")
    assert listed(acme, "--tenant", "acme") == []
    assert acme.run("keys", "create", "--admin", "--models", "m").code == 2


def test_the_table(acme: CommandLine) -> None:
    """Keys are told by id, tenant and their last characters; never by their text."""
    secret = acme.done("keys", "create", "--tenant", "acme", "--name", "nightly").out.strip()
    acme.done("keys", "create", "--admin")

    head, *rows = acme.done("keys", "list").lines
    first, second = sorted(rows, key=lambda row: "(administrator)" in row)  # made in the same second

    assert head.split()[:2] == ["ID", "TENANT"]
    assert re.fullmatch(
        rf"{secret.split('-')[3]}  acme +…{secret[-11:-7]}  +active +never +\d{{4}}-\d\d-\d\d +all +nightly", first
    )
    assert "(administrator)" in second
    assert secret.split("-")[4] not in first


def test_rotate(acme: CommandLine) -> None:
    """A rotated key keeps its id and what it may do; the one before works on for a day, or for as long as is said."""
    before = acme.done("keys", "create", "--tenant", "acme").out.strip()
    key_id = before.split("-")[3]

    after = acme.done("keys", "rotate", key_id).out.strip()
    (record,) = listed(acme)
    again = acme.run("keys", "rotate", key_id)
    replaced = acme.done("keys", "rotate", key_id, "--again", "--grace", "0").out.strip()
    (last,) = listed(acme)

    assert after.split("-")[3] == replaced.split("-")[3] == key_id
    assert len({before, after, replaced}) == 3
    assert 86300 < record["previous_secret_until"] - record["created_at"] <= 86500
    assert again.code == 1
    assert "was rotated already" in again.err
    assert last["previous_secret_until"] is None


def test_revoke(acme: CommandLine) -> None:
    """A revoked key stays revoked, however often it is said, and cannot be rotated."""
    key_id = acme.done("keys", "create", "--tenant", "acme").out.split("-")[3]

    first, second = (acme.done("keys", "revoke", key_id).out for _ in range(2))

    assert first == second
    assert first.startswith(f"{key_id} is revoked since ")
    assert acme.run("keys", "rotate", key_id).code == 1
    assert "revoked" in acme.done("keys", "list").out


@pytest.mark.parametrize("command", ["rotate", "revoke"])
def test_a_key_that_there_is_not(acme: CommandLine, command: str) -> None:
    """An unknown id is told as such."""
    said = acme.run("keys", command, "nobodysKey00")

    assert (said.code, said.err) == (1, "error: API key with id 'nobodysKey00' not found.\n")


def test_the_store_has_no_key(acme: CommandLine) -> None:
    """No byte of a key's secret is in the store's files."""
    secrets = [
        acme.done("keys", "create", "--tenant", "acme").out.split("-")[4],
        acme.done("keys", "create", "--admin").out.split("-")[4],
    ]

    files = b"".join(path.read_bytes() for path in acme.path.parent.iterdir())

    assert not [secret for secret in secrets if secret.encode() in files]


def test_every_command_is_in_the_administrators_trail(acme: CommandLine) -> None:
    """Whatever is done, and whatever is refused, is an entry that names who, what and how it went."""
    key_id = acme.done("keys", "create", "--tenant", "acme").out.split("-")[3]
    acme.run("keys", "create", "--tenant", "acne")
    acme.done("keys", "rotate", key_id)
    acme.done("keys", "revoke", key_id)
    acme.run("keys", "revoke", "nobodysKey00")

    entries = json.loads(acme.done("audit", "list", "--tenant", "_system", "--json").out)["data"]

    assert [(entry["actor"], entry["action"], entry["object_id"], entry["outcome"]) for entry in entries] == [
        ("cli", "tenant.create", "acme", "ok"),
        ("cli", "key.create", key_id, "ok"),
        ("cli", "key.create", "acne", "not_found"),
        ("cli", "key.rotate", key_id, "ok"),
        ("cli", "key.revoke", key_id, "ok"),
        ("cli", "key.revoke", "nobodysKey00", "not_found"),
    ]
    assert acme.done("audit", "verify", "--tenant", "_system").out == "the audit trail of _system is sound\n"


def test_a_forged_trail_is_found(acme: CommandLine) -> None:
    """Who can write the file and has no key cannot change an entry unseen."""
    acme.done("keys", "create", "--tenant", "acme")
    database = apsw.Connection(str(acme.path))
    for (name,) in list(database.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'")):
        database.execute(f"DROP TRIGGER {name}")
    database.execute("UPDATE audit SET actor = 'somebody' WHERE action = 'key.create'")
    database.close()

    said = acme.run("audit", "verify", "--tenant", "_system")

    assert said.code == 1
    assert "Entry 2 was altered" in said.out


def test_pages_of_a_trail(acme: CommandLine) -> None:
    """A trail can be read in parts, and by what was done to what."""
    key_ids = [acme.done("keys", "create", "--tenant", "acme").out.split("-")[3] for _ in range(3)]
    trail = ["audit", "list", "--tenant", "_system", "--json"]

    part = json.loads(acme.done(*trail, "--after", "1", "--limit", "2").out)["data"]
    of_one = json.loads(acme.done(*trail, "--object", key_ids[1]).out)["data"]

    assert [entry["object_id"] for entry in part] == key_ids[:2]
    assert [entry["index"] for entry in of_one] == [3]
    assert acme.run(*trail, "--limit", "many").code == 2
