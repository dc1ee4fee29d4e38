"""Advisories about keys that showed, and about keys that could not be changed."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import apsw
import pytest

from antiphon.engine.administration import COMMAND_LINE
from antiphon.settings import Settings, SettingsError
from tests.advisories.stage import UPSTREAM_KEY, Stage, application
from tests.support.scripted_upstream import Drop, ScriptedUpstream, http_json

CANARY = "the-canary-said-in-confidence"


async def test_litellm_24902_the_upstreams_key_is_in_the_error(
    tmp_path: Path, scripted: ScriptedUpstream, capfd: pytest.CaptureFixture[str]
) -> None:
    """
    BerriAI/litellm#24902, #15799, #8075, #6963: a failed call was reported with its URL, and the key was in the URL.

    However an upstream fails, and even if it repeats the key, neither answer nor log nor store has it.
    """
    async with application(tmp_path, scripted, log_level="debug") as stage:
        for status in (400, 401, 403, 404, 429, 500, 503):
            message = f"Incorrect API key provided: {UPSTREAM_KEY}. https://host/v1?key={UPSTREAM_KEY}"
            for _ in range(8):  # some are tried again
                scripted.then(
                    http_json({"error": {"message": message, "type": "x", "code": UPSTREAM_KEY}}, status=status)
                )
            answer = await stage.turn(stage.attacker)
            scripted.scripts.clear()
            assert answer.status >= 400
            assert UPSTREAM_KEY.encode() not in answer.body, (status, answer.body)
        scripted.then(Drop())
        assert UPSTREAM_KEY.encode() not in (await stage.turn(stage.attacker)).body
        for key in (stage.victim, stage.attacker, stage.admin):
            assert (await stage.call("GET", "/v1/models", key=key[:-1] + "0")).status == 401
        shown = capfd.readouterr()
        files = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.suffix != ".key")
        for secret in (UPSTREAM_KEY, stage.victim, stage.attacker, stage.admin):
            assert secret not in shown.out + shown.err
            assert secret.encode() not in files


def test_litellm_24902_a_setting_shows_its_secret(tmp_path: Path) -> None:
    """
    BerriAI/litellm#24902: a credential was text like any other, and went wherever text goes.

    Settings show no credential, and an error about one does not repeat it.
    """
    settings = Settings.load(
        None, {}, {"upstreams": [{"name": "a", "base_url": "http://a/v1", "api_key": UPSTREAM_KEY}]}
    )
    assert UPSTREAM_KEY not in f"{settings} {settings!r} {settings.upstreams[0].api_key}"
    faulty = tmp_path / "antiphon.yaml"
    faulty.write_text(
        f"upstreams:\n  - {{name: a, base_url: nowhere, api_key: {UPSTREAM_KEY}}}\nsealing: {{key: {CANARY}}}\n"
    )
    with pytest.raises(SettingsError) as refused:
        Settings.load(faulty, {}, {})
    assert UPSTREAM_KEY not in str(refused.value)
    assert CANARY not in str(refused.value)


async def test_litellm_12448_the_salt_key_cannot_be_changed(stage: Stage, tmp_path: Path) -> None:
    """
    BerriAI/litellm#12448: the key that credentials were encrypted with could not be changed.

    The root key is changed while turns go on: what was stored before is still read, and the file has a new key.
    """
    made = (await stage.respond(stage.victim, CANARY))["id"]
    key_file = tmp_path / "antiphon.db.key"
    before = key_file.read_text()
    administration = stage.application.gateway.administration
    assert administration is not None
    rotated = await administration.rotate_root_key(COMMAND_LINE)
    assert rotated.is_new
    assert rotated.count >= 2
    assert key_file.read_text() != before
    items = await stage.call("GET", f"/v1/responses/{made}/input_items", key=stage.victim)
    assert CANARY.encode() in items.body
    assert (await stage.turn(stage.victim, previous_response_id=made)).status == 200


async def test_no_advisory_a_stolen_file_is_read(stage: Stage, tmp_path: Path) -> None:
    """
    No advisory, but what each of those above would have led to: whoever had the database had everything.

    What people and models wrote stands nowhere in the database's files, and a payload that was moved opens nowhere.
    """
    stage.upstream.text = CANARY
    one = (await stage.respond(stage.victim, CANARY, instructions=CANARY, metadata={"a": CANARY}))["id"]
    two = (await stage.respond(stage.victim, "other"))["id"]
    for path in tmp_path.glob("antiphon.db*"):
        raw = path.read_bytes()
        assert CANARY.encode() not in raw, path
        assert CANARY.encode("utf-16-le") not in raw, path
    with closing(apsw.Connection(str(tmp_path / "antiphon.db"))) as file:
        file.execute(
            "UPDATE responses SET payload = (SELECT payload FROM responses WHERE id = ?) WHERE id = ?", (one, two)
        )
    moved = await stage.call("GET", f"/v1/responses/{two}", key=stage.victim)
    assert moved.status >= 500
    assert CANARY.encode() not in moved.body
