"""
Reading a request that may have more in it than its format knows.

It is read as strictly as ever. Where a name is all that is wrong, it is read again without what the format does not
know, and the turn remembers the request as it came: an upstream of the same dialect gets all of it, and for any other
it is refused as before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from antiphon.formats.checks.pruning import pruned
from antiphon.formats.checks.schema import Schema
from antiphon.hub.errors import InvalidRequest
from antiphon.hub.format import DialectTurn
from antiphon.hub.items import JsonObject
from antiphon.hub.verbatim import Verbatim

__all__ = ["read_verbatim"]

_BY_NAME: Final = frozenset({"unknown_parameter", "unsupported_parameter"})

AnyTurn = TypeVar("AnyTurn", bound=DialectTurn)


def read_verbatim(
    body: JsonObject, decode: Callable[[JsonObject], AnyTurn], *, dialect: str, schema: Schema
) -> AnyTurn:
    """
    The turn that a body asks for, with the body itself.

    Args:
        decode: Reads a body of the dialect, and refuses what it does not know by name.
        schema: Of the whole body.

    Raises:
        InvalidRequest: Something else than a name is wrong; names the first field at fault.
        UnsupportedParameter: Names a field that is known and cannot be served by any upstream.

    Note:
        Costs nothing beside *decode* unless that refuses.
    """
    try:
        turn, refusal = decode(body), None
    except InvalidRequest as error:
        known = pruned(schema, body) if error.code in _BY_NAME else body
        if known == body:
            raise
        turn, refusal = decode(known), error.with_traceback(None)
    return msgspec.structs.replace(turn, verbatim=Verbatim(dialect=dialect, body=body, refusal=refusal))
