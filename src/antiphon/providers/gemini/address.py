"""Where a model is asked: its name is a part of the request's path."""

from __future__ import annotations

import re
from urllib.parse import quote

from antiphon.hub.errors import UnsupportedParameter

__all__ = ["resource_name", "resource_path"]

_COLLECTIONS = ("models/", "tunedModels/")
# A further segment, another method of the API, or what servers and proxies may read as the beginning of a query.
_LEADS_ELSEWHERE = re.compile(r"[/\\:?#%\x00-\x20\x7f]|\A\.{0,2}\Z")


def resource_name(model: str) -> str:
    """
    The API's name of a model: ``models/NAME`` for a name alone.

    Raises:
        UnsupportedParameter: The name would lead somewhere else than to a model.
    """
    collection = next((prefix for prefix in _COLLECTIONS if model.startswith(prefix)), "models/")
    name = model.removeprefix(collection)
    if _LEADS_ELSEWHERE.search(name):
        raise UnsupportedParameter(
            "This upstream has no model of such a name: a name is one segment of a path. Use a name from its list of "
            "models.",
            param="model",
        )
    return f"{collection}{name}"


def resource_path(model: str, method: str) -> str:
    """
    The path at which *method* of a model is called.

    Raises:
        UnsupportedParameter: See :func:`resource_name`.
    """
    return f"/{quote(resource_name(model), safe='/')}:{method}"
