"""Rules that hold between keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from antiphon.settings import Settings, SettingsError, is_loopback

A = {"name": "a", "base_url": "http://a/v1"}


def said_of(**overrides: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        Settings.load(
            overrides={key.replace("__", "."): value for key, value in overrides.items()}, dialects=["openai_chat"]
        )
    return str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "::1"])
def test_loopback(host: str) -> None:
    """Every name of this machine that no other machine can use is served."""
    assert is_loopback(host)
    assert Settings.load(overrides={"server.host": host}).server.host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com", "127.0.0.1.example.com"])  # noqa: S104 - refused
def test_other_addresses_are_not_loopback(host: str) -> None:
    """An address that other machines reach is no loopback address; whether it is served is decided at the start."""
    assert not is_loopback(host)
    assert Settings.load(overrides={"server.host": host}).server.host == host


@pytest.mark.parametrize("store", ["postgresql://u:pw@h/db", "sqlite://", "sqlite:///", "x", "", "SQLITE:///a"])
def test_a_store_that_there_is_not(store: str) -> None:
    """An unknown kind of store is refused with the known ones, and without the password that may be in it."""
    said = said_of(store=store)

    assert "or sqlite:///path" in said
    assert "pw" not in said


@pytest.mark.parametrize(
    ("upstreams", "expected"),
    [
        ([A, A], "upstreams[1].name: 'a' is the name of upstreams[0] already"),
        ([{**A, "provider": "antrophic"}], "there is no provider 'antrophic'; this version has: openai_chat"),
        ([{**A, "base_url": ""}], "upstreams[0].base_url: is missing"),
        ([{**A, "base_url": "127.0.0.1:9000"}], "is not a URL such as"),
        ([{**A, "base_url": "ftp://a/v1"}], "is not a URL such as"),
        ([{**A, "base_url": "http://a:99999/v1"}], "is not a URL such as"),
        ([{**A, "base_url": "http:///v1"}], "is not a URL such as"),
        ([{**A, "base_url": "http://a/v1 x"}], "is not a URL such as"),
        ([{**A, "base_url": "http://[::1/v1"}], "is not a URL such as"),
        ([{**A, "base_url": "http://user:pw@a/v1"}], "holds a credential; write it as api_key"),
        ([{**A, "base_url": "http://a/v1?key=pw"}], "must end with its path"),
        ([{**A, "name": "a\nb"}], "must be printable ASCII"),
        ([{**A, "name": "ä"}], "must be printable ASCII"),
        (["http://a/v1#antrophic"], "there is no provider 'antrophic'"),
        (["#openai_chat"], "upstreams[0].base_url: is missing"),
        (["Nonsense"], "is not a URL such as"),
        (["nonsense"], "there is no provider 'nonsense'"),
        ([{**A, "api_key": "sk-pw\x00"}], "upstreams[0].api_key: holds a character that no header can"),
        ([{**A, "api_key": "sk-pw\u00e4"}], "upstreams[0].api_key: holds a character that no header can"),
        ([{**A, "headers": {"x a": "pw"}}], "upstreams[0].headers: 'x a' cannot be the name of a header"),
        ([{**A, "headers": {"x-a": "pw\r\nx-b: c"}}], "upstreams[0].headers: 'x-a' holds a character that no header"),
    ],
)
def test_upstreams_that_cannot_be(upstreams: list[object], expected: str) -> None:
    """Names are unique and fit a header, providers exist, and a base URL is one and holds no secret."""
    said = said_of(upstreams=upstreams)

    assert expected in said
    assert "pw" not in said


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        ([{"name": "x", "targets": [{"upstream": "b", "model": "m"}]}], "there is no upstream 'b'"),
        ([{"name": "x", "targets": [{"upstream": "a", "model": "m"}]}] * 2, "'x' stands in the list twice"),
    ],
)
def test_models_that_cannot_be(models: list[Mapping[str, object]], expected: str) -> None:
    """Aliases are unique and point at upstreams that exist."""
    assert expected in said_of(upstreams=[A], models=models)


@pytest.mark.parametrize("origin", ["*", "app.example", "https://app.example/path", "null"])
def test_origins_that_are_none(origin: str) -> None:
    """A page is allowed by its exact origin; there is no wildcard."""
    assert "is not an origin" in said_of(server__cors_origins=[origin])


def test_an_upstream_as_a_url() -> None:
    """An upstream may be written as its URL; it is named after its host, and a fragment names its dialect."""
    upstreams = ["http://127.0.0.1:9000/v1", "https://host.example/v1#openai_chat"]

    first, second = Settings.load(overrides={"upstreams": upstreams}).upstreams

    assert (first.name, first.base_url) == ("127.0.0.1:9000", "http://127.0.0.1:9000/v1")
    assert (second.name, second.base_url, second.provider) == (
        "host.example", "https://host.example/v1", "openai_chat",
    )  # fmt: skip
