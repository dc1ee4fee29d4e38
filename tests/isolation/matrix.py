"""
The matrix: every operation, every field of it that holds an id, every kind of id, every kind of credential.

What is expected is a rule. A credential that is not good gets one answer, whatever was asked for. One that may not do
this gets another. And with a good one, an id that the caller does not have is answered like an id of the same shape
that nobody has, whoever has it and in whatever state. After each cell, no row of the other tenant has changed, and
nothing of it was told.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import orjson

from antiphon.hub.api_key import shown
from tests.isolation.document import Field, Operation, fields_of, least_body
from tests.isolation.invention import Comparable, altered, comparable, invented
from tests.isolation.observer import Observer
from tests.isolation.stage import MARK, Stage, Tenant, target_of
from tests.support.asgi_client import Answer

__all__ = ["Matrix", "Report"]

# Kinds of ids that stand for each other as "one of another type".
_OTHER_KIND = {
    "response": "conversation",
    "conversation": "response",
    "item": "response",
    "prompt": "item",
    "completion": "response",
    "message": "completion",
}

# What is looked for in the store where a field names it.
_LOOKED_UP = frozenset(
    (
        *("response", "conversation", "item", "prompt", "end_user", "delivery", "object", "actor"),
        *("completion", "message"),
    )
)

_TELLING_TYPES = ("UserMessageInput", "FunctionCallInput", "ItemReferenceInput", "CompactionInput", "ReasoningInput")

# Ways to ask for the same thing, which go through other code.
_MODES: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "createResponse": ({"stream": True}, {"background": True}, {"background": True, "stream": True}, {"store": False}),
    "getResponse": ({"stream": "true"}, {"stream": "true", "starting_after": "1"}),
    "deleteResponse": ({"cascade": "true"}, {"receipt": "true"}, {"cascade": "true", "dry_run": "true"}),
    "deleteConversation": ({"cascade": "true"}, {"receipt": "true"}, {"cascade": "true", "dry_run": "true"}),
    "eraseEndUser": ({"dry_run": "true"},),
    "createChatCompletion": ({"stream": True}, {"store": True}),
    "createMessage": ({"stream": True},),
}


@dataclass(frozen=True)
class Asked:
    """One request, but for who sends it."""

    operation: Operation
    target: str
    body: Any = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Report:
    """
    What the matrix found.

    Attributes:
        cells: How many were asked, by the kind of credential.
        taken: With a good credential, how many of each field were a success.
        problems: One line for each cell that is not as the rule says.
    """

    cells: dict[str, int] = field(default_factory=dict)
    taken: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """All cells."""
        return sum(self.cells.values())

    def count_one(self, credential: str) -> None:
        """One more cell."""
        self.cells[credential] = self.cells.get(credential, 0) + 1


class Matrix:
    """
    Args:
        stage: With both tenants populated.
        all_types: Try every type of item in every operation that takes items.
        until_found: End at the first problem.
    """

    def __init__(self, stage: Stage, *, all_types: bool = False, until_found: bool = False) -> None:
        self._all_types = all_types
        self._until_found = until_found
        self.report = Report()
        self._stage = stage
        self._people = itertools.count()
        self._observer = Observer(stage.path, stage.b.name)
        self._refused: dict[str, Comparable] = {}

    async def run(self) -> Report:
        """Ask everything of the gateway."""
        for operation in self._stage.operations:
            if operation.scope is None:
                await self._public(operation)
            else:
                await self._operation(operation)
        if not self._is_enough:
            await self._sockets()
        self._observer.close()
        return self.report

    @property
    def _is_enough(self) -> bool:
        return self._until_found and bool(self.report.problems)

    async def run_admin(self) -> Report:
        """Ask everything of the administrators' listener."""
        stage = self._stage
        for operation in stage.admin_operations:
            if operation.scope is None:
                continue
            fields: Sequence[Field | None] = fields_of(operation) or [None]
            for each in fields:
                for label, value in self._values(each):
                    asked = self._asked(operation, each, value)
                    await self._bad_credentials(asked, f"{label} {value}", stage.bad_admin, admin=True)
                    if each is not None and label != "foreign":
                        await self._good(each, label, value, {}, key=stage.admin_key, admin=True)
        self._observer.close()
        return self.report

    async def control(self, tenants: AsyncIterator[Tenant]) -> list[str]:
        """
        The fields in which the caller's own id is answered like one that nobody has: there the matrix sees nothing.

        Args:
            tenants: The first tenant with everything anew, each time it is asked for.
        """
        blind = []
        for operation in self._stage.operations:
            for each in fields_of(operation):
                if not each.variant and each.place != "header" and each.kinds[0] in _LOOKED_UP:
                    blind += [] if await self._tells(each, await anext(tenants)) else [each.name]
        self._observer.close()
        return blind

    async def _tells(self, each: Field, a: Tenant) -> bool:
        """Whether one of the caller's own ids is answered in another way than an invented one."""
        if each.kinds == ("end_user",) and each.place == "body":
            return True
        for own in [value for kind in each.kinds for value in a.live[kind]]:
            answers = []
            for value in (own, invented(own)):
                answer = await self._ask(self._asked(each.operation, each, value), a.key)
                answers.append(comparable(answer.status, answer.headers, answer.body, value))
            if answers[0] != answers[1]:
                return True
        return False

    # Credentials.

    async def _public(self, operation: Operation) -> None:
        """Answered alike, whoever asks."""
        asked = self._asked(operation, None, "")
        answers = set()
        for name, key in {"valid": self._stage.a.key, **self._stage.bad}.items():
            answer = await self._ask(asked, key)
            answers.add(comparable(answer.status, answer.headers, answer.body, ""))
            self._see(asked, name, answer, "")
        if len(answers) != 1:
            self._problem(asked, "any", f"is answered in {len(answers)} ways")

    def _fields(self, operation: Operation) -> Sequence[Field | None]:
        """All of them; of items, every type in one operation, and in the others those whose ids are looked at."""
        fields: list[Field] = fields_of(operation)
        if not self._all_types and operation.name != "createResponse":
            fields = [each for each in fields if each.variant in ("", *_TELLING_TYPES)]
        return fields or [None]

    async def _operation(self, operation: Operation) -> None:
        for each in self._fields(operation):
            if self._is_enough:
                return
            for label, value in self._values(each):
                asked = self._asked(operation, each, value)
                # Who has no good credential is refused before the body is looked at: one operation tells it of all.
                if each is None or not each.variant or (label == "foreign" and operation.name == "createResponse"):
                    await self._bad_credentials(asked, value, self._stage.bad)
                    await self._other_scope(asked, value)
                if each is not None:
                    await self._all_modes(each, label, value)

    async def _bad_credentials(
        self, asked: Asked, value: str, credentials: Mapping[str, str | None], *, admin: bool = False
    ) -> None:
        """401, and the same bytes for every operation of a dialect and every id."""
        for name, key in credentials.items():
            answer = await self._ask(asked, key, admin=admin)
            body = answer.body if key is None else answer.body.replace(shown(key).encode(), b"KEY")
            found = comparable(answer.status, answer.headers, body, "")
            kind = "without a key" if key is None else "with a bad key"
            expected = self._refused.setdefault(_in_dialect(asked.operation, kind), found)
            if answer.status != 401 or found != expected:
                self._problem(asked, name, f"is answered {found}, others {expected}")
            self._see(asked, name, answer, value)

    async def _other_scope(self, asked: Asked, value: str) -> None:
        """403, and the same bytes for every id."""
        scope = str(asked.operation.scope)
        answer = await self._ask(asked, await self._stage.key_without(scope))
        found = comparable(answer.status, answer.headers, answer.body, "")
        if answer.status != 403 or found != self._refused.setdefault(_in_dialect(asked.operation, scope), found):
            self._problem(asked, "other scope", f"is answered {found}")
        self._see(asked, "other scope", answer, value)

    async def _all_modes(self, each: Field, label: str, value: str) -> None:
        modes = () if each.variant or each.place == "header" else _MODES.get(each.operation.name, ())
        for mode in ({}, *modes):
            await self._good(each, label, value, mode, key=self._stage.a.key)

    async def _good(
        self, each: Field, label: str, value: str, mode: Mapping[str, Any], *, key: str, admin: bool = False
    ) -> None:
        """The answer is that to an invented id of the same shape."""
        asked = self._asked(each.operation, each, value, mode)
        answer = await self._ask(asked, key, admin=admin)
        self._see(asked, f"valid, {label}", answer, value)
        other = invented(value)
        reference = await self._ask(self._asked(each.operation, each, other, mode), key, admin=admin)
        self._compare(asked, label, (answer, value), (reference, other))
        if answer.status < 300:
            self.report.taken[each.name] = self.report.taken.get(each.name, 0) + 1

    def _compare(self, asked: Asked, label: str, one: tuple[Answer, str], two: tuple[Answer, str]) -> None:
        found, expected = (
            comparable(answer.status, answer.headers, answer.body, value) for answer, value in (one, two)
        )
        if found != expected:
            self._problem(asked, label, f"is answered {found}, an invented id {expected}")

    # What is asked.

    def _values(self, each: Field | None) -> Iterator[tuple[str, str]]:
        """The ids that a field is tried with; see the module."""
        if each is None:
            yield "nothing", ""
            return
        a, b = self._stage.a, self._stage.b
        for kind in each.kinds:
            foreign = b.live.get(kind, [])
            if kind == "end_user":  # what one cell stores under a name, another one must not meet
                foreign = [foreign[next(self._people) % len(foreign)]]
            elif kind == "idempotency_key":
                foreign = [key for key in foreign if key.startswith(each.operation.name + "-")]
            elif kind == "response":
                foreign = foreign[:1]
            yield from (("foreign", value) for value in foreign)
            if kind == "end_user" and each.place == "body":  # it is a name that is given, not one that is looked for
                continue
            yield from (("running", value) for value in b.live.get(f"running {kind}", []))
            yield from (("deleted by its owner", value) for value in b.gone.get(kind, []))
            yield from (("deleted", value) for value in a.gone.get(kind, []))
            if kind != "tenant":  # administrators are told which name is near
                yield from (("forged", altered(value)) for value in foreign[:1])
            if kind in _OTHER_KIND:
                yield "in capitals", foreign[0].upper()
                yield "of another type", b.live[_OTHER_KIND[kind]][0]
                yield "too long", foreign[0] + "0"
        if each.place != "path":  # where it would be another path, which there is not
            yield "empty", ""

    def _asked(self, operation: Operation, each: Field | None, value: str, mode: Mapping[str, Any] = {}) -> Asked:
        """A request with *value* in a field, and what the caller has in all others."""
        live = self._stage.a.live
        target = target_of(operation, live)
        body = least_body(operation) if each is None else each.body_with(value)
        headers: dict[str, str] = {}
        query = {} if isinstance(body, dict) else dict(mode)
        if each is not None and each.place == "path":
            target = _with_path(operation, live, each.steps[0], value)
        elif each is not None and each.place == "query":
            query[each.steps[0]] = value
        elif each is not None and each.place == "header":
            headers[each.steps[0]] = value
        if isinstance(body, dict):
            body = {**body, **mode}
        if query:
            target += "?" + "&".join(f"{name}={quote(text, safe='')}" for name, text in query.items())
        return Asked(operation, target, body, headers)

    async def _ask(self, asked: Asked, key: str | None, *, admin: bool = False) -> Answer:
        return await self._stage.ask(
            asked.operation.method, asked.target, asked.body, key=key, headers=asked.headers, admin=admin
        )

    # WebSockets.

    async def _sockets(self) -> None:
        """The same fields in the frames of a WebSocket."""
        create = next(operation for operation in self._stage.operations if operation.name == "createResponse")
        for each in fields_of(create):
            if each.place != "body" or each.variant not in ("", "UserMessageInput", "ItemReferenceInput"):
                continue
            for label, value in self._values(each):
                await self._frame(each, label, value)

    async def _frame(self, each: Field, label: str, value: str) -> None:
        stage = self._stage
        where = f"WebSocket {each.name}"
        found = await self._said(each, value, stage.a.key)
        self._look(where, f"socket, {label}", found[2], value)
        other = invented(value)
        expected = await self._said(each, other, stage.a.key)
        if found != expected:
            self.report.problems.append(f"{where} {label} {value}: {found}, an invented id {expected}")
        for name, key in {**stage.bad, "other scope": await stage.key_without("responses:write")}.items():
            turned_away = await self._said(each, value, key)
            self._look(where, f"socket, {name}", turned_away[2], value)
            if turned_away != self._refused.setdefault("socket", turned_away):
                self.report.problems.append(f"{where} {name} {value}: {turned_away}")

    async def _said(self, each: Field, value: str, key: str | None) -> Comparable:
        frames = await self._stage.converse({"type": "response.create", **each.body_with(value)}, key=key)
        shown = [{name: inner for name, inner in frame.items() if name != "headers"} for frame in frames]
        return comparable(200, {}, orjson.dumps(shown), value)

    # What must not be.

    def _see(self, asked: Asked, label: str, answer: Answer, value: str) -> None:
        self._look(f"{asked.operation.method} {asked.target}", label, answer.body.decode(), value)
        if answer.status >= 500:
            self._problem(asked, label, f"is answered {answer.status}: {answer.body!r}")

    def _look(self, where: str, label: str, text: str, value: str) -> None:
        """Nothing of the other tenant was told, and nothing of it changed."""
        self.report.count_one(label)
        rest = text.replace(value, "") if value else text
        told = [each for each in (MARK, *self._stage.b.ids) if each in rest]
        if told:
            self.report.problems.append(f"{where} {label}: tells {told} in {text}")
        if changed := self._observer.changed():
            self.report.problems.append(f"{where} {label}: changed rows in {changed}")
            self._observer.before = self._observer.rows()

    def _problem(self, asked: Asked, label: str, why: str) -> None:
        self.report.problems.append(f"{asked.operation.method} {asked.target} {asked.body!r} {label}: {why}")


def _in_dialect(operation: Operation, refusal: str) -> str:
    """The name of a refusal in the form that errors have at an operation's path."""
    return f"{refusal}, in Messages" if operation.path.startswith("/v1/messages") else refusal


def _with_path(operation: Operation, live: Mapping[str, Sequence[str]], name: str, value: str) -> str:
    path = operation.path.replace(f"{{{name}}}", quote(value, safe=""))
    for other in operation.placeholders:
        if other != name:
            path = path.replace(f"{{{other}}}", live[other.removesuffix("_id")][0])
    return path
