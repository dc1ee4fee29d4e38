"""Key services that need nobody else: the environment, a command, memory; and how one is named."""

from __future__ import annotations

import base64
import os
import sys
import textwrap
from pathlib import Path

import pytest

from antiphon.crypto.services import (
    AwsKms,
    CommandKeys,
    EnvironmentKeys,
    EphemeralKeys,
    KeyContext,
    KeyFile,
    RootKey,
    VaultTransit,
    open_service,
)
from antiphon.hub.errors import KeysUnavailable, StoreCorrupt
from antiphon.hub.ids import TenantId

CONTEXT = KeyContext(TenantId("acme"), 3)
TENANT_KEY = os.urandom(32)


def text_of(key: bytes) -> str:
    """A key as people write it."""
    return base64.b64encode(key).decode()


# The environment.


async def test_keys_of_the_environment_wrap_with_the_first() -> None:
    """Several are separated by commas; what any of them wrapped is unwrapped."""
    old, new = text_of(os.urandom(32)), text_of(os.urandom(32))
    before, after = EnvironmentKeys("K", {"K": old}), EnvironmentKeys("K", {"K": f"{new}, {old}"})
    await before.open(create=False)
    await after.open(create=False)
    wrapped = await before.wrap(TENANT_KEY, CONTEXT)
    assert await after.unwrap(wrapped.ref, wrapped.blob, CONTEXT) == TENANT_KEY
    assert (await after.refs())[1] == before.ref
    assert after.ref != before.ref
    await after.health()


async def test_a_key_has_one_name_wherever_it_is_kept(tmp_path: Path) -> None:
    """So a store goes on when its key moves from a file into the environment."""
    file = KeyFile(tmp_path / "k")
    await file.open(create=True)
    moved = EnvironmentKeys("K", {"K": (tmp_path / "k").read_text(encoding="ascii").split()[-1]})
    await moved.open(create=False)
    assert moved.ref == file.ref


WEAK = {
    "empty": b"",
    "short": os.urandom(31),
    "long": os.urandom(33),
    "zeros": bytes(32),
    "all equal": b"\xff" * 32,
    "a pattern": os.urandom(8) * 4,
    "a sequence": bytes(range(32)),
    "another sequence": bytes(range(250, 186, -2)),
    "a text": b"correct horse battery staple 123",
}


@pytest.mark.parametrize("key", WEAK.values(), ids=WEAK.keys())
async def test_a_weak_key_is_refused(key: bytes) -> None:
    """Also as a second key; and the error does not repeat it."""
    good = text_of(os.urandom(32))
    with pytest.raises(ValueError):
        RootKey(key)
    for value in (text_of(key), f"{good},{text_of(key)}") if key else ("", " , "):
        with pytest.raises(KeysUnavailable) as raised:
            await EnvironmentKeys("K", {"K": value}).open(create=True)
        assert text_of(key)[:20] not in str(raised.value) or not key


async def test_a_variable_that_is_not_set_says_how_to_set_it() -> None:
    """The error has a command that makes a key."""
    with pytest.raises(KeysUnavailable, match=r"os\.urandom"):
        await EnvironmentKeys("ANTIPHON_ROOT", {}).open(create=True)


def test_a_key_does_not_show_itself() -> None:
    """What is written by accident is its name."""
    key = RootKey(os.urandom(32))
    assert repr(key) == f"RootKey({key.ref})"


# A command.


PROGRAM = textwrap.dedent(
    """
    import base64, os, sys
    verb, given = sys.argv[-1], base64.b64decode(sys.stdin.read(), validate=True)
    tag = (os.environ["ANTIPHON_KEY_TENANT"] + "/" + os.environ["ANTIPHON_KEY_VERSION"]).encode()
    if verb == "wrap":
        answer = tag + bytes(byte ^ 0x55 for byte in given)
    elif given.startswith(tag):
        answer = bytes(byte ^ 0x55 for byte in given[len(tag):])
    else:
        sys.exit("this was wrapped for somebody else: " + given.hex())
    print(base64.b64encode(answer).decode())
    """
)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "wrap keys.py"
    path.write_text(PROGRAM, encoding="utf-8")
    return path


async def test_a_command_wraps_and_unwraps(program: Path) -> None:
    """It is told what for, and given its arguments as they are written."""
    service = open_service(f"command:{sys.executable} '{program}' $HOME", None)
    assert isinstance(service, CommandKeys)
    await service.open(create=False)
    wrapped = await service.wrap(TENANT_KEY, CONTEXT)
    assert wrapped.blob.startswith(b"acme/3")
    assert await service.unwrap(wrapped.ref, wrapped.blob, CONTEXT) == TENANT_KEY
    await service.health()


async def test_what_a_command_says_when_it_fails_is_not_repeated(program: Path) -> None:
    """Its error output may hold anything; its exit status is told."""
    service = CommandKeys([sys.executable, str(program)])
    wrapped = await service.wrap(TENANT_KEY, CONTEXT)
    with pytest.raises(KeysUnavailable, match="status 1") as raised:
        await service.unwrap(wrapped.ref, wrapped.blob, KeyContext(TenantId("other"), 1))
    assert "somebody else" not in str(raised.value)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import time; time.sleep(600)", "did not answer 'wrap' within"),
        ("print('@@@')", "something else than base64"),
        ("pass", "something else than base64"),
        ("import os; os.kill(os.getpid(), 9)", "status -9"),
    ],
    ids=["too slow", "not base64", "nothing", "killed"],
)
async def test_a_command_that_does_not_serve_is_an_outage(code: str, told: str) -> None:
    """Nothing is wrapped, and no process is left."""
    service = CommandKeys([sys.executable, "-c", code], timeout_s=2 if "sleep" in code else 30)
    with pytest.raises(KeysUnavailable, match=told):
        await service.wrap(TENANT_KEY, CONTEXT)


async def test_a_command_that_is_not_there_is_an_outage() -> None:
    """It is named."""
    with pytest.raises(KeysUnavailable, match="/no/such/program"):
        await CommandKeys(["/no/such/program"]).wrap(TENANT_KEY, CONTEXT)


async def test_a_command_is_not_asked_for_keys_of_others() -> None:
    """What another key service wrapped is not handed to it."""
    with pytest.raises(KeysUnavailable, match="'local:abc' is needed"):
        await CommandKeys(["/no/such/program"]).unwrap("local:abc", b"x", CONTEXT)


# Memory.


async def test_keys_of_memory_are_of_one_process_life() -> None:
    """Two have nothing in common."""
    one, other = EphemeralKeys(), EphemeralKeys()
    wrapped = await one.wrap(TENANT_KEY, CONTEXT)
    assert await one.unwrap(wrapped.ref, wrapped.blob, CONTEXT) == TENANT_KEY
    with pytest.raises(KeysUnavailable):
        await other.unwrap(wrapped.ref, wrapped.blob, CONTEXT)
    with pytest.raises(StoreCorrupt):
        await one.unwrap(wrapped.ref, wrapped.blob[:-1], CONTEXT)
    await one.health()


# Names.


@pytest.mark.parametrize(
    ("url", "store_path", "kind"),
    [
        (None, None, EphemeralKeys),
        (None, "x.db", KeyFile),
        ("file:x.key", None, KeyFile),
        ("file:///etc/x.key", "x.db", KeyFile),
        ("env:X", None, EnvironmentKeys),
        ("command:x y", None, CommandKeys),
        ("aws-kms:arn:aws:kms:eu-central-1:111122223333:key/1234", None, AwsKms),
        ("vault:https://vault.example:8200#transit/antiphon", None, VaultTransit),
        ("vault:http://127.0.0.1:8200#a/b/c", None, VaultTransit),
    ],
)
def test_a_key_service_is_named_by_a_url(url: str | None, store_path: str | None, kind: type) -> None:
    """Without one, the key is beside the store's file, or dies with the process."""
    assert type(open_service(url, store_path, environ={})) is kind


def test_the_key_file_of_a_store_is_beside_it(tmp_path: Path) -> None:
    """``x.db`` has ``x.db.key``."""
    assert str(tmp_path / "x.db.key") in open_service(None, tmp_path / "x.db").place


@pytest.mark.parametrize(
    "url",
    [
        "",
        "file:",
        "env:",
        "command:",
        "command:'",
        "aws-kms:alias/x",
        "vault:https://vault.example",
        "vault:https://vault.example#key",
        "vault:http://vault.example#transit/key",
        "vault:https://user:pass@vault.example#transit/key",
        "bm90IGEgdXJs",
        "gcp:x",
        "none",
    ],
)
def test_a_url_that_names_no_key_service_is_refused(url: str) -> None:
    """A key that was written there by mistake is not repeated."""
    with pytest.raises(ValueError) as raised:
        open_service(url, None, environ={})
    assert "bm90" not in str(raised.value)
