"""
Antiphon gives any language model a memory.

The public surface for programs: build a :class:`Gateway` from upstreams, give it a session store, and call it or
mount it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from antiphon.version import VERSION

if TYPE_CHECKING:
    from antiphon.app import Gateway, upstream
    from antiphon.crypto.services import KeyFile, KeyService
    from antiphon.engine.routing import Target
    from antiphon.engine.upstreams import Upstream
    from antiphon.hub.errors import AntiphonError
    from antiphon.hub.principal import Limits, Principal
    from antiphon.server.auth import Authenticator, NoKeys
    from antiphon.stores.memory import InMemorySessionStore
    from antiphon.stores.sqlite import SQLiteSessionStore

__all__ = [
    "AntiphonError",
    "Authenticator",
    "Gateway",
    "InMemorySessionStore",
    "KeyFile",
    "KeyService",
    "Limits",
    "NoKeys",
    "Principal",
    "SQLiteSessionStore",
    "Target",
    "Upstream",
    "upstream",
]

__version__ = VERSION

# Loaded on first use: a layer that imports another one must not load the whole gateway, and the command line starts
# faster.
_HOMES = {
    "AntiphonError": "antiphon.hub.errors",
    "Authenticator": "antiphon.server.auth",
    "Gateway": "antiphon.app",
    "InMemorySessionStore": "antiphon.stores.memory",
    "KeyFile": "antiphon.crypto.services",
    "KeyService": "antiphon.crypto.services",
    "Limits": "antiphon.hub.principal",
    "NoKeys": "antiphon.server.auth",
    "Principal": "antiphon.hub.principal",
    "SQLiteSessionStore": "antiphon.stores.sqlite",
    "Target": "antiphon.engine.routing",
    "Upstream": "antiphon.engine.upstreams",
    "upstream": "antiphon.app",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)
