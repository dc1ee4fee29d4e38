"""How an address and a key are found where a configuration leaves them out, and where a key is never sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from antiphon.app import check_quirks, complete, provider_names
from antiphon.app.presets import PRESETS
from antiphon.app.reach import find_reach
from antiphon.hub.upstream import UpstreamDefaults
from antiphon.settings import Secret, SettingAtFault, Settings, SettingsError, UpstreamSettings

VENDOR = UpstreamDefaults(base_url="https://api.vendor.example/v1", key_variable="VENDOR_API_KEY")
CUSTOMER = UpstreamDefaults(base_url="{VENDOR_ENDPOINT}/v1", key_variable="VENDOR_API_KEY")
ANYWHERE = UpstreamDefaults(key_variable="VENDOR_API_KEY")
SIGNED = UpstreamDefaults(base_url="https://a.{REGION}.example", key_variable="VENDOR_TOKEN", signing="sigv4")
KEYLESS = UpstreamDefaults(base_url="http://127.0.0.1:9000/v1")
ENV = {
    "VENDOR_API_KEY": " usual-key ",
    "OTHER_KEY": "other-key",
    "VENDOR_ENDPOINT": "https://me.vendor.example/",
    "REGION": "eu-1",
    "EMPTY": " ",
}
HOME = "https://api.vendor.example/v1"


@pytest.mark.parametrize(
    ("defaults", "said", "expected"),
    [
        (VENDOR, {}, (HOME, "usual-key")),
        (VENDOR, {"api_key": Secret("own-key")}, (HOME, "own-key")),
        (VENDOR, {"key_variable": "OTHER_KEY"}, (HOME, "other-key")),
        (VENDOR, {"base_url": "https://API.vendor.example/v2"}, ("https://API.vendor.example/v2", "usual-key")),
        (VENDOR, {"base_url": "http://api.vendor.example/v1"}, ("http://api.vendor.example/v1", None)),
        (VENDOR, {"base_url": "https://api.vendor.example:8443/v1"}, ("https://api.vendor.example:8443/v1", None)),
        (VENDOR, {"base_url": "https://api.vendor.example.evil/v1"}, ("https://api.vendor.example.evil/v1", None)),
        (VENDOR, {"base_url": "https://u@api.vendor.example/v1"}, ("https://u@api.vendor.example/v1", None)),
        (VENDOR, {"base_url": "http://[broken/v1"}, ("http://[broken/v1", None)),
        (VENDOR, {"base_url": "http://local/v1", "key_variable": "OTHER_KEY"}, ("http://local/v1", "other-key")),
        (CUSTOMER, {}, ("https://me.vendor.example/v1", "usual-key")),
        (CUSTOMER, {"base_url": "https://you.vendor.example/v1"}, ("https://you.vendor.example/v1", "usual-key")),
        (ANYWHERE, {"base_url": "https://mine.example/v1"}, ("https://mine.example/v1", "usual-key")),
        (SIGNED, {}, ("https://a.eu-1.example", None)),
        (KEYLESS, {}, ("http://127.0.0.1:9000/v1", None)),
    ],
)  # fmt: skip
def test_what_is_filled_in(defaults: UpstreamDefaults, said: dict[str, Any], expected: tuple[str, str | None]) -> None:
    """What is configured wins; the usual key goes to the usual scheme, host and port alone."""
    reach = find_reach(defaults, ENV, **said)

    assert (reach.base_url, reach.credential and reach.credential.reveal()) == expected


@pytest.mark.parametrize(
    ("defaults", "said", "key", "text"),
    [
        (VENDOR, {}, "api_key", "is missing: set the environment variable VENDOR_API_KEY, or write it"),
        (VENDOR, {"key_variable": "NONE"}, "key_variable", "the environment variable NONE is not set"),
        (VENDOR, {"key_variable": "EMPTY"}, "key_variable", "the environment variable EMPTY is empty"),
        (
            VENDOR,
            {"api_key": Secret("a"), "key_variable": "EMPTY"},
            "key_variable",
            "there is an api_key as well; drop one",
        ),
        (CUSTOMER, {}, "base_url", "is missing: set the environment variable VENDOR_ENDPOINT, or write it"),
        (ANYWHERE, {}, "base_url", "is missing"),
        (SIGNED, {}, "base_url", "is missing: set the environment variable REGION, or write it"),
    ],
)
def test_what_is_missing(defaults: UpstreamDefaults, said: dict[str, Any], key: str, text: str) -> None:
    """What has no default is named, with the variable that would do."""
    with pytest.raises(SettingAtFault) as caught:
        find_reach(defaults, {"EMPTY": " "}, **said)

    assert (caught.value.key, caught.value.text) == (key, text)


def load(*upstreams: object, **environment: str) -> tuple[UpstreamSettings, ...]:
    """Upstreams as the command line reads them."""
    return Settings.load(
        env=environment,
        overrides={"upstreams": list(upstreams)},
        dialects=provider_names(),
        check_quirks=check_quirks,
        complete=complete,
    ).upstreams


@pytest.mark.parametrize("name", [name for name, preset in PRESETS.items() if preset.port is None])
def test_a_vendor_by_its_name_alone(name: str) -> None:
    """A preset's name is a whole upstream, if its key is in the environment; without it the variable is named."""
    variable = PRESETS[name].defaults.key_variable
    address = {"AZURE_OPENAI_ENDPOINT": "https://me.openai.azure.com"} if name == "azure_openai" else {}

    (upstream,) = load(name, **{variable: "test-key"}, **address)

    assert (upstream.name, upstream.provider) == (name, name)
    assert upstream.base_url.startswith("https://")
    assert upstream.api_key is not None
    assert upstream.api_key.reveal() == "test-key"
    with pytest.raises(SettingsError, match=rf"upstreams\[0\]\.api_key: is missing: .* {variable}, or write it"):
        load(name, **address)


@pytest.mark.parametrize("name", [name for name, preset in PRESETS.items() if preset.port is not None])
def test_a_local_server_by_its_name_alone(name: str) -> None:
    """A local server's preset has its usual port and wants no key; another address may be written, and a key."""
    preset = PRESETS[name]

    usual, elsewhere = load(
        {"name": "a", "provider": name},
        {"name": "b", "provider": name, "base_url": "http://10.0.0.1:7/v1", "api_key": "test-key"},
    )

    assert (usual.base_url, usual.api_key) == (f"http://127.0.0.1:{preset.port}/v1", None)
    assert (elsewhere.base_url, elsewhere.api_key) == ("http://10.0.0.1:7/v1", Secret("test-key"))


def test_all_that_is_missing_is_told_at_once() -> None:
    """Each upstream's faults are listed with their places, those of rules as well; each of them once."""
    with pytest.raises(SettingsError) as caught:
        load(
            {"name": "a", "provider": "deepseek"},
            {"name": "b", "provider": "openai_chat"},
            {"name": "c", "provider": "mistral", "quirks": {"strem_usage": True}},
            {"name": "d", "provider": "groq", "key_variable": "NOT_SET"},
            {"name": "e", "provider": "deepsek"},
        )

    told = [problem.text for problem in caught.value.problems]
    assert [text.split(":")[0] for text in told] == [
        "upstreams[0].api_key",
        "upstreams[1].base_url",
        "upstreams[3].key_variable",
        "upstreams[2].quirks",
        "upstreams[4].provider",
    ]
    assert told[2].endswith("the environment variable NOT_SET is not set")


def test_the_place_of_what_is_missing(tmp_path: Path) -> None:
    """A file's upstream without its key is told with its line; the variable of a key with its own."""
    (tmp_path / "a.yaml").write_text(
        "upstreams:\n- name: one\n  provider: groq\n- name: two\n  provider: xai\n  key_variable: GONE\n"
    )
    with pytest.raises(SettingsError) as caught:
        Settings.load(tmp_path / "a.yaml", {}, {}, dialects=provider_names(), complete=complete)

    assert [problem.place.line for problem in caught.value.problems] == [2, 6]


def test_a_url_with_a_preset() -> None:
    """An upstream may be written as its URL with a provider's name behind it; no vendor's key goes to another host."""
    first, second = load(
        "https://api.deepseek.com/beta#deepseek", "http://127.0.0.1:9/v1#deepseek", DEEPSEEK_API_KEY="test-key"
    )

    assert first.api_key is not None
    assert (second.base_url, second.api_key) == ("http://127.0.0.1:9/v1", None)
