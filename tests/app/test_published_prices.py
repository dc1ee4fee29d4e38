"""Published prices: whose they are known by, what they say in our words, and that nothing is fetched for them."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from antiphon import upstream
from antiphon.app.published_prices import PublishedPrices, published_prices
from antiphon.hub.price import Price
from antiphon.hub.usage import Usage

# What held then, newer data of the package says as well.
AT = datetime(2026, 11, 18, tzinfo=UTC)
AT_S = AT.timestamp()
OPENAI = "https://api.openai.com/v1"
LONG = Usage(input_tokens=300_000, output_tokens=1000)


def found(address: str, model: str, *, service_tier: str | None = None) -> Price:
    price = PublishedPrices().find([address], model, service_tier=service_tier, at_s=AT_S)
    assert price is not None
    return price


def test_a_price_in_our_words() -> None:
    """By the vendor's address; a dated name is the same model."""
    rates = found(OPENAI, "gpt-4o-2024-08-06").rates

    assert (rates.input, rates.cached_input, rates.output) == (Decimal("2.5"), Decimal("1.25"), Decimal(10))
    assert found(OPENAI, "text-embedding-3-small").rates.output is None


@pytest.mark.parametrize(
    ("address", "model"),
    [
        ("https://api.anthropic.com/v1", "claude-sonnet-4-5"),
        ("https://generativelanguage.googleapis.com/v1beta", "gemini-2.5-pro"),
        ("https://bedrock-runtime.eu-west-1.amazonaws.com", "anthropic.claude-3-haiku-20240307-v1:0"),
        ("https://me.openai.azure.com/openai/v1", "gpt-4o"),
        ("https://api.deepseek.com", "deepseek-chat"),
        ("https://openrouter.ai/api/v1", "openai/gpt-4o"),
    ],
)
def test_vendors_are_known_by_their_address(address: str, model: str) -> None:
    """Those that the dialects and presets lead to."""
    assert found(address, model).rates.input > 0


def test_long_prompts_have_a_tier() -> None:
    """As the package reckons it, to the last digit."""
    from genai_prices import Usage as Theirs
    from genai_prices import calc_price

    address, model = "https://api.anthropic.com/v1", "claude-sonnet-4-5"
    theirs = Theirs(input_tokens=LONG.input_tokens, output_tokens=LONG.output_tokens)

    expected = calc_price(theirs, model, provider_api_url=address, genai_request_timestamp=AT).total_price

    assert expected == found(address, model).cost(LONG)
    assert found(address, model).tiers


def test_cached_tokens_cost_what_the_package_says() -> None:
    """Reads and writes of the cache are parts of the prompt, there and here."""
    from genai_prices import Usage as Theirs
    from genai_prices import calc_price

    address, model = "https://api.anthropic.com/v1", "claude-sonnet-4-5"
    usage = Usage(input_tokens=10_000, cached_tokens=6000, cache_write_tokens=1000, output_tokens=500)
    theirs = Theirs(input_tokens=10_000, cache_read_tokens=6000, cache_write_tokens=1000, output_tokens=500)

    expected = calc_price(theirs, model, provider_api_url=address, genai_request_timestamp=AT).total_price

    assert expected == found(address, model).cost(usage)


def test_a_tier_of_service_has_its_own_price() -> None:
    """Where the vendor has one; a word that means nothing there changes nothing."""
    normal, quick = found(OPENAI, "gpt-4.1"), found(OPENAI, "gpt-4.1", service_tier="priority")

    assert quick.rates.input > normal.rates.input
    assert normal == found(OPENAI, "gpt-4.1", service_tier="nonsense")


@pytest.mark.parametrize(
    ("addresses", "model"),
    [(["https://models.example.com/v1"], "gpt-4o"), ([OPENAI], "nobody-has-this"), ([], "gpt-4o")],
    ids=["unknown-seller", "unknown-model", "no-seller"],
)
def test_what_is_not_published_has_no_price(addresses: list[str], model: str) -> None:
    """None, and not zero."""
    assert PublishedPrices().find(addresses, model, service_tier=None, at_s=AT_S) is None


@pytest.mark.parametrize(
    ("base_url", "provider", "expected"),
    [
        ("", "openai", (OPENAI,)),
        ("http://127.0.0.1:9/v1", "openai", (OPENAI,)),
        ("https://proxy.example.com/v1", "openai", ("https://proxy.example.com/v1", OPENAI)),
        ("http://127.0.0.1:9/v1", "openai_responses", ()),
        ("http://127.0.0.1:9/v1", "vllm", ()),
        (OPENAI, "openai_chat", (OPENAI,)),
    ],
    ids=["preset", "preset-elsewhere", "preset-behind-a-proxy", "dialect-of-ones-own", "local-preset", "by-address"],
)
def test_who_sells_an_upstreams_models(base_url: str, provider: str, expected: tuple[str, ...]) -> None:
    """Its address tells, then its preset; a dialect alone does not, as one's own server may speak it."""
    assert expected == upstream(base_url, provider=provider, api_key="test-key-123456").sold_at


def test_nothing_is_loaded_until_a_price_is_wanted_and_nothing_is_fetched_then() -> None:
    """The command line starts without the data; looking up opens no connection."""
    program = (
        "import socket, sys\n"
        "import antiphon.cli\n"
        "from antiphon.app.published_prices import published_prices\n"
        "prices = published_prices()\n"
        "assert 'genai_prices' not in sys.modules and 'pydantic' not in sys.modules\n"
        "def refuse(*_): raise AssertionError('a connection')\n"
        "socket.socket.connect = refuse\n"
        "socket.getaddrinfo = refuse\n"
        f"print(prices.find(['{OPENAI}'], 'gpt-4o', service_tier=None, at_s={AT_S}).rates.input)\n"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)

    assert (done.stdout.strip(), done.stderr) == ("2.5", "")


def test_without_the_package_there_are_no_published_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is optional."""
    assert published_prices() is not None
    monkeypatch.setattr("antiphon.app.published_prices.find_spec", lambda _: None)
    assert published_prices() is None
