"""
``python -m tests.providers.feature_table`` writes ``docs/features.md``: what each dialect can be asked.

Every cell is computed with the codec itself, as it is without configuration. Nothing is written down by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from antiphon.hub.errors import UnsupportedParameter
from antiphon.hub.upstream import CacheKeyed, Counts, Embeds, Provider
from tests.providers.features import FEATURES, Feature, kept_thinking
from tests.providers.kit.calls import model_call
from tests.providers.kit.dialects import DIALECTS

__all__ = ["PAGE", "cell", "page"]

PAGE = Path(__file__).parents[2] / "docs" / "features.md"

_YES, _NO = "yes", "no"

# Of each dialect one model that thinks, as its vendor calls it: codecs know what such a one takes.
_MODELS = {
    "openai_responses": "gpt-5",
    "openai_chat": "any",
    "anthropic": "claude-sonnet-4-5",
    "gemini": "gemini-2.5-flash",
    "bedrock": "anthropic.claude-sonnet-4-5-20250929-v1:0",
}

_HEAD = """# What upstreams can be asked

The codecs of all dialects were asked to say each of these, and this is what they did. The page is written by
`python -m tests.providers.feature_table`; a test sees that it is current.

| in a cell | means |
|---|---|
| yes | it goes up, in the dialect's own words |
| `name` | 400 that names this parameter, unless the request says to [drop](routing.md#what-may-be-left-out) it |
| without `name` | it is asked without, and `x-antiphon-not-applied` tells this name |
| left out | the model is asked as if it were not there: it means nothing to that upstream |

The dialects are as they are without configuration, with these models: {models}.
An upstream's quirks may allow more, or less ([upstreams](upstreams.md)): many a server that speaks `openai_chat`
takes less than it can say.
"""


def page() -> str:
    """The page as it has to be."""
    models = ", ".join(f"`{model}` of `{dialect}`" for dialect, model in _MODELS.items() if model != "any")
    lines = [_HEAD.format(models=models)]
    for section, features in FEATURES.items():
        lines += _table(section, {name: [cell(dialect, it) for dialect in _MODELS] for name, it in features.items()})
        if section == "Reasoning":
            lines[-1:] = [*_rows({"its own reasoning, in the next turn": [*map(_thinking, _MODELS)]}), ""]
    lines += _table("The upstream itself", {name: list(cells) for name, *cells in zip(*_abilities(), strict=True)})
    return "\n".join(lines).rstrip() + "\n"


def cell(dialect: str, feature: Feature) -> str:
    """What becomes of a feature in a dialect."""
    provider, model = DIALECTS[dialect].provider, _MODELS[dialect]
    call, without = (msgspec.structs.replace(each, model=model) for each in feature)
    try:
        said = provider.encode(call)
    except UnsupportedParameter as error:
        return f"`{error.param}`"
    usual = provider.encode(without)
    lost = [name for name in said.not_applied if name not in usual.not_applied]
    if lost:
        return "without " + ", ".join(f"`{name}`" for name in lost)
    return "left out" if (said.path, said.body) == (usual.path, usual.body) else _YES


def _thinking(dialect: str) -> str:
    return cell(dialect, kept_thinking(dialect))


def _abilities() -> Iterator[list[str]]:
    yield ["lists its models", "counts tokens", "makes embeddings", "finds its cache by a key"]
    for dialect in _MODELS:
        provider = DIALECTS[dialect].provider
        able = (provider.list_models() is not None, _counts(provider), isinstance(provider, Embeds), _finds(provider))
        yield [_YES if each else _NO for each in able]


def _counts(provider: Provider) -> bool:
    return isinstance(provider, Counts) and provider.count(model_call()) is not None


def _finds(provider: Provider) -> bool:
    return isinstance(provider, CacheKeyed) and provider.takes_cache_key


def _table(title: str, rows: dict[str, list[str]]) -> list[str]:
    head = ["", *(f"`{dialect}`" for dialect in _MODELS)]
    return [f"## {title}", "", _row(head), "|" + "---|" * len(head), *_rows(rows), ""]


def _rows(rows: dict[str, list[str]]) -> list[str]:
    return [_row([name, *cells]) for name, cells in rows.items()]


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
