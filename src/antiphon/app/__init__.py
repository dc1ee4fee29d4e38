"""
The composition root: settings to adapters to engine to ASGI. The only place that names adapters.

Two ways in. A program builds a :class:`Gateway` from upstreams and a store. The command line builds an
:class:`Application` from settings.
"""

from antiphon.app.application import Application, build_application
from antiphon.app.dialects import check_quirks, dialects, provider_names, usual_providers
from antiphon.app.gateway import Gateway
from antiphon.app.sealing import StoreSealing, administration_of, codec_of, key_service, open_store, seal_store
from antiphon.app.upstreams import complete, upstream

__all__ = [
    "Application",
    "Gateway",
    "StoreSealing",
    "administration_of",
    "build_application",
    "check_quirks",
    "codec_of",
    "complete",
    "dialects",
    "key_service",
    "open_store",
    "provider_names",
    "seal_store",
    "upstream",
    "usual_providers",
]
