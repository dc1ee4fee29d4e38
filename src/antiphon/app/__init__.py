"""
The composition root: settings to adapters to engine to ASGI. The only place that names adapters.

Two ways in. A program builds a :class:`Gateway` from upstreams and a store. The command line builds an
:class:`Application` from settings.
"""

from antiphon.app.application import Application, build_application
from antiphon.app.gateway import Gateway
from antiphon.app.sealing import StoreSealing, administration_of, codec_of, key_service, open_store, seal_store
from antiphon.app.upstreams import check_quirks, dialects, upstream

__all__ = [
    "Application",
    "Gateway",
    "StoreSealing",
    "administration_of",
    "build_application",
    "check_quirks",
    "codec_of",
    "dialects",
    "key_service",
    "open_store",
    "seal_store",
    "upstream",
]
