"""Events that are handed out: what a caller changes in them changes nothing else."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from antiphon.hub import events
from antiphon.hub.events import Event, OtherEvent, copy_of
from antiphon.hub.items import Private, copied

_VALUES: dict[str, Any] = {
    "logprobs": ({"token": "a", "top": [{"token": "b"}]},),
    "private": Private("provider", "account", {"a": {"b": 1}}),
}
_JSON = {"a": [{"b": {"c": [1, None, "x"]}}], "d": ({"e": 1},)}


def made(kind: type[Any]) -> Any:
    """An event of this kind, with something in every field."""
    types = {field.name: field.type for field in msgspec.inspect.type_info(kind).fields}  # type: ignore[attr-defined]
    given = {
        name: _VALUES.get(name)
        or (
            _JSON if isinstance(of, msgspec.inspect.DictType) else 1 if isinstance(of, msgspec.inspect.IntType) else "x"
        )
        for name, of in types.items()
    }
    return kind(**given)


def changeable(value: Any) -> set[int]:
    """The ids of all that can be changed in a value."""
    found: set[int] = {id(value)} if isinstance(value, (dict, list)) else set()
    if isinstance(value, msgspec.Struct):
        return found.union(*(changeable(getattr(value, name)) for name in value.__struct_fields__))
    if isinstance(value, dict):
        return found.union(*map(changeable, value.values()))
    if isinstance(value, (list, tuple)):
        return found.union(*map(changeable, value))
    return found


KINDS = [*(kind for kind in events._BY_TYPE.values()), OtherEvent]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_copy_shares_nothing_that_can_be_changed(kind: type[Event]) -> None:
    """Whatever kind of event it is: the copy is equal, and every dict and list in it is its own."""
    event = made(kind)
    copy = copy_of(event)
    assert copy == event
    assert type(copy) is type(event)
    assert not changeable(copy) & changeable(event)


def test_event_of_text_is_its_own_copy() -> None:
    """Nothing is spent where nothing can be changed."""
    delta = events.OutputTextDelta("msg_1", 0, 0, "text")
    assert copy_of(delta) is delta


def test_copied_json_is_equal_and_its_own() -> None:
    """A JSON value is copied to its last list."""
    copy = copied(_JSON)
    assert copy == _JSON
    assert not changeable(copy) & changeable(_JSON)
