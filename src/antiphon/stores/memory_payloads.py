"""
Every payload of a tenant in memory, by its table and the id of its row: to be scanned, replaced and counted.

A payload without bytes holds nothing, so it is none; what is kept with a family is shown whatever it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, get_args

import msgspec

from antiphon.hub.ids import Family
from antiphon.sessions.codec import TENANT_FAMILY, Table
from antiphon.sessions.vault import Payload, Replacement, Scanned
from antiphon.stores.memory_state import State

__all__ = ["PAYLOAD_TABLES", "change_payloads", "payload_at", "payloads_of", "stored_bytes_of"]

PAYLOAD_TABLES: Final[tuple[Table, ...]] = get_args(Table)

Rows = Iterator[tuple[str, bytes | None]]


class _Shelf(msgspec.Struct, frozen=True):
    """Where the payloads of a table stand: *rows* shows them all, *put* replaces one that is there."""

    rows: Callable[[State], Rows]
    put: Callable[[State, str, bytes], None]
    is_of_family: bool = True


def payloads_of(state: State, table: Scanned) -> dict[str, bytes]:
    """The payloads of a table by row id."""
    rows = ((row_id, payload) for row_id, payload in _SHELVES[table].rows(state) if payload is not None)
    return {row_id: payload for row_id, payload in rows if payload or table == "families"}


def payload_at(table: Scanned, row_id: str, payload: bytes) -> Payload:
    """A payload and where it stands."""
    return Payload(table=table, row_id=row_id, family=_family_of(table, row_id), payload=payload)


def change_payloads(state: State, replacements: Sequence[Replacement]) -> int:
    """Replace the payloads that are still what they were. Returns how many were."""
    there = {table: payloads_of(state, table) for table in {each.old.table for each in replacements}}
    changed = 0
    for each in replacements:
        old = each.old
        if there[old.table].get(old.row_id) == old.payload:
            _SHELVES[old.table].put(state, old.row_id, each.payload)
            there[old.table][old.row_id] = each.payload
            changed += 1
    return changed


def stored_bytes_of(state: State) -> int:
    """The lengths of all payloads."""
    return sum(len(payload) for table in PAYLOAD_TABLES for _, payload in _SHELVES[table].rows(state) if payload)


def _family_of(table: Scanned, row_id: str) -> Family:
    if table == "families":
        return Family(row_id)
    # As in ids: the 16 digits before the last 34.
    return Family(row_id.partition("/")[0][-50:-34]) if _SHELVES[table].is_of_family else TENANT_FAMILY


# Where they stand.


def _items(state: State) -> Rows:
    for log in state.logs.values():
        yield from ((slot.id, slot.payload) for slot in log.slots if slot is not None)


def _put_item(state: State, row_id: str, payload: bytes) -> None:
    log_id, position = state.items[row_id]
    log = state.logs[log_id]
    slot = log.slots[position - log.first]
    assert slot is not None
    log.slots[position - log.first] = msgspec.structs.replace(slot, payload=payload)


def _responses(state: State) -> Rows:
    return ((row_id, row.turn.payload) for row_id, row in state.responses.items())


def _put_response(state: State, row_id: str, payload: bytes) -> None:
    row = state.responses[row_id]
    row.turn = msgspec.structs.replace(row.turn, payload=payload)


def _traces(state: State) -> Rows:
    return ((row_id, row.turn.trace) for row_id, row in state.responses.items())


def _put_trace(state: State, row_id: str, payload: bytes) -> None:
    row = state.responses[row_id]
    row.turn = msgspec.structs.replace(row.turn, trace=payload)


def _conversations(state: State) -> Rows:
    return ((row_id, row.payload) for row_id, row in state.conversations.items())


def _put_conversation(state: State, row_id: str, payload: bytes) -> None:
    state.conversations[row_id].payload = payload


def _prompts(state: State) -> Rows:
    for prompt_id, versions in state.prompts.items():
        for version, prompt in enumerate(versions, start=1):
            yield f"{prompt_id}/{version}", prompt.payload


def _put_prompt(state: State, row_id: str, payload: bytes) -> None:
    prompt_id, _, version = row_id.rpartition("/")
    versions = state.prompts[prompt_id]
    versions[int(version) - 1] = msgspec.structs.replace(versions[int(version) - 1], payload=payload)


def _pending(state: State) -> Rows:
    return ((row_id, row.new.payload) for row_id, row in state.work.pending.items())


def _put_pending(state: State, row_id: str, payload: bytes) -> None:
    row = state.work.pending[row_id]
    row.new = msgspec.structs.replace(row.new, payload=payload)


def _stream_events(state: State) -> Rows:
    for response_id, row in state.work.pending.items():
        for group in row.groups:
            yield f"{response_id}/{group.first}", group.payload


def _put_events(state: State, row_id: str, payload: bytes) -> None:
    response_id, _, first = row_id.rpartition("/")
    groups = state.work.pending[response_id].groups
    place = next(index for index, group in enumerate(groups) if group.first == int(first))
    groups[place] = msgspec.structs.replace(groups[place], payload=payload)


def _answers(state: State) -> Rows:
    return ((key.hex(), row.answer) for key, row in state.work.keys.items())


def _put_answer(state: State, row_id: str, payload: bytes) -> None:
    state.work.keys[bytes.fromhex(row_id)].answer = payload


def _deliveries(state: State) -> Rows:
    return ((row_id, row.new.payload) for row_id, row in state.work.deliveries.items())


def _put_delivery(state: State, row_id: str, payload: bytes) -> None:
    row = state.work.deliveries[row_id]
    row.new = msgspec.structs.replace(row.new, payload=payload)


def _secrets(state: State) -> Rows:
    yield "secret", state.work.secret


def _put_secret(state: State, _: str, payload: bytes) -> None:
    state.work.secret = payload


def _families(state: State) -> Rows:
    return iter([(str(family), seal) for family, seal in state.families.items()])


def _put_seal(state: State, row_id: str, payload: bytes) -> None:
    state.families[Family(row_id)] = payload


_SHELVES: Final[Mapping[Scanned, _Shelf]] = {
    "items": _Shelf(_items, _put_item),
    "responses": _Shelf(_responses, _put_response),
    "traces": _Shelf(_traces, _put_trace),
    "conversations": _Shelf(_conversations, _put_conversation),
    "prompts": _Shelf(_prompts, _put_prompt, is_of_family=False),
    "pending": _Shelf(_pending, _put_pending),
    "stream_events": _Shelf(_stream_events, _put_events),
    "idempotency": _Shelf(_answers, _put_answer, is_of_family=False),
    "deliveries": _Shelf(_deliveries, _put_delivery, is_of_family=False),
    "secrets": _Shelf(_secrets, _put_secret, is_of_family=False),
    "families": _Shelf(_families, _put_seal),
}
