"""What an operator decides about requests: how long their lists may be, and what is done with unknown fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from antiphon.hub.errors import InvalidRequest
from antiphon.hub.format import DialectTurn
from antiphon.hub.items import JsonObject

__all__ = ["check_length", "ignoring"]


def check_length(param: str, given: Sequence[object], limit: str, longest: int) -> None:
    """
    Refuse a list that is too long.

    Raises:
        InvalidRequest: Names the field and the *limit*.
    """
    if len(given) > longest:
        raise InvalidRequest(
            f"Invalid '{param}': array too long. Expected an array with maximum length {longest} ({limit}), but got an "
            f"array with length {len(given)} instead.",
            param=param,
            code="array_above_max_length",
        )


def ignoring(
    body: JsonObject, fields: Mapping[str, object], decode: Callable[[JsonObject], DialectTurn]
) -> DialectTurn:
    """
    The turn without those *fields* of the body that nobody knows; they are named among what was not applied.

    Raises:
        InvalidRequest: As *decode*.
    """
    turn = decode({name: value for name, value in body.items() if name in fields})
    unknown = tuple(name for name in body if name not in fields)
    request = msgspec.structs.replace(turn.request, not_applied=(*turn.request.not_applied, *unknown))
    return msgspec.structs.replace(turn, request=request)
