"""What is known about one vendor or server: the dialect that it speaks, how it is reached, and where it deviates."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from antiphon.hub.upstream import UpstreamDefaults

__all__ = ["Preset"]


class Preset(msgspec.Struct, frozen=True, kw_only=True):
    """
    A name that stands for a dialect and its settings. A configuration may say otherwise, setting by setting.

    Attributes:
        name: In a configuration, where a dialect's name could stand.
        title: For people.
        quirks: Of the dialect.
        note: What else whoever uses it should know; empty for nothing.
        source: The page that says so.
        read: When it was read.
        is_looked_for: Whether it is served without a configuration, if its key is in the environment. Of two ways to
            one vendor only one is.
        port: Where it listens on this machine, for a server that runs there; None for others.
        owners: What such a server says in ``owned_by`` of its models.
    """

    name: str
    title: str
    dialect: str = "openai_chat"
    defaults: UpstreamDefaults
    quirks: Mapping[str, object] = msgspec.field(default_factory=dict)
    note: str = ""
    source: str
    read: str = "2026-11-23"
    is_looked_for: bool = True
    port: int | None = None
    owners: tuple[str, ...] = ()
