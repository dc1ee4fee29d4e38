"""Bodies and queries of the API's state, and items as lists show them."""

from __future__ import annotations

from typing import Any

import pytest

from antiphon.formats.responses import ResponsesFormat
from antiphon.formats.responses.request import INCLUDES
from antiphon.hub.errors import AntiphonError, InvalidRequest
from antiphon.hub.format import ConversationDraft, PageRequest, RetrievalRequest
from antiphon.hub.items import JsonObject

FORMAT = ResponsesFormat()
SENT = {"role": "user", "content": "x"}
ITEM = {"type": "message", "role": "user", "status": "completed", "content": [{"type": "input_text", "text": "x"}]}


def fault(call: Any, value: Any) -> tuple[str, str | None, str | None]:
    """Message, param and code of the error that *call* raises."""
    with pytest.raises(InvalidRequest) as caught:
        call(value)
    return caught.value.message, caught.value.param, caught.value.code


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, ConversationDraft()),
        ({"items": None, "metadata": None}, ConversationDraft()),
        ({"items": [SENT], "metadata": {"a": "b"}}, ConversationDraft(items=(ITEM,), metadata={"a": "b"})),
        ({"items": [SENT] * 20}, ConversationDraft(items=(ITEM,) * 20)),
    ],
    ids=["empty", "nulls", "full", "twenty"],
)
def test_a_conversation_is_decoded(body: JsonObject, expected: ConversationDraft) -> None:
    """Items arrive in their full form; everything may be left out."""
    assert expected == FORMAT.decode_conversation(body)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            {"items": [SENT] * 21},
            (
                (
                    "Invalid 'items': array too long. Expected an array with maximum length 20, but got an array "
                    "with length 21 instead."
                ),
                "items",
                "array_above_max_length",
            ),
        ),
        ({"item": []}, ("Unknown parameter: 'item'. Did you mean 'items'?", "item", "unknown_parameter")),
        (
            {"items": [SENT, {"role": "user"}]},
            ("Missing required parameter: 'items[1].content'.", "items[1].content", "missing_required_parameter"),
        ),
        (
            {"items": [{"id": "msg_1"}, {"id": "msg_1"}]},
            (
                "Duplicate item found with id msg_1. Remove duplicate items from your input and try again.",
                "input",
                None,
            ),
        ),
    ],
    ids=["too-many", "unknown", "item", "duplicate"],
)
def test_a_wrong_conversation_is_named(body: JsonObject, expected: tuple[str, str, str]) -> None:
    """The path is that of the conversation's own body."""
    assert expected == fault(FORMAT.decode_conversation, body)


def test_metadata_is_replaced_or_cleared() -> None:
    """Null clears; what is sent replaces."""
    assert FORMAT.decode_metadata({"metadata": {"a": "b"}}) == {"a": "b"}
    assert FORMAT.decode_metadata({"metadata": None}) == {}


def test_an_update_needs_metadata() -> None:
    """An update that says nothing is a mistake."""
    expected = ("Missing required parameter: 'metadata'.", "metadata", "missing_required_parameter")
    assert expected == fault(FORMAT.decode_metadata, {})


@pytest.mark.parametrize("count", [1, 20])
def test_items_are_decoded(count: int) -> None:
    """One to twenty at a time."""
    assert (ITEM,) * count == FORMAT.decode_items({"items": [SENT] * count})


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "missing_required_parameter"),
        ({"items": None}, "invalid_type"),
        ({"items": []}, "empty_array"),
        ({"items": [SENT] * 21}, "array_above_max_length"),
    ],
    ids=["missing", "null", "none", "too-many"],
)
def test_wrong_items_are_named(body: JsonObject, code: str) -> None:
    """Fewer than one and more than twenty are refused."""
    assert ("items", code) == fault(FORMAT.decode_items, body)[1:]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, PageRequest()),
        ({"limit": ["1"]}, PageRequest(limit=1)),
        ({"limit": ["100"], "order": ["asc"]}, PageRequest(limit=100, order="asc")),
        ({"after": ["msg_1"]}, PageRequest(after="msg_1")),
        ({"include": [INCLUDES[0]]}, PageRequest(include=frozenset({INCLUDES[0]}))),
        ({"include[]": list(INCLUDES[:2])}, PageRequest(include=frozenset(INCLUDES[:2]))),
        ({"include": [INCLUDES[0]], "include[]": [INCLUDES[1]]}, PageRequest(include=frozenset(INCLUDES[:2]))),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",  # a set in an id would differ in each process
)
def test_a_page_is_decoded(query: dict[str, list[str]], expected: PageRequest) -> None:
    """Newest first and twenty, unless the query says otherwise."""
    assert expected == FORMAT.decode_page(query)


NOT_AN_INTEGER = (
    "Invalid type for 'limit': expected an integer, but got a string value that could not be converted into an integer."
)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (
            {"limit": ["1000"]},
            (
                "Invalid 'limit': integer above maximum value. Expected a value <= 100, but got 1000 instead.",
                "limit",
                "integer_above_max_value",
            ),
        ),
        (
            {"limit": ["0"]},
            (
                "Invalid 'limit': integer below minimum value. Expected a value >= 1, but got 0 instead.",
                "limit",
                "integer_below_min_value",
            ),
        ),
        ({"limit": ["ten"]}, (NOT_AN_INTEGER, "limit", "invalid_type")),
        ({"limit": ["1_0"]}, (NOT_AN_INTEGER, "limit", "invalid_type")),
        ({"limit": ["٣"]}, (NOT_AN_INTEGER, "limit", "invalid_type")),
        ({"limit": ["9" * 5000]}, (NOT_AN_INTEGER, "limit", "invalid_type")),
        ({"limit": ["1", "2"]}, ("Invalid 'limit': given more than once.", "limit", "invalid_value")),
        (
            {"order": ["up"]},
            ("Invalid value: 'up'. Supported values are: 'asc' and 'desc'.", "order", "invalid_value"),
        ),
        ({"before": ["msg_1"]}, ("Unknown parameter: 'before'.", "before", "unknown_parameter")),
        ({"limi": ["1"]}, ("Unknown parameter: 'limi'. Did you mean 'limit'?", "limi", "unknown_parameter")),
    ],
    ids=["above", "below", "word", "underscore", "other-digits", "endless", "twice", "order", "before", "near"],
)
def test_a_wrong_page_is_named(query: dict[str, list[str]], expected: tuple[str, str, str]) -> None:
    """Parameters are checked as strictly as a body's fields."""
    assert expected == fault(FORMAT.decode_page, query)


def test_an_unknown_include_is_named_by_its_place() -> None:
    """The second of two is ``include[1]``, however the list is written."""
    assert fault(FORMAT.decode_page, {"include[]": [INCLUDES[0], "x"]})[1:] == ("include[1]", "invalid_value")


def test_a_retrieval_says_what_is_wanted() -> None:
    """The response, or its stream from an event on; streams are not padded again unless that is asked for."""
    assert FORMAT.decode_retrieval({}) == RetrievalRequest()
    query = {"include[]": [INCLUDES[0]], "stream": ["false"]}
    assert FORMAT.decode_retrieval(query) == RetrievalRequest(include=frozenset({INCLUDES[0]}))
    query = {"stream": ["True"], "starting_after": ["7"], "include_obfuscation": ["true"]}
    assert FORMAT.decode_retrieval(query) == RetrievalRequest(stream=True, starting_after=7, include_obfuscation=True)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"stream": ["1"]}, "stream"),
        ({"stream": ["true", "true"]}, "stream"),
        ({"starting_after": ["1"]}, "starting_after"),
        ({"stream": ["true"], "starting_after": ["-1"]}, "starting_after"),
        ({"stream": ["true"], "starting_after": ["1.5"]}, "starting_after"),
        ({"include_obfuscation": ["true"]}, "include_obfuscation"),
        ({"limit": ["1"]}, "limit"),
    ],
    ids=str,
)
def test_a_retrieval_refuses_the_rest(query: dict[str, list[str]], param: str) -> None:
    """What is malformed, unknown, or means nothing without a stream is named."""
    with pytest.raises(AntiphonError) as caught:
        FORMAT.decode_retrieval(query)

    assert (400, param) == (caught.value.http_status, caught.value.param)


IMAGE = {"type": "input_image", "detail": "auto", "image_url": "u"}
# body, the include that shows it whole, what is shown without
SHOWN: list[tuple[JsonObject, str, JsonObject]] = [
    (
        {"type": "message", "role": "user", "content": [IMAGE]},
        "message.input_image.image_url",
        {"type": "message", "role": "user", "content": [{"type": "input_image", "detail": "auto"}]},
    ),
    (
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "x", "logprobs": [{}]}]},
        "message.output_text.logprobs",
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "x", "logprobs": []}]},
    ),
    (
        {"type": "computer_call_output", "output": {"type": "computer_screenshot", "image_url": "u"}},
        "computer_call_output.output.image_url",
        {"type": "computer_call_output", "output": {"type": "computer_screenshot"}},
    ),
    (
        {"type": "web_search_call", "action": {"type": "search", "sources": []}},
        "web_search_call.action.sources",
        {"type": "web_search_call", "action": {"type": "search"}},
    ),
    ({"type": "web_search_call", "results": []}, "web_search_call.results", {"type": "web_search_call"}),
    (
        {"type": "reasoning", "summary": [], "encrypted_content": "g"},
        "reasoning.encrypted_content",
        {"type": "reasoning", "summary": []},
    ),
    (
        {"type": "file_search_call", "results": [{}]},
        "file_search_call.results",
        {"type": "file_search_call", "results": None},
    ),
    (
        {"type": "code_interpreter_call", "outputs": [{}]},
        "code_interpreter_call.outputs",
        {"type": "code_interpreter_call", "outputs": None},
    ),
]


@pytest.mark.parametrize(("body", "include", "expected"), SHOWN, ids=[row[1] for row in SHOWN])
def test_a_list_shows_additional_data_only_on_request(body: JsonObject, include: str, expected: JsonObject) -> None:
    """What ``include`` can ask for is left out by default, and the stored item is not touched."""
    before = repr(body)

    assert expected == FORMAT.show_item(body, frozenset())
    assert FORMAT.show_item(body, frozenset({include})) is body
    assert before == repr(body)


def test_every_include_has_its_rule() -> None:
    """No value of ``include`` is accepted without meaning anything."""
    assert {row[1] for row in SHOWN} == set(INCLUDES)


def test_an_ordinary_item_is_shown_as_it_is() -> None:
    """Nothing is copied where nothing is left out."""
    assert FORMAT.show_item(ITEM, frozenset()) is ITEM
    assert FORMAT.show_item({"type": "later"}, frozenset()) == {"type": "later"}
