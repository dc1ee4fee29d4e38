"""Prices in a configuration, and upstreams that cannot list their models."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from antiphon import Gateway, Target, upstream
from antiphon.app import build_application, usual_providers
from antiphon.cli.welcome import unlisted
from antiphon.hub.price import Price, Rates
from antiphon.providers.anthropic import Anthropic
from antiphon.providers.anthropic import Quirks as AnthropicQuirks
from antiphon.providers.gemini import Gemini
from antiphon.providers.gemini import Quirks as GeminiQuirks
from antiphon.settings import Settings, SettingsError

FILE = """
store: "memory:"
upstreams:
  - name: local
    base_url: "http://127.0.0.1:9000/v1"
    prices: {input: 0.1, cached_input: 0.01, cache_write: 0.2, output: 0.4}
models:
  - name: dear
    targets:
      - {upstream: local, model: m, prices: {input: 3}}
      - {upstream: local, model: n}
"""


def settings(tmp_path: Path, text: str = FILE) -> Settings:
    path = tmp_path / "antiphon.yaml"
    path.write_text(text, encoding="utf-8")
    return Settings.load(path)


async def test_prices_of_a_file_are_exact(tmp_path: Path) -> None:
    """An upstream's for all of its models, a target's instead; digits are taken as they are written."""
    application = build_application(settings(tmp_path))
    first, second = await application.gateway.router.targets("dear")
    await application.gateway.router.close()

    assert first.price == Price(rates=Rates(input=Decimal(3)))
    assert second.price is None
    assert second.upstream.price == Price(
        rates=Rates(
            input=Decimal("0.1"), cached_input=Decimal("0.01"), cache_write=Decimal("0.2"), output=Decimal("0.4")
        )
    )


@pytest.mark.parametrize(
    ("prices", "problem"),
    [("{output: 1}", "input"), ("{input: -1}", "input"), ("{input: 1, out: 2}", "out"), ("{input: x}", "input")],
)
def test_prices_that_are_none_are_told_with_their_place(tmp_path: Path, prices: str, problem: str) -> None:
    """A price below nothing, one without input, a word that means nothing."""
    text = FILE.replace("{input: 0.1, cached_input: 0.01, cache_write: 0.2, output: 0.4}", prices)

    with pytest.raises(SettingsError, match=problem) as refused:
        settings(tmp_path, text)

    assert "prices" in str(refused.value)


LISTLESS = {
    "bedrock": {"base_url": "https://bedrock-runtime.eu-west-1.amazonaws.com", "provider": "bedrock"},
    "claude at google": {
        "base_url": "https://example.com/models",
        "provider": Anthropic(AnthropicQuirks(host="vertex")),
    },
    "claude at amazon": {"base_url": "https://example.com", "provider": Anthropic(AnthropicQuirks(host="bedrock"))},
    "gemini at google": {"base_url": "https://example.com/google", "provider": Gemini(GeminiQuirks(host="vertex"))},
}


@pytest.mark.parametrize("about", LISTLESS.values(), ids=LISTLESS.keys())
async def test_an_upstream_without_a_list_needs_models_in_the_configuration(about: dict[str, object]) -> None:
    """Without any it is an error at the start that names it; its own list, or an alias, is enough. Nobody is asked."""
    given: dict[str, object] = {"api_key": "test-key", "environment": {}, **about}
    bare, named = (upstream(name="cloud", **more) for more in (given, {**given, "models": ["m"]}))  # type: ignore[arg-type]

    with pytest.raises(ValueError, match="'cloud' cannot list its models"):
        Gateway([bare])
    async with Gateway([named]) as gateway:
        assert [model["id"] for model in await gateway.models()] == ["m"]
    async with Gateway([bare], aliases={"name": [Target(bare, "theirs")]}) as gateway:
        assert [model["id"] for model in await gateway.models()] == ["name"]
        assert await bare.probe() == []
    assert unlisted(bare) == "cannot list its models; its aliases are served"


def test_what_cannot_list_its_models_is_not_served_without_a_configuration() -> None:
    """There would be nothing to ask it for."""
    environment = {"AWS_BEARER_TOKEN_BEDROCK": "test-key", "AWS_REGION": "eu-west-1", "OPENAI_API_KEY": "test-key"}

    assert usual_providers(environment) == ["openai"]
