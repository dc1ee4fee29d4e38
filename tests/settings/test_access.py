"""Who is let in under which settings: every start-up configuration that could be open by mistake."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from antiphon.settings import AccessRefused, Settings, SettingsError, access_of, check_administration

JWT = {"issuer": "https://id.example", "audience": "antiphon", "jwks_file": "keys.json", "tenants": {"a": "acme"}}
EVERYWHERE = "0.0.0.0"  # noqa: S104 - what is tested is that it is refused
MAKE_KEYS = "antiphon keys create"


class Start(NamedTuple):
    """
    A start-up configuration.

    Attributes:
        has_keys: Whether the store has an API key.
        expected: How callers are let in, or after an exclamation mark a part of the refusal.
    """

    settings: dict[str, Any]
    has_keys: bool
    expected: str


def starts(expected: str, *, keys: bool | None = None, **settings: Any) -> list[Start]:
    """A configuration with and without keys in the store, or with what *keys* says."""
    named = {name.replace("__", "."): value for name, value in settings.items()}
    return [Start(named, has_keys, expected) for has_keys in ((False, True) if keys is None else (keys,))]


CONFIGURATIONS: list[Start] = [
    # On this machine.
    *starts("until_first_key", keys=False),
    *starts("credentials", keys=True),
    *starts("until_first_key", keys=False, server__host="localhost"),
    *starts("credentials", keys=True, server__host="localhost"),
    *starts("until_first_key", keys=False, server__host="::1"),
    *starts("credentials", keys=True, server__host="::1"),
    *starts("until_first_key", keys=False, server__host="127.8.8.8"),
    *starts("until_first_key", keys=False, auth__mode="auto"),
    *starts("credentials", keys=True, auth__mode="auto"),
    *starts("credentials", auth__mode="keys"),
    *starts("open", auth__mode="none"),
    *starts("open", server__no_auth=True),
    *starts("open", server__no_auth=True, auth__mode="none"),
    *starts("open", server__no_auth=True, auth__mode="auto"),
    *starts("credentials", auth__jwt=JWT),
    *starts("credentials", auth__jwt=JWT, auth__mode="keys"),
    *starts("until_first_key", keys=False, store="memory:"),
    *starts("credentials", auth__mode="keys", store="memory:"),
    # Where other machines come.
    *starts(f"!{MAKE_KEYS}", keys=False, server__host=EVERYWHERE),
    *starts("credentials", keys=True, server__host=EVERYWHERE),
    *starts(f"!{MAKE_KEYS}", keys=False, server__host="::"),
    *starts("credentials", keys=True, server__host="::"),
    *starts(f"!{MAKE_KEYS}", keys=False, server__host="192.168.1.5", auth__mode="keys"),
    *starts("credentials", keys=True, server__host="192.168.1.5", auth__mode="keys"),
    *starts(f"!{MAKE_KEYS}", keys=False, server__host="gateway.example"),
    *starts("credentials", keys=True, server__host="gateway.example"),
    *starts(f"!{MAKE_KEYS}", keys=False, server__host="127.0.0.1.example.com"),
    *starts("!cannot have any", keys=False, server__host=EVERYWHERE, store="memory:"),
    *starts("credentials", server__host=EVERYWHERE, auth__jwt=JWT),
    *starts("credentials", keys=False, server__host=EVERYWHERE, auth__jwt=JWT, store="memory:"),
    *starts("!--no-auth is for this machine alone", server__host=EVERYWHERE, server__no_auth=True),
    *starts("!auth.mode 'none' is for this machine alone", server__host=EVERYWHERE, auth__mode="none"),
    *starts("!--no-auth is for this machine alone", server__host="::", server__no_auth=True, auth__mode="none"),
    *starts("!--no-auth is for this machine alone", server__host="10.0.0.1", server__no_auth=True, store="memory:"),
    # Settings that contradict each other.
    *starts("!contradicts auth.mode", server__no_auth=True, auth__mode="keys"),
    *starts("!everybody is let in", auth__mode="none", auth__jwt=JWT),
    *starts("!everybody is let in", server__no_auth=True, auth__jwt=JWT),
    *starts("!invalid enum value 'key'", keys=False, auth__mode="key"),
    # Tokens.
    *starts("!has no 'audience'", keys=False, auth__jwt={"issuer": "x"}),
    *starts("!write either this or auth.jwt.jwks_file", keys=False, auth__jwt={**JWT, "jwks_url": "https://x/keys"}),
    *starts("!write either this or auth.jwt.jwks_file", keys=False, auth__jwt={**JWT, "jwks_file": None}),
    *starts(
        "!must be an https:// URL", keys=False, auth__jwt={**JWT, "jwks_file": None, "jwks_url": "http://id.example/k"}
    ),
    *starts("!must be an https:// URL", keys=False, auth__jwt={**JWT, "jwks_file": None, "jwks_url": "keys"}),
    *starts("credentials", keys=False, auth__jwt={**JWT, "jwks_file": None, "jwks_url": "http://127.0.0.1:9/keys"}),
    *starts("!auth.jwt.tenant_from_claim", keys=False, auth__jwt={**JWT, "tenants": {}}),
    *starts("!auth.jwt.tenant_from_claim", keys=False, auth__jwt={**JWT, "tenant_from_claim": True}),
    *starts("!cannot be a tenant's name", keys=False, auth__jwt={**JWT, "tenants": {"a": "_system"}}),
    *starts("!cannot be a tenant's name", keys=False, auth__jwt={**JWT, "tenants": {"a": "Acme"}}),
    *starts("!invalid enum value 'HS256'", keys=False, auth__jwt={**JWT, "algorithms": ["HS256"]}),
    *starts("!invalid enum value 'none'", keys=False, auth__jwt={**JWT, "algorithms": ["none"]}),
    *starts("!length >= 1", keys=False, auth__jwt={**JWT, "algorithms": []}),
    *starts("!unknown key 'secret'", keys=False, auth__jwt={**JWT, "secret": "hunter2"}),
    # Administrators.
    *starts("until_first_key", keys=False, admin__port=9000),
    *starts("credentials", keys=True, admin__port=0),
    *starts("!no administrator's key", keys=False, admin__port=9000, admin__host=EVERYWHERE),
    *starts("credentials", keys=True, admin__port=9000, admin__host=EVERYWHERE),
    *starts("!has no effect without admin.port", admin__host=EVERYWHERE),
    *starts("!has no effect without admin.port", admin__allowed_hosts=["a.example"]),
    *starts("!need a port of their own", admin__port=8080),
    *starts("until_first_key", keys=False, admin__port=8080, server__port=8081),
    *starts("!begins without an administrator's key", keys=False, admin__port=9000, store="memory:"),
    # What is sealed with what.
    *starts("until_first_key", keys=False, sealing__key="none"),
    *starts("until_first_key", keys=False, sealing__key="file:/keys/a"),
    *starts("until_first_key", keys=False, sealing__key="env:ROOT_KEY"),
    *starts("until_first_key", keys=False, sealing__key="command:/usr/bin/keys --fast"),
    *starts("until_first_key", keys=False, sealing__key="aws-kms:arn:aws:kms:eu-1:1:key/2"),
    *starts("until_first_key", keys=False, sealing__key="vault:https://vault.example#transit/antiphon"),
    *starts("!says where the key is, and is not the key", keys=False, sealing__key="aHVudGVyMmh1bnRlcjI="),
    *starts("!did you mean 'file'?", keys=False, sealing__key="fil:/keys/hunter2"),
    *starts("!names nothing behind 'env:'", keys=False, sealing__key="env:"),
    *starts("!names nothing behind 'file:'", keys=False, sealing__key="file: "),
    *starts("!says where the key is", keys=False, sealing__key=""),
    *starts("!says where the key is", keys=False, sealing__key="None"),
]


def name_of(start: Start) -> str:
    said = ",".join(f"{name}={value}" for name, value in start.settings.items() if not isinstance(value, dict))
    return f"{said or 'defaults'}{'+jwt' if 'auth.jwt' in start.settings else ''}{'+keys' if start.has_keys else ''}"


def outcome(start: Start) -> str:
    """How callers are let in, or after an exclamation mark why nobody is."""
    try:
        settings = Settings.load(overrides=start.settings)
        check_administration(settings, store_has_admin_keys=start.has_keys)
        return access_of(settings, store_has_keys=start.has_keys)
    except (SettingsError, AccessRefused) as refusal:
        return f"!{refusal}"


def test_the_table_is_long_enough() -> None:
    """At least sixty configurations are looked at."""
    assert len(CONFIGURATIONS) >= 60


@pytest.mark.parametrize("start", CONFIGURATIONS, ids=name_of)
def test_a_start(start: Start) -> None:
    """Each configuration lets callers in as the table says, or is refused with words that help."""
    found = outcome(start)

    if start.expected.startswith("!"):
        assert found.startswith("!")
        assert start.expected[1:] in found
    else:
        assert found == start.expected


@pytest.mark.parametrize("start", CONFIGURATIONS, ids=name_of)
def test_nobody_from_elsewhere_comes_without_a_credential(start: Start) -> None:
    """Whatever else is set: where other machines reach the gateway, it never lets everybody in."""
    everywhere = Start({**start.settings, "server.host": EVERYWHERE}, start.has_keys, "")

    assert outcome(everywhere) == "credentials" or outcome(everywhere).startswith("!")


@pytest.mark.parametrize(
    "start",
    [start for start in CONFIGURATIONS if any(secret in str(start.settings) for secret in ("hunter2", "aHVudGVy"))],
    ids=name_of,
)
def test_a_secret_in_the_wrong_place_is_not_repeated(start: Start) -> None:
    """A key that was written where its place belongs, or beside a token's settings, is in no message."""
    assert "hunter2" not in outcome(start)
    assert "aHVudGVy" not in outcome(start)
