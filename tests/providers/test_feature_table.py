"""The page of what upstreams can be asked is what the codecs do."""

from __future__ import annotations

import pytest

from tests.providers.feature_table import PAGE, cell, page
from tests.providers.features import FEATURES


def test_the_page_is_current() -> None:
    """``python -m tests.providers.feature_table`` would change nothing."""
    assert PAGE.read_text(encoding="utf-8") == page()


@pytest.mark.parametrize(
    ("dialect", "section", "name", "told"),
    [
        ("openai_responses", "Tools", "web search", "yes"),
        ("bedrock", "Tools", "one call at a time", "without `parallel_tool_calls`"),
        ("anthropic", "How it is answered", "penalties", "`presence_penalty`"),
        ("gemini", "History", "reasoning of another upstream", "left out"),
    ],
    ids=["said", "asked without", "refused", "left out"],
)
def test_a_cell_says_what_becomes_of_it(dialect: str, section: str, name: str, told: str) -> None:
    """What goes up, what is refused by name, what is reported and what leaves no trace are told apart."""
    assert cell(dialect, FEATURES[section][name]) == told
