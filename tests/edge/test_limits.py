"""Limits of what arrives: at the limit it passes, beyond it the refusal names the limit, and no turn begins."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from antiphon import InMemorySessionStore
from antiphon.formats.chat import ChatFormat
from antiphon.formats.chat.completions import CompletionsFormat
from antiphon.formats.messages import MessagesFormat
from antiphon.formats.responses import ResponsesFormat
from antiphon.hub.format import ClientDialects
from antiphon.server.asgi import Edge
from antiphon.server.body import BodyLimits
from antiphon.server.guard import Guard
from antiphon.server.head import HeadLimits
from tests.edge.limit_table import CASES, SMALL, Case, Sent
from tests.support.asgi_client import Answer, ask
from tests.support.ready_upstream import MODEL, ReadyTransport, ready_gateway


class Limited:
    """A gateway with the table's limits."""

    def __init__(self, edge: Edge, upstream: ReadyTransport) -> None:
        self.edge = edge
        self.upstream = upstream

    async def take(self, sent: Sent) -> Answer:
        """Ask it."""
        names = [name for name, _ in sent.headers]
        kind = [] if b"content-type" in names else [(b"content-type", b"application/json")]
        headers = [*kind, *sent.headers]
        return await ask(self.edge, sent.method, sent.target, headers=headers, chunks=[sent.data])

    async def respond(self, **fields: object) -> Answer:
        """A stored turn."""
        return await self.take(Sent({"model": MODEL, "input": "hi", **fields}))


@pytest.fixture
async def limited() -> AsyncIterator[Limited]:
    gateway, upstream = ready_gateway(
        InMemorySessionStore(),
        format=ResponsesFormat(max_items=SMALL["max_items"], max_tools=SMALL["max_tools"]),
        dialects=ClientDialects(
            chat=ChatFormat(max_items=SMALL["max_items"], max_tools=SMALL["max_tools"]),
            completions=CompletionsFormat(),
            messages=MessagesFormat(max_items=SMALL["max_items"], max_tools=SMALL["max_tools"]),
        ),
        max_history_items=SMALL["max_history_items"],
    )
    head = HeadLimits(max_header_bytes=SMALL["max_header_bytes"], max_headers=SMALL["max_headers"])
    body = BodyLimits(
        max_body_bytes=SMALL["max_body_bytes"],
        max_json_depth=SMALL["max_json_depth"],
        max_json_members=SMALL["max_json_members"],
    )
    async with gateway:
        yield Limited(gateway.asgi(guard=Guard(limits=head), body_limits=body), upstream)


def test_the_table_is_as_long_as_it_is_said_to_be() -> None:
    """A hundred limits, each under a name of its own."""
    assert len({case.what for case in CASES}) == len(CASES) >= 100


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what.replace(" ", "-"))
async def test_limit(limited: Limited, case: Case) -> None:
    """At the limit a request passes; beyond it, the error names the limit and nothing is asked of the upstream."""
    passed = await limited.take(case.at)
    assert passed.status == 200, passed.body[:500]
    asked = limited.upstream.turns
    refused = await limited.take(case.beyond)
    assert refused.status == case.status, refused.body[:500]
    assert refused.starts == 1
    error = refused.error
    assert case.says in error["message"]
    assert case.code in (None, error["code"])
    assert case.param in (None, error["param"])
    assert limited.upstream.turns == asked


@pytest.mark.parametrize(
    ("field", "limit", "entries"),
    [
        ("messages", "max_items", [{"role": "user", "content": "hi"}] * 51),
        ("tools", "max_tools", [{"name": f"f{number}", "input_schema": {}} for number in range(31)]),
    ],
    ids=["messages", "tools"],
)
async def test_a_limit_of_messages_is_told_in_its_own_form(
    limited: Limited, field: str, limit: str, entries: list[object]
) -> None:
    """The error names the field and the limit, in the envelope that clients of that API know."""
    asked = {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    passed = await limited.take(Sent({**asked, field: entries[: SMALL[limit]]}, target="/v1/messages"))
    refused = await limited.take(Sent({**asked, field: entries}, target="/v1/messages"))

    assert (passed.status, refused.status) == (200, 400)
    assert refused.json["error"]["type"] == "invalid_request_error"
    assert f"'{field}'" in refused.json["error"]["message"]
    assert limit in refused.json["error"]["message"]


async def test_a_history_that_is_too_long_is_refused(limited: Limited) -> None:
    """A turn on more items than max_history_items is 400, says so, and the response before it can still be read."""
    parent = None
    for _ in range(SMALL["max_history_items"] // 2):  # two items each
        answer = await limited.respond(**({"previous_response_id": parent} if parent else {}))
        assert answer.status == 200, answer.body
        parent = answer.json["id"]
    last = await limited.respond(previous_response_id=parent)
    assert last.status == 200, "a history of exactly as many"
    refused = await limited.respond(previous_response_id=last.json["id"])
    assert (refused.status, refused.error["code"], refused.error["param"]) == (
        400, "context_length_exceeded", "previous_response_id",
    )  # fmt: skip
    assert "max_history_items (12)" in refused.error["message"]
    assert (await limited.take(Sent(method="GET", target=f"/v1/responses/{last.json['id']}"))).status == 200


async def test_a_conversation_that_is_too_long_is_refused(limited: Limited) -> None:
    """The same for a conversation, by its own name."""
    item = {"type": "message", "role": "user", "content": "hi"}
    created = await limited.take(Sent({"items": [item] * 13}, target="/v1/conversations"))
    refused = await limited.respond(conversation=created.json["id"])
    assert (refused.status, refused.error["code"], refused.error["param"]) == (
        400, "context_length_exceeded", "conversation",
    )  # fmt: skip


async def test_strings_come_back_as_they_were_sent(limited: Limited) -> None:
    """NUL, separators, combining and astral characters in input and metadata are kept to the last code point."""
    text = "a\x00b\u2028c\u2029\u0085\x7f\u200f\ufeff\U0001f600e\u0301\uffff\\u0000\"'\r\n\t"
    created = await limited.respond(input=text, metadata={"k": text})
    response = created.json
    assert response["metadata"] == {"k": text}
    shown = await limited.take(Sent(method="GET", target=f"/v1/responses/{response['id']}/input_items"))
    assert shown.json["data"][0]["content"][0]["text"] == text


async def test_of_two_members_of_one_name_the_last_counts(limited: Limited) -> None:
    """Nothing of the first is seen by anybody."""
    answer = await limited.take(Sent(b'{"model":"unknown","model":"m","input":"first","input":"last","store":true}'))
    assert answer.status == 200
    shown = await limited.take(Sent(method="GET", target=f"/v1/responses/{answer.json['id']}/input_items"))
    assert [item["content"][0]["text"] for item in shown.json["data"]] == ["last"]
