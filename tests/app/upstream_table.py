"""
The tables of ``docs/upstreams.md``, made of the dialects and presets that there are.

``python -m tests.app.upstream_table`` writes them into the page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from antiphon.app.dialects import defaults_of, dialects, make_provider
from antiphon.app.presets import PRESETS, Preset
from antiphon.hub.upstream import UpstreamDefaults

__all__ = ["PAGE", "page_with_tables"]

PAGE = Path(__file__).parents[2] / "docs" / "upstreams.md"
_BETWEEN = "<!-- {name}: made by tests/app/upstream_table.py -->\n{table}\n<!-- end -->"
_NONE = "\N{EN DASH}"
_FIELD_LISTS = ("drop", "refuse", "rename")


def page_with_tables(page: str) -> str:
    """The page with its tables as they have to be."""
    for name, table in (("dialects", _dialects()), ("presets", _presets())):
        pattern = re.compile(rf"<!-- {name}: .*?<!-- end -->", re.DOTALL)
        assert pattern.search(page), f"the page has no place for the table of {name}"
        filled = _BETWEEN.format(name=name, table=table)
        page = pattern.sub(lambda _, filled=filled: filled, page)  # type: ignore[misc] # a default binds the loop's value
    return page


def _table(*rows: tuple[str, ...]) -> str:
    head, *others = rows
    lines = [head, ("---",) * len(head), *others]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') or _NONE for cell in line)} |" for line in lines)


def _dialects() -> str:
    rows = [_dialect(name) for name in dialects()]
    return _table(("dialect", "base URL", "key from", "shown as"), *rows)


def _dialect(name: str) -> tuple[str, ...]:
    defaults = defaults_of(name, make_provider(name, {}))
    page = PAGE.parent / "providers" / f"{name}.md"
    title = f"[`{name}`](providers/{name}.md)" if page.exists() else f"`{name}`"
    return title, *_reached(defaults), _shown(defaults)


def _presets() -> str:
    head = ("preset", "dialect", "base URL", "key from", "left out", "refused", "otherwise", "read")
    return _table(head, *(_preset(preset) for preset in PRESETS.values()))


def _preset(preset: Preset) -> tuple[str, ...]:
    return (
        f"`{preset.name}`",
        f"`{preset.dialect}`",
        *_reached(preset.defaults),
        _code(preset.quirks.get("drop", ())),
        _code(preset.quirks.get("refuse", ())),
        ". ".join(_otherwise(preset)),
        f"[{preset.read}]({preset.source})",
    )


def _otherwise(preset: Preset) -> Iterator[str]:
    rename = preset.quirks.get("rename", {})
    assert isinstance(rename, Mapping)
    if rename:
        yield ", ".join(f"`{field}` is called `{name}`" for field, name in rename.items())
    quirks = [f"`{name}: {_value(value)}`" for name, value in preset.quirks.items() if name not in _FIELD_LISTS]
    if quirks:
        yield ", ".join(quirks)
    if preset.defaults.key_place.header != "authorization":
        yield _shown(preset.defaults)
    if preset.note:
        yield preset.note.removesuffix(".")


def _reached(defaults: UpstreamDefaults) -> tuple[str, str]:
    return f"`{defaults.base_url}`" if defaults.base_url else "", _code([defaults.key_variable])


def _shown(defaults: UpstreamDefaults) -> str:
    place = f"`{defaults.key_place.header}: {defaults.key_place.prefix}KEY`"
    return f"{place}, or requests signed (AWS)" if defaults.signing == "sigv4" else place


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)


def _code(words: object) -> str:
    assert isinstance(words, list | tuple)
    return ", ".join(f"`{word}`" for word in words if word)


if __name__ == "__main__":
    PAGE.write_text(page_with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
