"""
Presets: names for vendors and servers that speak a dialect in their own way.

Each is a few lines of data in one list; adding one touches nothing else. ``docs/upstreams.md`` shows them all.
"""

from collections.abc import Mapping
from types import MappingProxyType

from antiphon.app.presets.hosted import HOSTED
from antiphon.app.presets.local import LOCAL
from antiphon.app.presets.preset import Preset

__all__ = ["LOCAL", "PRESETS", "Preset"]

PRESETS: Mapping[str, Preset] = MappingProxyType({preset.name: preset for preset in (*HOSTED, *LOCAL)})
"""All presets by name; vendors first."""
