"""AWS credentials: where they are looked for, how long they are kept, and what is said where there are none."""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from antiphon.hub.errors import UpstreamAuthentication
from antiphon.settings import Secret
from antiphon.transport.aws_credentials import AwsCredentialChain, AwsCredentials

KEY, SECRET, TOKEN = "AKIDEXAMPLE", "test-secret-key", "test-session-token"
OWN = AwsCredentials(access_key_id=KEY, secret_access_key=Secret(SECRET))


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Role:
    """Credentials of a role that are new each time they are asked for, as botocore would hand them out."""

    def __init__(self) -> None:
        self.asked = 0
        self.may_answer = threading.Event()
        self.may_answer.set()

    def get_frozen_credentials(self) -> Any:
        self.asked += 1
        number = self.asked
        assert self.may_answer.wait(10)
        return SimpleNamespace(access_key=f"ASIA{number}", secret_key=SECRET, token=TOKEN)


def chain(role: Role | None, **options: Any) -> AwsCredentialChain:
    return AwsCredentialChain(environ={}, find=lambda _: role, **options)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, OWN),
        (
            {"AWS_SESSION_TOKEN": TOKEN},
            AwsCredentials(access_key_id=KEY, secret_access_key=Secret(SECRET), session_token=Secret(TOKEN)),
        ),
        ({"AWS_SESSION_TOKEN": ""}, OWN),
    ],
    ids=["a user's own", "of a session", "an empty token"],
)
async def test_environment(environ: dict[str, str], expected: AwsCredentials) -> None:
    """Keys in the environment are enough: botocore is not asked."""
    environ = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, **environ}

    def find(_: str | None) -> Any:
        raise AssertionError

    assert await AwsCredentialChain(environ=environ, find=find).credentials() == expected


@pytest.mark.parametrize("missing", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
async def test_half_of_an_environment(missing: str) -> None:
    """One half of the keys is a mistake that is named, never a reason to look elsewhere."""
    environ = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    del environ[missing]

    with pytest.raises(UpstreamAuthentication, match=missing):
        await AwsCredentialChain(environ=environ, find=lambda _: Role()).credentials()


async def test_a_profile_goes_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile that is configured is read from the shared file, whatever the environment holds."""
    shared = tmp_path / "credentials"
    shared.write_text(f"[work]\naws_access_key_id = AKIDWORK\naws_secret_access_key = {SECRET}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(shared))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    environ = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}

    found = await AwsCredentialChain(profile="work", environ=environ).credentials()

    assert found == AwsCredentials(access_key_id="AKIDWORK", secret_access_key=Secret(SECRET))


async def test_a_profile_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile that nobody wrote down is an error of the operator's."""
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))

    with pytest.raises(UpstreamAuthentication, match="ProfileNotFound"):
        await AwsCredentialChain(profile="gone", environ={}).credentials()


async def test_none_anywhere() -> None:
    """Where there are none, the message says which variables to set."""
    with pytest.raises(UpstreamAuthentication, match="AWS_ACCESS_KEY_ID"):
        await chain(None).credentials()


async def test_without_botocore(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the optional dependency the message says what to install."""
    monkeypatch.setitem(sys.modules, "botocore.session", None)

    with pytest.raises(UpstreamAuthentication, match=r"pip install 'antiphon\[bedrock\]'"):
        await AwsCredentialChain(environ={}).credentials()


async def test_a_fault_says_no_more_than_its_name() -> None:
    """What a service of credentials answered is not shown: it may hold what nobody should read."""

    def find(_: str | None) -> Any:
        raise RuntimeError(SECRET)

    with pytest.raises(UpstreamAuthentication) as raised:
        await AwsCredentialChain(environ={}, find=find).credentials()

    assert raised.value.message == "AWS credentials could not be had: RuntimeError."


async def test_kept_for_a_minute() -> None:
    """Credentials are asked for once a minute; botocore renews them before they expire."""
    role, clock = Role(), Clock()
    source = chain(role, clock=clock)

    first = await source.credentials()
    clock.now += 59
    kept = await source.credentials()
    clock.now += 1
    renewed = await source.credentials()

    assert (first.access_key_id, kept, renewed.access_key_id) == ("ASIA1", first, "ASIA2")
    assert first.session_token == Secret(TOKEN)


async def test_who_asks_first_asks_for_all() -> None:
    """Many that ask at once cause one question."""
    role = Role()
    source = chain(role)

    found = await asyncio.gather(*(source.credentials() for _ in range(20)))

    assert {credentials.access_key_id for credentials in found} == {"ASIA1"}
    assert role.asked == 1


async def test_nobody_waits_for_a_renewal_but_who_asked_for_it() -> None:
    """While credentials are renewed in a thread, others go on with those of before, for as long as these are good."""
    role, clock = Role(), Clock()
    source = chain(role, clock=clock)
    await source.credentials()
    clock.now += 60
    role.may_answer.clear()

    renewing = asyncio.create_task(source.credentials())
    while role.asked < 2:
        await asyncio.sleep(0)
    meanwhile = await source.credentials()
    role.may_answer.set()

    assert meanwhile.access_key_id == "ASIA1"
    assert (await renewing).access_key_id == "ASIA2"


async def test_a_fault_is_not_kept() -> None:
    """After a fault the next call looks again."""
    role = Role()
    answers: list[Any] = [RuntimeError(), role]

    def find(_: str | None) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    source = AwsCredentialChain(environ={}, find=find)
    with pytest.raises(UpstreamAuthentication):
        await source.credentials()

    assert (await source.credentials()).access_key_id == "ASIA1"
