"""
The last step of a body: what one upstream refuses, leaves out or calls otherwise, as its quirks say.

A field that changes what the model says is refused by name; one that does not is left out and reported. Fields are
named here as OpenAI names them, whatever they are called in the end.
"""

from __future__ import annotations

import msgspec

from antiphon.hub.errors import UnsupportedParameter
from antiphon.hub.items import JsonObject
from antiphon.providers.openai_chat.fields import client_name
from antiphon.providers.openai_chat.quirks import Quirks

__all__ = ["Fitted", "fit_fields"]


class Fitted(msgspec.Struct, frozen=True, kw_only=True):
    """
    The fields that are sent.

    Attributes:
        not_applied: The client's names of those that are not.
    """

    fields: JsonObject
    not_applied: tuple[str, ...]


def fit_fields(fields: JsonObject, quirks: Quirks) -> Fitted:
    """
    Fit the optional fields of a body to an upstream.

    Raises:
        UnsupportedParameter: One of them is among :attr:`Quirks.refuse`.
    """
    for field in quirks.refuse:
        if fields.get(field) is not None:
            name = client_name(field)
            raise UnsupportedParameter(f"This upstream does not support '{name}'. Leave it out.", param=name)
    if not quirks.drop and not quirks.rename:
        return Fitted(fields=fields, not_applied=())
    dropped = [field for field in quirks.drop if fields.get(field) is not None]
    fitted = {field: value for field, value in fields.items() if field not in quirks.drop}
    for field, name in quirks.rename.items():
        if field not in fitted:
            continue
        value = fitted.pop(field)
        if name in fitted:
            dropped.append(field)
        else:
            fitted[name] = value
    return Fitted(fields=fitted, not_applied=tuple(map(client_name, dropped)))
