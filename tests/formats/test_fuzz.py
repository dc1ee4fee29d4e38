"""Whatever is sent, decoding ends in a turn or in one of our errors."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.formats.responses import ResponsesFormat
from antiphon.formats.responses.items import ITEM_TYPES
from antiphon.formats.responses.request import FIELDS
from antiphon.hub.errors import AntiphonError

FORMAT = ResponsesFormat()

NAMES = st.sampled_from(
    [
        *(
            "type",
            "id",
            "role",
            "content",
            "text",
            "image_url",
            "call_id",
            "output",
            "name",
            "arguments",
            "tools",
            "status",
        ),
        *(
            "summary",
            "operation",
            "action",
            "commands",
            "format",
            "schema",
            "effort",
            "environment",
            "container",
            "mode",
        ),
    ]
)
WORDS = st.sampled_from(
    [
        *ITEM_TYPES,
        *(
            "user",
            "assistant",
            "system",
            "input_text",
            "input_image",
            "input_file",
            "output_text",
            "refusal",
            "function",
        ),
        *("custom", "namespace", "mcp", "json_schema", "text", "auto", "allowed_tools", "conv_1", "completed", ""),
    ]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.just(10**60) | st.floats() | WORDS | st.text(max_size=8)
JSON: st.SearchStrategy[Any] = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=8), inner, max_size=6),
    max_leaves=12,
)
OBJECTS = st.dictionaries(NAMES | st.text(max_size=8), JSON, max_size=6)
ITEMS = st.lists(OBJECTS, max_size=4)
REQUESTS = st.dictionaries(st.sampled_from(list(FIELDS)) | st.text(max_size=8), JSON, max_size=6)


def check_error(error: AntiphonError) -> None:
    """A client's error is rendered without trouble and is not longer than what a person reads."""
    assert error.http_status in (400, 404)
    assert len(orjson.dumps(error.envelope())) < 4096


@settings(max_examples=100, deadline=None)
@given(body=REQUESTS, items=JSON | ITEMS, tools=JSON | ITEMS)
def test_no_request_raises_anything_but_our_errors(body: dict[str, Any], items: Any, tools: Any) -> None:
    """A request of any shape is decoded or refused by name."""
    for candidate in (body, {**body, "model": "m", "input": items}, {"model": "m", "input": items, "tools": tools}):
        try:
            turn = FORMAT.decode(candidate)
        except AntiphonError as error:
            check_error(error)
        else:
            assert all(isinstance(item["type"], str) for item in turn.input)


@settings(max_examples=60, deadline=None)
@given(body=OBJECTS, items=JSON | ITEMS, metadata=JSON)
def test_no_state_body_raises_anything_but_our_errors(body: dict[str, Any], items: Any, metadata: Any) -> None:
    """The bodies of the Conversations API are no different; what they give can be shown."""
    for call in (FORMAT.decode_conversation, FORMAT.decode_items, FORMAT.decode_metadata):
        for candidate in (body, {"items": items}, {"items": items, "metadata": metadata}, {"metadata": metadata}):
            try:
                call(candidate)
            except AntiphonError as error:
                check_error(error)
    with contextlib.suppress(AntiphonError):
        for item in FORMAT.decode_items({"items": items}):
            FORMAT.show_item(item, frozenset())


@given(
    query=st.dictionaries(
        st.sampled_from(["limit", "order", "after", "include", "stream"]) | st.text(max_size=8),
        st.lists(st.text(max_size=12), max_size=3),
        max_size=4,
    )
)
def test_no_query_raises_anything_but_our_errors(query: dict[str, list[str]]) -> None:
    """A query of any shape is decoded or refused by name."""
    for call in (FORMAT.decode_page, FORMAT.decode_shown, FORMAT.decode_retrieval, FORMAT.decode_response_list):
        try:
            call(query)
        except AntiphonError as error:
            check_error(error)


@settings(max_examples=80, deadline=None)
@given(items=ITEMS)
def test_items_that_are_decoded_again_stay_the_same(items: list[Any]) -> None:
    """The full form is a fixed point: what is stored can be sent back."""
    with contextlib.suppress(AntiphonError):
        once = FORMAT.decode({"model": "m", "input": items, "previous_response_id": "resp_1"}).input
        assert once == FORMAT.decode({"model": "m", "input": list(once), "previous_response_id": "resp_1"}).input


def test_the_work_grows_with_the_size_of_the_request() -> None:
    """Twice the items, parts or unknown names cost about twice the calls, whatever is in them."""

    def calls(count: int) -> int:
        seen = 0

        def profile(_frame: object, event: str, _arg: object) -> None:
            nonlocal seen
            seen += event in ("call", "c_call")

        bodies: list[dict[str, Any]] = [
            {"model": "m", "input": [{"role": "user", "content": "x"}] * count},
            {"model": "m", "input": [{"role": "user", "content": [{"type": "input_text", "text": "x"}] * count}]},
            {"model": "m", "input": "x", **{f"unknown{i}": 1 for i in range(count)}},
            {"model": "m", "input": "x", "metadatum" + "x" * count: 1},
            {"model": "m", "input": "x", "tools": [{"type": "function", "name": f"f{i}"} for i in range(count)]},
        ]
        sys.setprofile(profile)
        try:
            for body in bodies:
                with contextlib.suppress(AntiphonError):
                    FORMAT.decode(body)
        finally:
            sys.setprofile(None)
        return seen

    assert calls(400) < 2.5 * calls(200)
