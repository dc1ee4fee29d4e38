"""``antiphon check`` and ``antiphon store check``."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import apsw
import pytest

from antiphon.cli.check import warnings_of
from antiphon.hub.errors import UpstreamUnreachable
from antiphon.hub.ids import IdFactory, TenantId
from antiphon.sessions.records import NewItem, StoredSession
from antiphon.settings import Settings
from antiphon.stores.sqlite import SQLiteSessionStore
from tests.transport.servers import reply, saying, serving

from .running import finished

MODELS = json.dumps({"object": "list", "data": [{"id": "m", "object": "model"}, {"id": "n", "object": "model"}]})


def settings(*models: dict[str, object]) -> Settings:
    upstreams = [{"name": name, "base_url": f"http://{name}/v1"} for name in ("a", "b")]
    return Settings.load(overrides={"upstreams": upstreams, "models": models})


def alias(name: str, upstream: str, model: str) -> dict[str, object]:
    return {"name": name, "targets": [{"upstream": upstream, "model": model}]}


class TestWarnings:
    def test_two_upstreams_with_one_model(self) -> None:
        """Of two upstreams with the same model, the first serves it, and that is said."""
        [warning] = warnings_of(settings(), [["m", "x"], ["m", "y"]])

        assert warning.startswith("the model 'm' is served by 'a', which is listed first, and not by 'b'")

    def test_an_alias_that_hides_a_model(self) -> None:
        """An alias with the name of a model of another target hides it."""
        [warning] = warnings_of(settings(alias("m", "b", "y")), [["m"], ["y"]])

        assert warning == "models[0]: the alias 'm' hides the model of that name of 'a'"

    def test_an_alias_for_the_model_itself(self) -> None:
        """An alias that leads to the model of its own name hides nothing."""
        assert list(warnings_of(settings(alias("m", "a", "m")), [["m"], ["y"]])) == []

    def test_a_target_that_is_not_listed(self) -> None:
        """A target whose upstream does not list the model is likely a typing error; one that cannot be asked is not."""
        aliases = settings(alias("fast", "a", "mm"), alias("slow", "b", "z"))

        [warning] = warnings_of(aliases, [["m"], UpstreamUnreachable("down")])

        assert warning == "models[0]: 'a' does not list the model 'mm'"


async def test_a_configuration_that_works(tmp_path: Path) -> None:
    """Every upstream is shown with its models, and the exit code is 0."""
    async with serving(saying(reply(MODELS.encode(), "content-type: application/json"))) as server:
        done = await finished("check", "--upstream", server.base_url, cwd=tmp_path, env={"ANTIPHON_PROT": "1"})

    assert (done.code, done.err) == (0, "")
    assert f"upstream       ok  127.0.0.1:{server.port} ({server.base_url})" in done.out
    assert [line.strip() for line in done.out.splitlines()[2:4]] == ["m", "n"]
    assert "warning: the environment variable ANTIPHON_PROT is not a setting; did you mean ANTIPHON_PORT?" in done.out
    assert list(tmp_path.iterdir()) == []


async def test_an_upstream_that_is_down(tmp_path: Path) -> None:
    """An upstream that does not answer is told with its reason, the others all the same; the exit code is 1."""
    async with serving(saying(reply(MODELS.encode()))) as server:
        arguments = ["--upstream", "http://127.0.0.1:9/v1", "--upstream", server.base_url]
        done = await finished("check", *arguments, cwd=tmp_path)

    assert done.code == 1
    assert "upstream       failed  127.0.0.1:9" in done.out
    assert "connection refused" in done.out
    assert f"upstream       ok  127.0.0.1:{server.port}" in done.out


@pytest.mark.parametrize("upstream", ["base_url: 'http://127.0.0.1:9/v1', models: [m]", "provider: bedrock"])
async def test_an_upstream_that_is_not_asked(upstream: str, tmp_path: Path) -> None:
    """Where models are configured, or cannot be listed, nobody was asked, and it is not said to be well."""
    aliases = "models: [{name: b, targets: [{upstream: a, model: m}]}]"
    (tmp_path / "a.yaml").write_text(f"upstreams: [{{name: a, {upstream}}}]\n{aliases}\n")
    env = {"AWS_BEARER_TOKEN_BEDROCK": "test-key", "AWS_REGION": "eu-central-1"}
    done = await finished("check", "--config", "a.yaml", cwd=tmp_path, env=env)

    assert (done.code, done.err) == (0, "")
    assert "upstream       not tried  a (" in done.out
    assert "ok  a (" not in done.out


async def test_a_key_that_is_refused(tmp_path: Path) -> None:
    """A credential that the upstream refuses is told, and not shown."""
    refusal = reply(b'{"error":{"message":"Incorrect API key"}}', status="401 Unauthorized")
    (tmp_path / "a.yaml").write_text("upstreams: [{name: a, base_url: '${URL}', api_key: '${KEY}'}]\n")
    async with serving(saying(refusal)) as server:
        env = {"URL": server.base_url, "KEY": "sk-canary"}
        done = await finished("check", "--config", "a.yaml", cwd=tmp_path, env=env)

    assert done.code == 1
    assert "Bearer sk-canary" in server.requests[0]
    assert "failed" in done.out
    assert "canary" not in done.out + done.err


class TestStoreCheck:
    async def test_a_sound_store(self, tmp_path: Path) -> None:
        """A new store is sound."""
        store = SQLiteSessionStore(tmp_path / "a.db")
        await store.open()
        await store.close()

        done = await finished("store", "check", "--store", "sqlite:///a.db", cwd=tmp_path)

        assert done == (0, "sqlite:///a.db is sound\n", "")

    async def test_a_store_that_is_not_there(self, tmp_path: Path) -> None:
        """A file that does not exist is a mistake, and is not made."""
        done = await finished("store", "check", "--store", "sqlite:///a.db", cwd=tmp_path)

        assert (done.code, done.out) == (2, "")
        assert "there is no store at a.db" in done.err
        assert not (tmp_path / "a.db").exists()

    async def test_a_file_that_is_no_store(self, tmp_path: Path) -> None:
        """A file of something else is refused with 1."""
        (tmp_path / "a.db").write_bytes(b"this is not a database, and never was one" * 100)

        done = await finished("store", "check", "--store", "sqlite:///a.db", cwd=tmp_path)

        assert (done.code, done.out) == (1, "")
        assert done.err.startswith("error: ")
        assert "Traceback" not in done.err

    async def test_problems(self, tmp_path: Path) -> None:
        """Each problem of a damaged store is one line, and the exit code is 1."""
        ids = IdFactory(lambda: 0.0)
        family = ids.family()
        item = NewItem(id=ids.item("message", family), type="message", payload=b"\x00{}")
        turn = StoredSession(response_id=ids.response(family), family=family, messages=(item,), payload=b"\x00{}")
        store = SQLiteSessionStore(tmp_path / "a.db")
        await store.open()
        await store.for_tenant(TenantId("t")).put_session(turn)
        await store.close()
        with contextlib.closing(apsw.Connection(str(tmp_path / "a.db"))) as connection:
            connection.execute("DELETE FROM items")

        done = await finished("store", "check", "--store", "sqlite:///a.db", cwd=tmp_path)

        assert (done.code, done.err) == (1, "")
        assert done.out.splitlines()
        assert "sound" not in done.out
