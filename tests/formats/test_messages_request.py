"""Requests of the Messages dialect: what each field and block becomes, and what is refused by which name."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.formats.messages import MessagesFormat
from antiphon.formats.messages.request import decode
from antiphon.hub.errors import InvalidRequest, UnsupportedParameter
from antiphon.hub.items import JsonObject, Private
from antiphon.providers.anthropic import Anthropic
from tests.formats.messages_turns import DIALECT, FORMAT, WEATHER, assistant, body, user

TEXT = {"type": "text", "text": "Hi"}
MARK = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
PIXEL = "iVBORw0KGgo="
PDF = "JVBERi0xLjQ="


def items(*messages: JsonObject) -> tuple[JsonObject, ...]:
    return FORMAT.decode(body(*messages)).request.input


def parts(*blocks: JsonObject) -> list[JsonObject]:
    """What the blocks of one user message become."""
    (item,) = items(user(*blocks))
    content: list[JsonObject] = item["content"]
    return content


def test_the_least_request_is_a_turn_that_is_not_kept() -> None:
    """Model, limit and messages suffice; nothing is stored unless somebody asks for it."""
    request = FORMAT.decode(body(user("Hi"))).request

    expected = {
        "type": "message",
        "role": "user",
        "status": "completed",
        "content": [{"type": "input_text", "text": "Hi"}],
    }
    assert (request.model, request.max_output_tokens, request.store, request.stream) == ("m", 64, False, False)
    assert request.input == (expected,)
    assert request.not_applied == ()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"system": "Be brief."}, {"instructions": "Be brief."}),
        ({"system": [TEXT, {"type": "text", "text": "Ho", **MARK}]}, {"instructions": "Hi\n\nHo"}),
        ({"system": ""}, {"instructions": None}),
        ({"stream": True}, {"stream": True}),
        ({"temperature": 0.5, "top_p": 1}, {"temperature": 0.5, "top_p": 1.0}),
        ({"stop_sequences": ["END", "\n"]}, {"stop": ("END", "\n")}),
        ({"metadata": {"user_id": "u" * 200}}, {"safety_identifier": "u" * 200}),
        ({"service_tier": "standard_only"}, {"service_tier": "default"}),
        ({"service_tier": "auto"}, {"service_tier": "auto"}),
        ({"thinking": {"type": "disabled"}}, {"reasoning": {"effort": "none"}}),
        ({"thinking": {"type": "adaptive"}}, {"reasoning": {"summary": "auto"}}),
        ({"thinking": {"type": "adaptive", "display": "omitted"}}, {"reasoning": {"effort": "high"}}),
        ({"output_config": {"effort": "xhigh"}}, {"reasoning": {"effort": "xhigh"}}),
        (
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
            {"reasoning": {"effort": "low", "summary": "auto"}},
        ),
        (
            {"context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}},
            {"reasoning": {"context": "all_turns"}},
        ),
        ({"context_management": {"edits": []}}, {"reasoning": {}}),
        ({"tools": [WEATHER], "tool_choice": {"type": "any"}}, {"tool_choice": "required"}),
        ({"tools": [WEATHER], "tool_choice": {"type": "none"}}, {"tool_choice": "none"}),
        (
            {"tools": [WEATHER], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
            {"tool_choice": "auto", "parallel_tool_calls": False},
        ),
        (
            {"tools": [WEATHER], "tool_choice": {"type": "tool", "name": "get_weather"}},
            {"tool_choice": {"type": "function", "name": "get_weather"}, "parallel_tool_calls": True},
        ),
        ({"top_k": None, "container": None, "mcp_servers": [], "speed": "standard"}, {"not_applied": ()}),
    ],
    ids=lambda value: orjson.dumps(value).decode()[:60] if isinstance(value, dict) and "stop" not in value else None,
)
def test_a_setting_is_said_in_the_hubs_words(fields: JsonObject, expected: JsonObject) -> None:
    """Each field of the dialect has one meaning in the hub."""
    request = FORMAT.decode(body(**fields)).request

    assert {name: getattr(request, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("budget_tokens", "effort"),
    [(1024, "low"), (4096, "low"), (4097, "medium"), (12_288, "medium"), (12_289, "high"), (31_999, "high")],
)
def test_a_budget_becomes_the_effort_that_comes_nearest(budget_tokens: int, effort: str) -> None:
    """The hub knows no budgets; that the number itself has no effect is reported."""
    thinking = {"type": "enabled", "budget_tokens": budget_tokens}

    request = FORMAT.decode(body(max_tokens=64_000, thinking=thinking)).request

    assert request.reasoning == {"effort": effort, "summary": "auto"}
    assert request.not_applied == ("thinking.budget_tokens",)


@pytest.mark.parametrize(
    "fields",
    [
        {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object", "default": None}}}},
        {"output_format": {"type": "json_schema", "schema": {"type": "object", "default": None}}},
    ],
    ids=["now", "in the beta"],
)
def test_a_format_is_a_strict_schema(fields: JsonObject) -> None:
    """The schema arrives as it was sent, under a name that the dialect does not have."""
    request = FORMAT.decode(body(**fields)).request

    schema = {"type": "object", "default": None}
    expected = {"type": "json_schema", "name": "output", "schema": schema, "strict": True}
    assert request.text == {"format": expected, "verbosity": "medium"}


def test_the_dialect_has_the_name_of_the_provider_that_speaks_it() -> None:
    """What clients speak and what upstreams speak is one dialect."""
    assert DIALECT.dialect == Anthropic().dialect


def test_a_tool_is_a_function() -> None:
    """A tool of the client's own keeps its name, words and schema; what the API does not know rides along."""
    tools = [WEATHER, {**WEATHER, "type": "custom", "name": "b", "strict": True, "novel": 1, **MARK}]

    turn = FORMAT.decode(body(tools=tools))

    plain = {
        "type": "function",
        "description": "Tells the weather.",
        "name": "get_weather",
        "output_schema": None,
        "parameters": WEATHER["input_schema"],
        "strict": None,
    }
    assert turn.request.tools == (plain, {**plain, "name": "b", "strict": True, "novel": 1})
    assert turn.request.not_applied == ("cache_control",)


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (TEXT, [{"type": "input_text", "text": "Hi"}]),
        ({**TEXT, "novel": 1}, [{"type": "input_text", "text": "Hi", "novel": 1}]),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
            [{"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{PIXEL}"}],
        ),
        (
            {"type": "image", "source": {"type": "url", "url": "https://x.example/a.png"}},
            [{"type": "input_image", "detail": "auto", "image_url": "https://x.example/a.png"}],
        ),
        (
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}},
            [{"type": "input_file", "file_data": f"data:application/pdf;base64,{PDF}"}],
        ),
        (
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "Ä"},
                "title": "a.txt",
                "context": "Old.",
                "citations": {"enabled": False},
            },
            [
                {"type": "input_text", "text": "Old."},
                {
                    "type": "input_file",
                    "file_data": f"data:text/plain;base64,{b64encode('Ä'.encode()).decode()}",
                    "filename": "a.txt",
                },
            ],
        ),
        (
            {"type": "document", "source": {"type": "url", "url": "https://x.example/a.pdf"}},
            [{"type": "input_file", "file_url": "https://x.example/a.pdf"}],
        ),
        (
            {"type": "document", "source": {"type": "content", "content": [TEXT]}, "title": 'A "b"'},
            [
                {"type": "input_text", "text": "<document title='A \"b\"'>"},
                {"type": "input_text", "text": "Hi"},
                {"type": "input_text", "text": "</document>"},
            ],
        ),
        (
            {"type": "search_result", "source": "https://x.example", "title": "T", "content": [TEXT, TEXT]},
            [
                {
                    "type": "input_text",
                    "text": '<search_result source="https://x.example" title="T">\nHi\n\nHi\n</search_result>',
                }
            ],
        ),
    ],
    ids=["text", "unknown field", "image", "image url", "pdf", "text file", "url", "content", "search result"],
)
def test_a_block_of_the_user_becomes_parts(block: JsonObject, expected: list[JsonObject]) -> None:
    """Every kind of block that a user may send arrives, alone and in the result of a tool."""
    call = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}

    found = items(user("a"), assistant(call), user({"type": "tool_result", "tool_use_id": "t1", "content": [block]}))

    assert parts(block) == expected
    assert found[-1]["output"] == expected


def test_a_tool_loop_keeps_its_order() -> None:
    """Thinking, text, calls and results become items one by one, in the order of the blocks."""
    said = [
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "text", "text": "Let me see."},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": [1, None]}, "caller": {"type": "direct"}},
        {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}},
    ]
    results = [
        {"type": "tool_result", "tool_use_id": "toolu_2", "content": "no", "is_error": True},
        {"type": "tool_result", "tool_use_id": "toolu_1"},
        {"type": "text", "text": "Well?"},
    ]

    turn = FORMAT.decode(body(user("a"), assistant(*said), user(*results)))

    found = turn.request.input
    assert [item["type"] for item in found] == [
        "message",
        "reasoning",
        "message",
        "function_call",
        "function_call",
        "function_call_output",
        "function_call_output",
        "message",
    ]
    text = {"type": "output_text", "text": "Let me see.", "annotations": [], "logprobs": []}
    assert found[2] == {"type": "message", "role": "assistant", "status": "completed", "content": [text]}
    assert [item.get("call_id") for item in found[3:7]] == ["toolu_1", "toolu_2", "toolu_2", "toolu_1"]
    assert [item["arguments"] for item in found[3:5]] == ['{"a":[1,null]}', "{}"]
    assert [(item["output"], item["status"]) for item in found[5:7]] == [("no", "incomplete"), ("", "completed")]


def test_signed_thinking_has_its_signature_beside_the_item() -> None:
    """Whose a signature is cannot be told. It goes by the item's place; thoughts in a row are one item."""
    first = {"type": "thinking", "thinking": "One.", "signature": "c2ln"}
    second = {"type": "redacted_thinking", "data": "ZGF0YQ=="}

    turn = FORMAT.decode(body(user("a"), assistant(first, second, TEXT), user("b")))

    assert turn.request.input[1] == {"type": "reasoning", "summary": [{"type": "summary_text", "text": "One."}]}
    assert turn.private == {1: Private("anthropic", "", {"blocks": [first, second]})}


@pytest.mark.parametrize("block", [{"signature": ""}, {}, {"signature": "antiphon-blocks.!"}])
def test_unsigned_thinking_is_its_text_alone(block: JsonObject) -> None:
    """Thinking of another provider, or with a signature of ours that was altered, breaks nothing."""
    turn = FORMAT.decode(body(user("a"), assistant({"type": "thinking", "thinking": "Hm.", **block}, TEXT), user("b")))

    assert turn.request.input[1] == {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}
    assert turn.private == {}


def test_thoughts_of_two_messages_are_two_items() -> None:
    """A message ends what was thought in it, also where the next one goes on thinking."""
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}

    turn = FORMAT.decode(body(user("a"), assistant(thinking), assistant(thinking, TEXT), user("b")))

    assert [item["type"] for item in turn.request.input] == ["message", "reasoning", "reasoning", "message", "message"]
    assert list(turn.private) == [1, 2]


@pytest.mark.parametrize(
    ("given_back", "arguments"),
    [
        ({"INVALID_JSON": '{"a": tru'}, '{"a": tru'),
        ({"INVALID_JSON": "x", "b": 1}, '{"INVALID_JSON":"x","b":1}'),
        ({"INVALID_JSON": 1}, '{"INVALID_JSON":1}'),
    ],
    ids=["ours", "with more", "no text"],
)
def test_arguments_that_were_no_object_are_the_models_own_again(given_back: JsonObject, arguments: str) -> None:
    """What was put in an object for the client alone is taken out of it; an object of its own stays one."""
    found = items(user("a"), assistant({"type": "tool_use", "id": "t", "name": "f", "input": given_back}), user("b"))

    assert found[1]["arguments"] == arguments


def test_citations_that_come_back_are_annotations() -> None:
    """A cited address stays an address, a cited document a file."""
    citations = [
        {"type": "web_search_result_location", "url": "https://x.example", "title": None, "cited_text": "H"},
        {"type": "char_location", "document_title": "a.txt", "cited_text": "H", "document_index": 0},
    ]

    found = items(user("a"), assistant({**TEXT, "citations": citations}), user("b"))

    assert found[1]["content"][0]["annotations"] == [
        {"type": "url_citation", "start_index": 0, "end_index": 2, "url": "https://x.example", "title": ""},
        {"type": "file_citation", "file_id": "", "filename": "a.txt", "index": 2},
    ]


def test_a_system_message_in_between_stays_where_it_is() -> None:
    """Instructions in the middle of a dialogue are an item of the system's."""
    found = items(user("a"), {"role": "system", "content": "Switch."}, user("b"))

    assert [item["role"] for item in found] == ["user", "system", "user"]


@pytest.mark.parametrize(
    "fields",
    [
        {"cache_control": {"type": "ephemeral"}},
        {"system": [{**TEXT, **MARK}]},
        {"tools": [{**WEATHER, **MARK}]},
        {"messages": [user({**TEXT, **MARK})]},
        {"messages": [user({"type": "document", "source": {"type": "content", "content": [{**TEXT, **MARK}]}})]},
    ],
    ids=["request", "system", "tool", "block", "inner block"],
)
def test_marks_of_the_cache_are_accepted_and_reported(fields: JsonObject) -> None:
    """What is cached is the provider's to decide; the client is told that its marks do not."""
    turn = FORMAT.decode({**body(), **fields})

    assert turn.request.not_applied == ("cache_control",)
    assert b"cache_control" not in orjson.dumps([turn.request.input, turn.request.tools])


REFUSED: dict[str, tuple[JsonObject, str]] = {
    "top_k": ({"top_k": 5}, "top_k"),
    "speed": ({"speed": "fast"}, "speed"),
    "container": ({"container": "c_1"}, "container"),
    "mcp": ({"mcp_servers": [{"type": "url", "url": "https://x.example", "name": "x"}]}, "mcp_servers"),
    "geography": ({"inference_geo": "eu"}, "inference_geo"),
    "cache only": ({"max_tokens": 0}, "max_tokens"),
    "thinking": ({"thinking": {"type": "between_tools"}}, "thinking"),
    "server tool": ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0]"),
    "deferred tool": ({"tools": [{**WEATHER, "defer_loading": True}]}, "tools[0].defer_loading"),
    "examples": ({"tools": [{**WEATHER, "input_examples": [{}]}]}, "tools[0].input_examples"),
    "callers": ({"tools": [{**WEATHER, "allowed_callers": ["direct", "x"]}]}, "tools[0].allowed_callers"),
    "clearing": (
        {"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}},
        "context_management.edits[0]",
    ),
    "clearing thoughts": (
        {
            "context_management": {
                "edits": [{"type": "clear_thinking_20251015", "keep": {"type": "thinking_turns", "value": 1}}]
            }
        },
        "context_management.edits[0].keep",
    ),
    "prefill": ({"messages": [user("a"), assistant("{")]}, "messages[1]"),
    "file": (
        {"messages": [user({"type": "image", "source": {"type": "file", "file_id": "f"}})]},
        "messages[0].content[0].source",
    ),
    "citations": (
        {
            "messages": [
                user(
                    {
                        "type": "document",
                        "source": {"type": "url", "url": "https://x.example/a"},
                        "citations": {"enabled": True},
                    }
                )
            ]
        },
        "messages[0].content[0].citations.enabled",
    ),
    "server block": (
        {"messages": [assistant({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}), user("b")]},
        "messages[0].content[0]",
    ),
    "nested block": (
        {
            "messages": [
                user(
                    {
                        "type": "tool_result",
                        "tool_use_id": "t",
                        "content": [{"type": "tool_reference", "tool_name": "x"}],
                    }
                )
            ]
        },
        "messages[0].content[0].content[0]",
    ),
    "caller": (
        {
            "messages": [
                assistant(
                    {"type": "tool_use", "id": "t", "name": "f", "input": {}, "caller": {"type": "code_execution"}}
                ),
                user("b"),
            ]
        },
        "messages[0].content[0].caller",
    ),
}


@pytest.mark.parametrize(("fields", "param"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_served_is_refused_by_name(fields: JsonObject, param: str) -> None:
    """A field that is valid in the API and has nothing behind it is named, in the message as well."""
    with pytest.raises(UnsupportedParameter) as caught:
        decode({**body(), **fields})

    assert caught.value.param == param
    assert f"'{param}'" in caught.value.message


WRONG: dict[str, tuple[JsonObject, str | None]] = {
    "no model": ({"model": None}, "model"),
    "no limit": ({"max_tokens": None}, "max_tokens"),
    "limit": ({"max_tokens": -1}, "max_tokens"),
    "messages": ({"messages": "Hi"}, "messages"),
    "no messages": ({"messages": []}, "messages"),
    "empty messages": ({"messages": [{"role": "user", "content": []}]}, "messages"),
    "unknown in a message": ({"messages": [{**user("a"), "novel": 1}]}, "messages[0].novel"),
    "role": ({"messages": [{"role": "tool", "content": "a"}]}, "messages[0].role"),
    "content": ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
    "block": ({"messages": [user({"text": "a"})]}, "messages[0].content[0].type"),
    "block of the other role": (
        {"messages": [user({"type": "tool_use", "id": "t", "name": "f", "input": {}})]},
        "messages[0].content[0]",
    ),
    "image": (
        {"messages": [user({"type": "image", "source": {"type": "base64", "media_type": "image/bmp", "data": "a"}})]},
        "messages[0].content[0].source.media_type",
    ),
    "a name of the hub's": ({"messages": [user({**TEXT, "annotations": []})]}, "messages[0].content[0].annotations"),
    "an id": ({"messages": [{**user("a"), "id": "msg_1"}]}, "messages[0].id"),
    "unknown in a source": (
        {"messages": [user({"type": "image", "source": {"type": "url", "url": "a", "novel": 1}})]},
        "messages[0].content[0].source.novel",
    ),
    "unknown in the system": ({"system": [{**TEXT, "novel": 1}]}, "system[0].novel"),
    "temperature": ({"temperature": 1.5}, "temperature"),
    "stop": ({"stop_sequences": [""]}, "stop_sequences[0]"),
    "unknown": ({"max_output_tokens": 1}, "max_output_tokens"),
    "tool name": ({"tools": [{**WEATHER, "name": "a b"}]}, "tools[0].name"),
    "no schema": ({"tools": [{"name": "a"}]}, "tools[0].input_schema"),
    "two of a name": ({"tools": [WEATHER, WEATHER]}, "tools[1].name"),
    "choice": ({"tools": [WEATHER], "tool_choice": {"type": "tool", "name": "x"}}, "tool_choice"),
    "choice without tools": ({"tool_choice": {"type": "any"}}, "tool_choice"),
    "small budget": ({"thinking": {"type": "enabled", "budget_tokens": 1}}, "thinking.budget_tokens"),
    "large budget": ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "thinking.budget_tokens"),
    "effort": ({"output_config": {"effort": "ultra"}}, "output_config.effort"),
    "two formats": (
        {
            "output_config": {"format": {"type": "json_schema", "schema": {}}},
            "output_format": {"type": "json_schema", "schema": {}},
        },
        "output_format",
    ),
}


@pytest.mark.parametrize(("fields", "param"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named(fields: JsonObject, param: str) -> None:
    """A field of the wrong form is an error that says where it is."""
    with pytest.raises(InvalidRequest) as caught:
        decode({name: value for name, value in {**body(), **fields}.items() if value is not None})

    assert not isinstance(caught.value, UnsupportedParameter)
    assert caught.value.param == param


def test_an_unknown_field_can_be_ignored_and_is_reported_then() -> None:
    """A gateway that is configured so names what it did not understand."""
    turn = MessagesFormat(unknown_parameters="ignore").decode(body(novel=1))

    assert turn.request.not_applied == ("novel",)


@pytest.mark.parametrize(
    ("limits", "param"), [({"max_items": 2}, "messages"), ({"max_tools": 0}, "tools")], ids=["items", "tools"]
)
def test_a_request_over_a_limit_is_refused(limits: dict[str, int], param: str) -> None:
    """The gateway's limits hold for what the messages become, however they are written."""
    long = body(user("a"), assistant("b"), user("c"), tools=[WEATHER])

    FORMAT.decode(long)
    with pytest.raises(InvalidRequest) as caught:
        MessagesFormat(max_items=limits.get("max_items", 9), max_tools=limits.get("max_tools", 9)).decode(long)

    assert caught.value.param == param


def test_a_count_needs_no_limit_and_may_end_with_the_assistant() -> None:
    """What is counted is what would be sent, with tools and thinking; settings of an answer are no part of it."""
    counted: dict[str, Any] = {"model": "m", "messages": [user("a"), assistant("b")], "tools": [WEATHER]}

    request = FORMAT.decode_count(counted).request

    assert len(request.input) == 2
    assert [tool["name"] for tool in request.tools] == ["get_weather"]
    with pytest.raises(InvalidRequest) as caught:
        FORMAT.decode_count({**counted, "max_tokens": 1})
    assert caught.value.param == "max_tokens"
    assert FORMAT.encode_count(7) == b'{"input_tokens":7}'


FULL = body(
    user(
        TEXT,
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
        {"type": "document", "source": {"type": "content", "content": [TEXT]}, "title": "a", "context": "b"},
        {"type": "search_result", "source": "a", "title": "b", "content": [TEXT]},
    ),
    assistant(
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "ZGF0YQ=="},
        {**TEXT, "citations": [{"type": "web_search_result_location", "url": "https://x.example"}]},
        {"type": "tool_use", "id": "t1", "name": "get_weather", "input": {"city": "Paris"}},
    ),
    user({"type": "tool_result", "tool_use_id": "t1", "content": [TEXT], "is_error": True}),
    system=[{**TEXT, **MARK}],
    tools=[{**WEATHER, **MARK}],
    tool_choice={"type": "tool", "name": "get_weather", "disable_parallel_tool_use": True},
    thinking={"type": "enabled", "budget_tokens": 1024, "display": "omitted"},
    max_tokens=2000,
    output_config={"effort": "low", "format": {"type": "json_schema", "schema": {}}},
    context_management={"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    stop_sequences=["a"],
    metadata={"user_id": "u"},
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything in a JSON value."""
    if isinstance(value, dict):
        return [path, *(place for name, part in value.items() for place in places(part, (*path, name)))]
    if isinstance(value, list):
        return [path, *(place for index, part in enumerate(value) for place in places(part, (*path, index)))]
    return [path]


def with_other(value: Any, path: tuple[Any, ...], other: Any) -> Any:
    """A JSON value in which something else stands at *path*."""
    if not path:
        return other
    changed = value.copy()
    changed[path[0]] = with_other(value[path[0]], path[1:], other)
    return changed


OTHERS = st.sampled_from([None, True, 0, -1, 1e300, "", "a", "text", "document", [], [None], [TEXT], {}, {"type": "x"}])


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(places(FULL)[1:]), OTHERS)
def test_whatever_is_sent_is_a_turn_or_an_error_of_ours(path: tuple[Any, ...], other: object) -> None:
    """Anything in the place of anything is read, or refused by an error that names a field."""
    try:
        found = FORMAT.decode(with_other(FULL, path, other)).request.model
    except InvalidRequest as error:
        found = error.param or ""

    assert found


def test_a_request_is_not_changed() -> None:
    """What the client sent may be logged or tried again: decoding leaves it as it is."""
    before = orjson.dumps(FULL)

    FORMAT.decode(FULL)

    assert orjson.dumps(FULL) == before
