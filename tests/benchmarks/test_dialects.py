"""The benchmarks of dialects and of affinity run, with as little load as there can be. No speed is asserted."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.affinity import WAYS, Counts, gateway_before, hold
from benchmarks.affinity import table as shares_table
from benchmarks.dialects import FORMATS, PROVIDERS, gateway_before_all, measure, table

from antiphon.local import LocalModel


async def test_every_format_in_front_of_every_dialect(tmp_path: Path) -> None:
    """Each pair is answered as it should be, streams with as many tokens as were asked for, and has a figure."""
    pairs = [(form, provider) for form in FORMATS for provider in PROVIDERS]
    with gateway_before_all(tmp_path, None, None) as gateway:
        for stream in (False, True):
            figures = await measure(gateway, stream=stream, rounds=1, seconds=0, connections=1)

            assert pairs == list(figures)
            assert min(figures.values()) > 0


def test_the_base_of_the_table_is_one() -> None:
    """Every figure is shown as a share of that of Responses in front of chat."""
    figures = {(form, provider): 50.0 for form in FORMATS for provider in PROVIDERS} | {
        ("responses", "openai_chat"): 100.0
    }

    assert table(figures, "POST").splitlines()[4] == "| responses | 1.00 | 0.50 | 0.50 | 0.50 | 0.50 |"


def test_shares_are_of_the_prompts_that_could_be_cached() -> None:
    """The table shows how many turns stayed, and what was cached of all prompt tokens and of those said before."""
    counts = Counts(turns=4, kept=3, prompt=200, cached=50, said_before=100)

    assert shares_table({WAYS[0]: counts}).splitlines()[-1] == f"| {WAYS[0].name} | 75% | 25% | 50% |"


@pytest.mark.model
@pytest.mark.asyncio(loop_scope="session")
async def test_a_conversation_stays_where_it_began(local_model: LocalModel) -> None:
    """Of two servers one has all turns of a conversation; what they report is counted from its second turn on."""
    async with gateway_before(local_model.name, [local_model.base_url] * 2) as gateway:
        counts = await hold(gateway.url, WAYS[-1], conversations=1, turns=2)

    assert (counts.turns, counts.kept, counts.cached) == (1, 1, 0)  # this model's cache is off
    assert 0 < counts.said_before < counts.prompt
