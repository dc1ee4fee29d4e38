"""Flags over environment over file, and the names by which a key is known in each."""

from __future__ import annotations

import base64
import copy
import json
import pickle
import traceback
from pathlib import Path

import pytest

from antiphon.settings import (
    FLAGS,
    JwtSettings,
    Secret,
    Settings,
    SettingsError,
    UpstreamSettings,
    WebhookSettings,
    flag_variable,
    unknown_variables,
)
from antiphon.settings.variables import keys_of, variables_of

SIGNING = "whsec_" + base64.b64encode(b"sixteen bytes ok").decode()

VALUES: dict[tuple[str, ...], tuple[str, object]] = {
    ("server", "host"): ("127.0.0.2", "127.0.0.2"),
    ("server", "port"): ("81", 81),
    ("server", "allowed_hosts"): ("a.example, b.example", ("a.example", "b.example")),
    ("server", "cors_origins"): ('["https://a.example"]', ("https://a.example",)),
    ("server", "max_body_bytes"): ("1000", 1000),
    ("server", "max_json_depth"): ("10", 10),
    ("server", "drain_timeout_s"): ("1.5", 1.5),
    ("server", "no_auth"): ("true", True),
    ("server", "limits", "max_header_bytes"): ("131072", 131072),
    ("server", "limits", "max_headers"): ("200", 200),
    ("server", "limits", "max_url_bytes"): ("16384", 16384),
    ("server", "limits", "max_json_members"): ("200000", 200000),
    ("server", "limits", "header_timeout_s"): ("20.0", 20.0),
    ("server", "limits", "body_timeout_s"): ("120.0", 120.0),
    ("server", "limits", "send_timeout_s"): ("240.0", 240.0),
    ("server", "limits", "min_rate"): ("8192", 8192),
    ("server", "limits", "keep_alive_s"): ("150", 150),
    ("server", "limits", "max_connections"): ("16384", 16384),
    ("server", "limits", "max_connections_per_address"): ("4096", 4096),
    ("store",): ("memory:", "memory:"),
    ("upstreams",): ("http://a/v1", (UpstreamSettings(name="a", base_url="http://a/v1"),)),
    ("sealing", "key"): ("file:/keys/a", "file:/keys/a"),
    ("auth", "mode"): ("keys", "keys"),
    ("auth", "jwt", "issuer"): ("https://id.example", "https://id.example"),
    ("auth", "jwt", "audience"): ("antiphon", "antiphon"),
    ("auth", "jwt", "jwks_url"): ("https://id.example/keys", "https://id.example/keys"),
    ("auth", "jwt", "jwks_file"): ("keys.json", "keys.json"),
    ("auth", "jwt", "algorithms"): ("PS256,EdDSA", ("PS256", "EdDSA")),
    ("auth", "jwt", "tenant_claim"): ("org", "org"),
    ("auth", "jwt", "tenants"): ('{"Acme Inc.": "acme"}', {"Acme Inc.": "acme"}),
    ("auth", "jwt", "tenant_from_claim"): ("true", True),
    ("auth", "jwt", "scope_claim"): ("roles", "roles"),
    ("auth", "jwt", "scopes"): ("responses:read", ("responses:read",)),
    ("admin", "host"): ("127.0.0.3", "127.0.0.3"),
    ("admin", "port"): ("82", 82),
    ("admin", "allowed_hosts"): ("admin.example", ("admin.example",)),
    ("models",): ("[]", ()),
    ("responses", "retention_days"): ("1", 1.0),
    ("responses", "on_disconnect"): ("continue", "continue"),
    ("responses", "done_sentinel"): ("false", False),
    ("responses", "unknown_parameters"): ("ignore", "ignore"),
    ("responses", "max_response_bytes"): ("5", 5),
    ("responses", "max_items"): ("6", 6),
    ("responses", "max_history_items"): ("40000", 40000),
    ("responses", "max_tools"): ("256", 256),
    ("responses", "remote_content"): ("fetch", "fetch"),
    ("responses", "remote_http"): ("true", True),
    ("responses", "max_remote_items"): ("32", 32),
    ("responses", "max_remote_bytes"): ("1000", 1000),
    ("routing", "retries"): ("3", 3),
    ("routing", "retry_share"): ("0.5", 0.5),
    ("routing", "retry_reserve"): ("20", 20),
    ("routing", "failures_to_eject"): ("6", 6),
    ("routing", "ejection_s"): ("5.0", 5.0),
    ("routing", "longest_ejection_s"): ("60.0", 60.0),
    ("background", "max_running"): ("7", 7),
    ("background", "max_queued"): ("8", 8),
    ("background", "max_queued_per_tenant"): ("9", 9),
    ("background", "lease_ttl_s"): ("2.5", 2.5),
    ("webhooks",): (
        json.dumps([{"url": "https://a.example", "secret": SIGNING, "events": ["response.failed"]}]),
        (WebhookSettings(url="https://a.example", secret=Secret(SIGNING), events=("response.failed",)),),
    ),
    ("audit",): ("writes", "writes"),
    ("log_level",): ("error", "error"),
}

# What has to be set beside a key, so that the settings are whole: by the key's section, and by the key.
TOKENS = {"ANTIPHON_AUTH_JWT_ISSUER": "https://id.example", "ANTIPHON_AUTH_JWT_AUDIENCE": "antiphon"}
BESIDE: dict[tuple[str, ...], dict[str, str]] = {
    **{key: {"ANTIPHON_ADMIN_PORT": "0"} for key in (("admin", "host"), ("admin", "allowed_hosts"))},
    **{
        ("auth", "jwt", name): {
            **TOKENS,
            **({} if name.startswith("jwks") else {"ANTIPHON_AUTH_JWT_JWKS_FILE": "keys.json"}),
            **(
                {}
                if name.startswith("tenant") and name != "tenant_claim"
                else {"ANTIPHON_AUTH_JWT_TENANTS": '{"a":"a"}'}
            ),
        }
        for name in JwtSettings.__struct_fields__
    },
}


def value_of(settings: Settings, key: tuple[str, ...]) -> object:
    value: object = settings
    for part in key:
        value = getattr(value, part)
    return value


def test_the_table_above_names_every_key() -> None:
    """A key that is added to the tree is added to this test too."""
    assert set(VALUES) == {key for key, _ in keys_of(Settings)}


@pytest.mark.parametrize("key", VALUES, ids=".".join)
def test_every_key_has_its_variables(key: tuple[str, ...]) -> None:
    """Each key can be set by a variable of its full name, and by its flag's name if it has a flag."""
    text, expected = VALUES[key]

    for name in variables_of(key):
        assert value_of(Settings.load(env={**BESIDE.get(key, {}), name: text}), key) == expected
    assert f"ANTIPHON_{'_'.join(key).upper()}" in variables_of(key)
    assert key not in FLAGS or flag_variable(FLAGS[key]) in variables_of(key)


def test_who_wins(tmp_path: Path) -> None:
    """A flag wins over the environment, which wins over the file; what only one says stands."""
    path = tmp_path / "antiphon.yaml"
    path.write_text("server: {port: 1, max_json_depth: 11, drain_timeout_s: 5}\nstore: sqlite:///file.db\n")
    env = {"ANTIPHON_PORT": "2", "ANTIPHON_SERVER_MAX_JSON_DEPTH": "22"}

    settings = Settings.load(path, env, {"server.port": "3"})

    assert (settings.server.port, settings.server.max_json_depth, settings.server.drain_timeout_s) == (3, 22, 5.0)
    assert settings.store == "sqlite:///file.db"


def test_a_list_replaces_a_list(tmp_path: Path) -> None:
    """Upstreams of a flag stand instead of those of the file, not beside them."""
    path = tmp_path / "antiphon.yaml"
    path.write_text("upstreams: [{name: a, base_url: 'http://a/v1'}]\n")

    settings = Settings.load(path, {}, {"upstreams": ["http://b/v1"]})

    assert [upstream.name for upstream in settings.upstreams] == ["b"]


def test_objects_in_a_variable() -> None:
    """A list of objects is written as JSON."""
    env = {"ANTIPHON_UPSTREAMS": json.dumps([{"name": "x", "base_url": "http://x/v1", "api_key": "k"}])}

    assert Settings.load(env=env).upstreams[0].api_key == Secret("k")


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"ANTIPHON_PORT": "many"}, "ANTIPHON_PORT: server.port: expected `int`, got `str`"),
        ({"ANTIPHON_UPSTREAM": "[{"}, "ANTIPHON_UPSTREAM: begins with '[' and is not valid JSON"),
        ({"ANTIPHON_UPSTREAMS": '[{"name":"a","bsae_url":""}]'}, "ANTIPHON_UPSTREAMS: unknown key 'bsae_url'"),
        ({"ANTIPHON_PORT": "1", "ANTIPHON_SERVER_PORT": "2"}, "both set server.port: unset one"),
        ({"ANTIPHON_HOST": "10.0.0.1", "ANTIPHON_NO_AUTH": "1"}, "ANTIPHON_HOST: server.host:"),
        ({"ANTIPHON_AUTH_JWT_TENANTS": "acme"}, "ANTIPHON_AUTH_JWT_TENANTS: is not valid JSON; write a JSON object"),
        ({"ANTIPHON_AUTH_JWT_ISSUER": "x"}, "ANTIPHON_AUTH_JWT_ISSUER: auth.jwt: has no 'audience', which it needs"),
    ],
)
def test_a_mistake_in_the_environment(env: dict[str, str], expected: str) -> None:
    """A mistake in a variable is told with the variable's name."""
    with pytest.raises(SettingsError) as caught:
        Settings.load(env=env)

    assert expected in str(caught.value)


def test_a_mistake_in_a_flag() -> None:
    """A mistake in a flag is told with the flag."""
    with pytest.raises(SettingsError) as caught:
        Settings.load(overrides={"server.port": "x", "store": "y", "upstreams": ["z"]})

    assert str(caught.value).startswith("--port: server.port: expected `int`")


def test_variables_that_set_nothing() -> None:
    """A variable that looks like ours and is not is reported with the nearest; an orchestrator's are no error."""
    env = {
        "ANTIPHON_PROT": "1",
        "ANTIPHON_STORE": "memory:",
        "ANTIPHON_CONFIG": "x",
        "PATH": "/",
        "ANTIPHON_X_Y_Z": "1",
    }

    assert list(unknown_variables(env, Settings)) == [
        ("ANTIPHON_PROT", "; did you mean ANTIPHON_PORT?"),
        ("ANTIPHON_X_Y_Z", ""),
    ]
    assert Settings.load(env={"ANTIPHON_SERVICE_HOST": "10.0.0.1"}) == Settings()


class TestSecret:
    def test_it_does_not_show(self) -> None:
        """No way of printing settings shows a credential."""
        upstream = {"name": "a", "base_url": "http://a", "api_key": "sk-canary"}
        settings = Settings.load(overrides={"upstreams": [upstream]})
        secret = settings.upstreams[0].api_key
        assert secret is not None

        shown = [repr(settings), str(secret), f"{secret}", f"{secret:>20}", f"{secret!r}", repr([secret])]

        assert not any("canary" in text for text in shown)
        assert secret.reveal() == "sk-canary"

    def test_it_is_not_written_anywhere(self) -> None:
        """A credential can be neither pickled nor deep-copied out of its place."""
        with pytest.raises(TypeError):
            pickle.dumps(Secret("x"))
        with pytest.raises(TypeError):
            copy.deepcopy(Secret("x"))

    def test_it_does_not_show_in_an_error(self) -> None:
        """A credential of the wrong type, or beside a mistake, is not quoted."""
        upstream = {"name": "a", "base_url": "http://a/v1", "api_key": ["sk-canary"], "modles": []}

        with pytest.raises(SettingsError) as caught:
            Settings.load(overrides={"upstreams": [upstream]})

        assert "canary" not in "".join(traceback.format_exception(caught.value))

    def test_equality(self) -> None:
        """Two secrets are equal if their text is, and nothing else equals a secret."""
        assert Secret("a") == Secret("a")
        assert Secret("a") != Secret("b")
        assert Secret("a") != "a"
        assert len({Secret("a"), Secret("a")}) == 1
