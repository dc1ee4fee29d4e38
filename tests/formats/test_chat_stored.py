"""Stored completions: what is kept of a request, and that it is shown again as the client wrote it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionDeleted

from antiphon.formats.chat import ChatFormat, shown_id
from antiphon.formats.chat.stored import StoredChat
from antiphon.hub.completions import StoredCompletion
from antiphon.hub.errors import InvalidRequest, ItemNotFound, StoreCorrupt, UpstreamBroken
from antiphon.hub.format import DialectTurn, PageRequest
from antiphon.hub.items import JsonObject
from antiphon.hub.library import ListRequest
from antiphon.hub.response import compact, expand, opening_response, render
from antiphon.hub.usage import Usage

FORMAT, STORED = ChatFormat(), StoredChat()
RESPONSE_ID = "resp_0123456789abcdef"
SHOWN_ID = "chatcmpl-0123456789abcdef"

HELLO = {"role": "user", "content": "Hello"}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}}
CUSTOM = {"id": "c2", "type": "custom", "custom": {"name": "run", "input": "ls"}}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "42"}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "strict": None}}}
SAID = {"type": "output_text", "text": "Hi", "annotations": [], "logprobs": []}


def asked(*messages: JsonObject, **fields: Any) -> DialectTurn:
    body = {"model": "m", "store": True, "messages": list(messages or (HELLO,)), **fields}
    return FORMAT.decode(orjson.loads(orjson.dumps(body)))


def stored(turn: DialectTurn, *output: JsonObject, status: str = "completed") -> StoredCompletion:
    """The turn as a store gives it back: written, read, and its items with ids."""
    request = turn.request
    assert request.origin is not None
    opening = opening_response(request, id=RESPONSE_ID, created_at=17, model="m-1", conversation_id=None)
    usage = Usage(input_tokens=3, output_tokens=2)
    ended = render(opening, status=status, output=[], usage=usage, incomplete_reason=None, completed_at=18)
    response = expand(orjson.loads(orjson.dumps(compact(ended))))
    message = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [SAID]}
    return StoredCompletion(
        response={**response, "output": list(output or (message,))},
        origin=request.origin,
        input=tuple({**item, "id": f"item_{index}"} for index, item in enumerate(request.input)),
    )


def shown(**fields: Any) -> JsonObject:
    return STORED.show(stored(asked(**fields)))


def messages(*written: JsonObject, **page: Any) -> list[JsonObject]:
    return STORED.show_messages(stored(asked(*written)), PageRequest(**{"order": "asc", "limit": 100, **page}))[0]


def as_written(message: JsonObject) -> JsonObject:
    """What a client wrote, out of what the list shows of it."""
    kept = {name: value for name, value in message.items() if name not in ("id", "content_parts")}
    if message["content_parts"] is not None:
        kept["content"] = message["content_parts"]
    return kept


def expected(message: JsonObject) -> JsonObject:
    """A message with what the list always shows."""
    return {"name": None, "refusal": None, "content": None, **message}


# Messages.


CONVERSATIONS: dict[str, list[JsonObject]] = {
    "texts": [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": "Be kind."},
        HELLO,
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": ""},
    ],
    "names": [{"role": "user", "name": "ann", "content": "Hello"}, {"role": "assistant", "name": "bo", "content": "x"}],
    "a list of one text": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
    "parts": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                PICTURE,
                {"type": "image_url", "image_url": {"url": "https://a.example/b.png", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "https://a.example/c.png", "detail": "auto"}},
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                {"type": "file", "file": {"file_data": "AAAA", "filename": "a.pdf"}},
            ],
        }
    ],
    "calls": [
        {"role": "assistant", "content": None, "tool_calls": [CALL, CUSTOM]},
        RESULT,
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "a"}]},
    ],
    "calls without content": [{"role": "assistant", "tool_calls": [CALL]}, RESULT],
    "calls with an empty content": [{"role": "assistant", "content": "", "tool_calls": [CALL]}, RESULT],
    "calls with a text": [{"role": "assistant", "content": "Let me see.", "tool_calls": [CALL]}, RESULT],
    "reasoning": [{"role": "assistant", "content": "Hi", "reasoning_content": "Polite."}],
    "reasoning of another vendor": [{"role": "assistant", "content": "Hi", "reasoning": "Polite."}],
    "nothing but reasoning": [{"role": "assistant", "reasoning_content": "Hm."}],
    "a refusal": [{"role": "assistant", "content": None, "refusal": "No."}],
    "a refusal among parts": [{"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}],
    "as OpenAI's client dumps it": [
        {"role": "assistant", "content": "Hi", "refusal": None, "annotations": [], "audio": None, "tool_calls": None}
    ],
    "a citation": [
        {
            "role": "assistant",
            "content": "Hi",
            "annotations": [
                {
                    "type": "url_citation",
                    "url_citation": {"start_index": 0, "end_index": 2, "url": "https://a.example", "title": "A"},
                }
            ],
        }
    ],
    "the legacy pair": [
        {"role": "assistant", "content": None, "function_call": {"name": "look", "arguments": "{}"}},
        {"role": "function", "name": "look", "content": "42"},
    ],
    "unknown fields": [
        {"role": "user", "content": [{"type": "text", "text": "Hello", "mood": "calm"}], "mood": ["calm"]},
        {"role": "assistant", "content": "Hi", "id": "msg_theirs"},
    ],
}


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_messages_are_shown_as_they_were_written(name: str) -> None:
    """However a client writes its messages, it gets them back so, in their order and with ids that follow from it."""
    written = CONVERSATIONS[name]

    found = messages(*written)

    assert [f"{SHOWN_ID}-{index}" for index in range(len(written))] == [message["id"] for message in found]
    assert [{**expected(message), "id": None} for message in written] == [
        {**as_written(message), "id": None} for message in found
    ]


_TEXT = st.text(max_size=3)
_PART = st.one_of(
    _TEXT.map(lambda text: {"type": "text", "text": text}),
    st.just(PICTURE),
    st.sampled_from(["auto", "low"]).map(
        lambda detail: {"type": "image_url", "image_url": {"url": "u", "detail": detail}}
    ),
)
_OPTIONAL = {"name": _TEXT, "mood": _TEXT | st.none(), "refusal": _TEXT | st.none(), "reasoning_content": _TEXT}
_MESSAGE = st.one_of(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user"]), "content": _TEXT | st.lists(_PART, min_size=1, max_size=3)},
        optional={"name": _TEXT, "mood": _TEXT | st.none()},
    ),
    st.fixed_dictionaries({"role": st.sampled_from(["system", "developer"]), "content": _TEXT}),
    st.fixed_dictionaries({"role": st.just("assistant"), "content": _TEXT}, optional=_OPTIONAL),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_MESSAGE, min_size=1, max_size=4))
def test_any_messages_are_shown_as_they_were_written(written: list[JsonObject]) -> None:
    """No mixture of fields, forms and roles is shown otherwise than it was written."""
    assert [{**expected(message), "id": None} for message in written] == [
        {**as_written(message), "id": None} for message in messages(*written)
    ]


@pytest.mark.parametrize("name", ["texts", "a list of one text", "calls", "calls with a text", "reasoning"])
def test_what_the_items_say_is_not_kept_twice(name: str) -> None:
    """Of messages in their usual forms only their number of items and their form are kept beside the response."""
    origin = asked(*CONVERSATIONS[name]).request.origin

    assert origin is not None
    assert {str, int} == {type(part) for entry in origin.words["messages"] for part in entry}
    assert list(origin.words) == ["messages"]


def test_parts_that_look_alike_are_kept_themselves() -> None:
    """What items cannot tell apart (a default that was said, and one that was not) is kept as it was written."""
    said = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u", "detail": "auto"}}]}
    origin = asked(said).request.origin

    assert origin is not None
    assert [[1, said]] == origin.words["messages"]


def test_content_of_parts_is_their_text() -> None:
    """A message in parts shows its texts as content, and the parts beside it; without a text its content is null."""
    parts = [{"type": "text", "text": "a"}, PICTURE, {"type": "text", "text": "b"}]
    found = messages({"role": "user", "content": parts}, {"role": "user", "content": [PICTURE]})

    assert [("ab", parts), (None, [PICTURE])] == [(each["content"], each["content_parts"]) for each in found]


def test_messages_are_paged() -> None:
    """Pages go on after a message's id in either order, and say whether there is more."""
    completion = stored(asked(*({"role": "user", "content": f"{index}"} for index in range(5))))

    def page(**wanted: Any) -> tuple[str, bool]:
        found, has_more = STORED.show_messages(completion, PageRequest(**wanted))
        return "".join(message["content"] for message in found), has_more

    assert page(order="asc", limit=2) == ("01", True)
    assert page(order="asc", limit=3, after=f"{SHOWN_ID}-1") == ("234", False)
    assert page(order="desc", limit=3, after=f"{SHOWN_ID}-2") == ("10", False)
    assert page(order="desc", after=f"{SHOWN_ID}-0") == ("", False)
    with pytest.raises(ItemNotFound, match=f"Message with id '{SHOWN_ID}-5' not found.") as caught:
        page(after=f"{SHOWN_ID}-5")
    assert caught.value.param == "after"


def test_messages_that_do_not_fit_their_items_are_an_error() -> None:
    """A record that lost an item, or got another, is never shown as if it were whole."""
    completion = stored(asked(HELLO, {"role": "assistant", "content": "Hi"}))
    whole = completion.input
    for wrong in (whole[:1], (whole[0], {**whole[1], "type": "image_generation_call"})):
        broken = StoredCompletion(response=completion.response, origin=completion.origin, input=wrong)
        with pytest.raises(StoreCorrupt):
            STORED.show_messages(broken, PageRequest())


# Settings.


def test_an_ordinary_completion() -> None:
    """A completion is shown as it was answered, with its settings; null where the request said nothing."""
    found = shown()

    assert {
        "id": shown_id(RESPONSE_ID),
        "object": "chat.completion",
        "created": 17,
        "model": "m-1",
        "service_tier": "default",
        "metadata": {},
        "temperature": 1.0,
        "top_p": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "input_user": None,
        "tools": None,
        "tool_choice": None,
        "response_format": None,
        "seed": None,
    } == {name: value for name, value in found.items() if name not in ("choices", "usage")}
    assert (found["choices"][0]["message"]["content"], found["choices"][0]["finish_reason"]) == ("Hi", "stop")
    assert found["usage"]["total_tokens"] == 5
    ChatCompletion.model_validate(found, strict=True)


_SCHEMA = {"name": "answer", "schema": {"type": "object"}}

SETTINGS: dict[str, JsonObject] = {
    "numbers": {"temperature": 0.5, "top_p": 0.25, "presence_penalty": -1.5, "frequency_penalty": 1.0, "seed": 7},
    "metadata": {"metadata": {"a": "b"}},
    "a tool": {"tools": [TOOL]},
    "tools in full": {
        "tools": [
            {"type": "function", "function": {"name": "a", "description": "d", "parameters": {}, "strict": True}},
            {"type": "function", "function": {"name": "b", "strict": False}},
            {"type": "custom", "custom": {"name": "c", "format": {"type": "text"}}},
            {
                "type": "custom",
                "custom": {
                    "name": "d",
                    "format": {"type": "grammar", "grammar": {"syntax": "regex", "definition": "a"}},
                },
            },
        ],
    },
    "a choice in words": {"tools": [TOOL], "tool_choice": "required"},
    "the usual choice": {"tools": [TOOL], "tool_choice": "auto"},
    "a chosen function": {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "look"}}},
    "allowed tools": {
        "tools": [TOOL],
        "tool_choice": {
            "type": "allowed_tools",
            "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "look"}}]},
        },
    },
    "the usual format": {"response_format": {"type": "text"}},
    "any object": {"response_format": {"type": "json_object"}},
    "a schema": {"response_format": {"type": "json_schema", "json_schema": _SCHEMA}},
    "a schema that says its default": {
        "response_format": {"type": "json_schema", "json_schema": {**_SCHEMA, "strict": False}},
    },
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_are_shown_as_they_were_written(name: str) -> None:
    """What a request said of its settings is shown as it said it."""
    found = shown(**SETTINGS[name])

    assert SETTINGS[name] == {setting: found[setting] for setting in SETTINGS[name]}


def test_user_is_shown_under_its_own_name() -> None:
    """The end user of a request is shown as the input's."""
    assert shown(user="ann")["input_user"] == "ann"


def test_web_search_is_no_tool_of_the_request() -> None:
    """What was asked for by options of its own is not among the tools."""
    assert shown(web_search_options={})["tools"] is None
    assert shown(web_search_options={}, tools=[TOOL])["tools"] == [TOOL]


@pytest.mark.parametrize("wanted", [True, False])
def test_logprobs_are_shown_to_who_asked_for_them(wanted: bool) -> None:
    """Log probabilities are shown if the request wanted them, as in its first answer."""
    logprob = {"token": "Hi", "bytes": [72, 105], "logprob": -0.5, "top_logprobs": []}
    message = {"type": "message", "role": "assistant", "content": [{**SAID, "logprobs": [logprob]}]}

    found = STORED.show(stored(asked(logprobs=wanted), message))["choices"][0]["logprobs"]

    assert ({"content": [logprob], "refusal": None} if wanted else None) == found


def test_calls_without_words_in_chat_are_an_error() -> None:
    """A call that chat has no words for is not left out of a stored completion either."""
    with pytest.raises(UpstreamBroken, match="local_shell_call"):
        STORED.show(stored(asked(), {"type": "local_shell_call", "call_id": "c", "action": {}}))


def test_nothing_is_kept_of_what_is_not_stored() -> None:
    """A request that is not to be stored has no origin."""
    assert FORMAT.decode({"model": "m", "messages": [HELLO]}).request.origin is None
    assert FORMAT.decode({"model": "m", "messages": [HELLO], "store": False}).request.origin is None


# What else is asked.


def test_queries_of_lists() -> None:
    """Lists are oldest first by default, and are filtered by model and by pairs of metadata."""
    assert ListRequest(order="asc") == STORED.decode_list({})
    assert ListRequest(
        order="desc", limit=3, after="chatcmpl-1", model="m", metadata={"a": "b", "c": "d"}
    ) == STORED.decode_list(
        {
            "order": ["desc"],
            "limit": ["3"],
            "after": ["chatcmpl-1"],
            "model": ["m"],
            "metadata[a]": ["b"],
            "metadata[c]": ["d"],
        }
    )
    assert PageRequest(order="asc") == STORED.decode_messages({})
    assert PageRequest(order="desc", limit=1, after="x") == STORED.decode_messages(
        {"order": ["desc"], "limit": ["1"], "after": ["x"]}
    )


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"limit": ["0"]}, "limit"),
        ({"limit": ["101"]}, "limit"),
        ({"limit": ["many"]}, "limit"),
        ({"order": ["random"]}, "order"),
        ({"metadata": ["a"]}, "metadata"),
        ({"status": ["completed"]}, "status"),
        ({"model": ["a", "b"]}, "model"),
    ],
    ids=lambda value: value if isinstance(value, str) else orjson.dumps(value).decode(),
)
def test_wrong_queries_are_refused_by_name(query: dict[str, list[str]], param: str) -> None:
    """A parameter that is wrong, unknown or given twice is named."""
    with pytest.raises(InvalidRequest) as caught:
        STORED.decode_list(query)
    assert param == caught.value.param


def test_updates() -> None:
    """An update has metadata and nothing else; null clears them."""
    assert STORED.decode_update({"metadata": {"a": "b"}}) == {"a": "b"}
    assert STORED.decode_update({"metadata": None}) == {}
    for body, param in (({}, "metadata"), ({"metadata": {"a": 1}}, "metadata.a"), ({"metadata": {}, "n": 1}, "n")):
        with pytest.raises(InvalidRequest) as caught:
            STORED.decode_update(body)
        assert param == caught.value.param


def test_ids_are_those_of_completions_alone() -> None:
    """A completion has its response's digits; ids of anything else name no completion."""
    assert STORED.response_id(SHOWN_ID) == RESPONSE_ID
    for other in (RESPONSE_ID, "cmpl-0123456789abcdef", "CHATCMPL-0123456789abcdef", "", "0123456789abcdef"):
        assert STORED.response_id(other) is None


def test_deleted() -> None:
    """A deletion is told in OpenAI's words."""
    found = STORED.show_deleted(SHOWN_ID)

    assert found == {"object": "chat.completion.deleted", "id": SHOWN_ID, "deleted": True}
    ChatCompletionDeleted.model_validate(found, strict=True)
