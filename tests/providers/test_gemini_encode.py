"""Calls as requests of the Gemini API."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from antiphon.hub.errors import InvalidRequest, UnsupportedParameter
from antiphon.hub.items import Item, JsonObject
from antiphon.providers.gemini import Gemini, Quirks
from tests.providers.gemini_bodies import BODIES, SKIP, call_part, model, response_part
from tests.providers.gemini_bodies import user as user_content
from tests.providers.kit.calls import (
    assistant,
    custom_call,
    file_data,
    function_call,
    function_output,
    function_tool,
    image_data,
    image_url,
    item,
    message,
    model_call,
    user,
)
from tests.providers.kit.requests import REQUESTS


def contents(*items: Item, quirks: Quirks | None = None, **request: Any) -> list[JsonObject]:
    body = Gemini(quirks or Quirks()).encode(model_call(*items, **request)).body
    said: list[JsonObject] = orjson.loads(body)["contents"]
    return said


def refused(*items: Item, quirks: Quirks | None = None, **request: Any) -> str | None:
    with pytest.raises(UnsupportedParameter) as raised:
        contents(*items, quirks=quirks, **request)
    return raised.value.param


def test_every_request_of_the_kit_has_its_answer() -> None:
    """No request that dialects are held against is left out."""
    assert REQUESTS.keys() == BODIES.keys()


@pytest.mark.parametrize("name", REQUESTS)
def test_requests(name: str) -> None:
    """Each of the kit's requests is sent as exactly this body, or refused by exactly this name."""
    call, expected = REQUESTS[name], BODIES[name]
    if isinstance(expected, str):
        with pytest.raises(UnsupportedParameter) as raised:
            Gemini().encode(call)
        assert raised.value.param == expected
        return

    request = Gemini().encode(call)

    assert orjson.loads(request.body) == expected
    method = "streamGenerateContent?alt=sse" if name == "a stream" else "generateContent"
    assert (request.method, request.path) == ("POST", f"/models/upstream-model:{method}")
    assert request.stream == (name == "a stream")
    assert request.headers == {"content-type": "application/json"}


NOT_APPLIED = {
    "one call at a time": ("parallel_tool_calls",),
    "an end user": ("safety_identifier",),
    "a cache key": ("prompt_cache_key",),
    "what another upstream's tools made": ("history.web_search_call",),
}


@pytest.mark.parametrize("name", [name for name, body in BODIES.items() if not isinstance(body, str)])
def test_what_is_not_applied_is_named(name: str) -> None:
    """What changes nothing in the answer and has no words is reported; nothing else is left out."""
    assert Gemini().encode(REQUESTS[name]).not_applied == NOT_APPLIED.get(name, ())


# Turns.


def test_a_message_between_a_call_and_its_output_moves_behind_the_output() -> None:
    """Outputs stand directly behind their calls, alone in their content."""
    assert contents(
        user("Weather?"), function_call("call_1"), user("Hurry!"), function_output("call_1"), user("And?")
    ) == [
        user_content("Weather?"),
        model(call_part("call_1", "look", {})),
        user_content(response_part("call_1", "look", {"output": "done"})),
        user_content("Hurry!", "And?"),
    ]


def test_steps_stand_one_after_the_other() -> None:
    """A call behind an output begins a content of its own, so that each step has its outputs behind it."""
    assert contents(
        user("Go"),
        function_call("call_1"),
        function_output("call_1", "1"),
        function_call("call_2"),
        function_output("call_2", "2"),
        assistant("Done."),
    ) == [
        user_content("Go"),
        model(call_part("call_1", "look", {}, SKIP)),
        user_content(response_part("call_1", "look", {"output": "1"})),
        model(call_part("call_2", "look", {}, SKIP)),
        user_content(response_part("call_2", "look", {"output": "2"})),
        model("Done."),
    ]


def test_without_ids_calls_are_paired_by_order() -> None:
    """Where an upstream knows no ids the outputs stand in the order of the calls, whatever order they came in."""
    said = contents(
        user("Go"),
        function_call("call_1", "look"),
        function_call("call_2", "find"),
        function_output("call_2", "2"),
        function_output("call_1", "1"),
        quirks=Quirks(call_ids=False, missing_signatures="omit"),
    )
    assert said[1:] == [
        model({"functionCall": {"name": "look", "args": {}}}, {"functionCall": {"name": "find", "args": {}}}),
        user_content(
            {"functionResponse": {"name": "look", "response": {"output": "1"}}},
            {"functionResponse": {"name": "find", "response": {"output": "2"}}},
        ),
    ]


def test_a_call_id_that_is_used_twice() -> None:
    """Calls of one id get their outputs in their order."""
    said = contents(
        user("Go"),
        function_call("same"),
        function_call("same"),
        function_output("same", "1"),
        function_output("same", "2"),
    )
    assert [part["functionResponse"]["response"] for part in said[2]["parts"]] == [{"output": "1"}, {"output": "2"}]


@pytest.mark.parametrize(
    "items", [(user("Go"), function_call("call_1")), (user("Go"), function_output("call_1"))], ids=["call", "output"]
)
def test_a_call_without_its_output_is_refused(items: tuple[Item, ...]) -> None:
    """A call without output, or an output without call, is an error that names the call."""
    with pytest.raises(InvalidRequest, match="call_1") as raised:
        contents(*items)
    assert raised.value.param == "input"


def test_nothing_that_says_something_is_refused() -> None:
    """Gemini answers contents only: a request without any is refused here, and says why."""
    assert refused(user(""), instructions="Be brief.") == "input"


def test_an_empty_message_leaves_no_content_behind() -> None:
    """What stands around an empty message of the other role becomes one content."""
    assert contents(user("a"), assistant(""), user("b")) == [user_content("a", "b")]


# Arguments.


ARGUMENTS = {
    "as they are": ('{"b": 1.50, "a": 12345678901234567890123}', '{"b": 1.50, "a": 12345678901234567890123}'),
    "none": ("", "{}"),
    "blank": (" \n", "{}"),
    "a list": ("[1]", '{"arguments":"[1]"}'),
    "a text": ('"x"', '{"arguments":"\\"x\\""}'),
    "no JSON": ("look at it", '{"arguments":"look at it"}'),
    "no JSON number": ('{"a": NaN}', '{"arguments":"{\\"a\\": NaN}"}'),
}


@pytest.mark.parametrize(("text", "expected"), ARGUMENTS.values(), ids=ARGUMENTS.keys())
def test_arguments(text: str, expected: str) -> None:
    """Arguments go up byte for byte if they are an object, and wrapped if they are anything else."""
    body = Gemini().encode(model_call(function_call("call_1", arguments=text), function_output("call_1"))).body

    assert b'"args":' + expected.encode() + b"}" in body


def test_custom_input_is_wrapped() -> None:
    """A custom tool's input is the one argument of its function, whatever it looks like."""
    said = contents(
        custom_call("call_1", "patch", '{"input": 1}'), item("custom_tool_call_output", call_id="call_1", output="ok")
    )
    assert said[0]["parts"][0]["functionCall"]["args"] == {"input": '{"input": 1}'}


# Outputs.


OUTPUTS: dict[str, tuple[Any, JsonObject]] = {
    "a text": ("18 C", {"response": {"output": "18 C"}}),
    "an empty text": ("", {"response": {"output": ""}}),
    "JSON stays text": ('{"t": 18}', {"response": {"output": '{"t": 18}'}}),
    "one part": ([{"type": "input_text", "text": "a"}], {"response": {"output": "a"}}),
    "two parts": (
        [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}],
        {"response": {"output": ["a", "b"]}},
    ),
    "nothing": ([], {"response": {}}),
}


@pytest.mark.parametrize(("output", "expected"), OUTPUTS.values(), ids=OUTPUTS.keys())
def test_outputs(output: Any, expected: JsonObject) -> None:
    """A tool's output is an object on the wire, and its text is what the client sent."""
    said = contents(function_call("call_1"), function_output("call_1", output))
    assert said[1]["parts"] == [{"functionResponse": {"id": "call_1", "name": "look", **expected}}]


def test_an_output_that_is_only_an_image() -> None:
    """An image alone has an empty response beside it."""
    said = contents(function_call("call_1"), function_output("call_1", [image_data()]))
    response = said[1]["parts"][0]["functionResponse"]
    assert (response["response"], len(response["parts"])) == ({}, 1)


# Images and files.


FILES: dict[str, tuple[JsonObject, JsonObject]] = {
    "data by its name": (
        {"type": "input_file", "filename": "a.CSV", "file_data": "YSxi"},
        {"inlineData": {"mimeType": "text/csv", "data": "YSxi"}},
    ),
    "data URL with parameters": (
        {"type": "input_file", "filename": "x", "file_data": "data:text/plain;charset=utf-8;base64,YQ=="},
        {"inlineData": {"mimeType": "text/plain", "data": "YQ=="}},
    ),
    "URL": (
        {"type": "input_file", "file_url": "https://files.example/a.pdf?x=.png#y"},
        {"fileData": {"mimeType": "application/pdf", "fileUri": "https://files.example/a.pdf?x=.png#y"}},
    ),
    "URL that does not say its type": (
        {"type": "input_file", "file_url": "https://files.md"},
        {"fileData": {"fileUri": "https://files.md"}},
    ),
    "uploaded file": (
        {
            "type": "input_file",
            "file_url": "https://generativelanguage.googleapis.com/v1beta/files/abc",
            "filename": "a.pdf",
        },
        {
            "fileData": {
                "mimeType": "application/pdf",
                "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc",
            }
        },
    ),
}


@pytest.mark.parametrize(("part", "expected"), FILES.values(), ids=FILES.keys())
def test_files(part: JsonObject, expected: JsonObject) -> None:
    """A file goes up as data or by its URL, with the media type that it has or that its name tells."""
    assert contents(user(part)) == [user_content(expected)]


REFUSED_PARTS: dict[str, tuple[JsonObject, Quirks]] = {
    "image by id": ({"type": "input_image", "file_id": "file-1"}, Quirks()),
    "file by id": ({"type": "input_file", "file_id": "file-1"}, Quirks()),
    "data of unknown type": ({"type": "input_file", "filename": "a.bin", "file_data": "AA=="}, Quirks()),
    "data URL that is not base64": ({"type": "input_image", "image_url": "data:image/svg+xml,<svg/>"}, Quirks()),
    "unknown part": ({"type": "input_smell", "data": "x"}, Quirks()),
    "URL where there are none": (image_url(), Quirks(file_uris=False)),
}


@pytest.mark.parametrize(("part", "quirks"), REFUSED_PARTS.values(), ids=REFUSED_PARTS.keys())
def test_parts_that_cannot_be_said(part: JsonObject, quirks: Quirks) -> None:
    """A part that Gemini cannot take is refused with its place in the input."""
    assert refused(user("a"), user("b", part), input_start=0, quirks=quirks) == "input[1].content[1]"


def test_images_in_outputs_where_there_are_none() -> None:
    """Models that take text alone from tools are not given images."""
    where = refused(
        function_call("call_1"), function_output("call_1", [image_data()]), quirks=Quirks(tool_output_media=False)
    )
    assert where == "input[1].output[0]"


def test_an_image_in_an_assistants_message_is_refused() -> None:
    """The model's side is text."""
    assert refused(user("Hi"), assistant("See:", image_data())) == "input[1].content[1]"


def test_an_item_of_the_history_is_named_by_its_id() -> None:
    """What stands before the input has no place in it: the refusal names the item."""
    with pytest.raises(UnsupportedParameter, match="item_1") as raised:
        Gemini().encode(model_call(user({"type": "input_video"}), user("Hi"), input_start=1))
    assert raised.value.param == "input"


def test_an_unknown_role_is_refused() -> None:
    """Gemini has two roles and a system instruction."""
    assert refused(message("narrator", "Once.")) == "input[0].role"


def test_an_images_detail() -> None:
    """An image's detail is sent where the upstream knows it, and reported where it does not."""
    part = {**image_data(), "detail": "low"}
    known = contents(user(part), quirks=Quirks(media_resolution=True))[0]["parts"][0]

    assert known["mediaResolution"] == {"level": "MEDIA_RESOLUTION_LOW"}
    assert Gemini().encode(model_call(user(part))).not_applied == ("input_image.detail",)
    assert Gemini().encode(model_call(user(image_data()))).not_applied == ()


def test_a_file_in_the_input() -> None:
    """A data URL names its type itself."""
    assert contents(user(file_data()))[0]["parts"][0]["inlineData"]["mimeType"] == "application/pdf"


def test_nothing_of_ours_goes_up() -> None:
    """Ids of items, annotations and log probabilities stay here."""
    part = {
        "type": "output_text",
        "text": "A.",
        "annotations": [{"type": "url_citation"}],
        "logprobs": [{"token": "A"}],
    }
    body = Gemini().encode(model_call(user("Hi"), assistant(part, phase="final_answer"), user("Go"))).body

    for ours in (b"item_1", b"url_citation", b"logprob", b"phase", b"status"):
        assert ours not in body


def test_a_request_that_is_nested_too_deeply() -> None:
    """What cannot be written as JSON is refused as the client's."""
    deep: JsonObject = {}
    for _ in range(300):
        deep = {"a": deep}
    with pytest.raises(InvalidRequest, match="nested too deeply"):
        Gemini().encode(model_call(tools=(function_tool("look", parameters=deep),)))


# The path.


PATHS = {
    "gemini-2.5-flash": "/models/gemini-2.5-flash",
    "models/gemini-2.5-flash": "/models/gemini-2.5-flash",
    "tunedModels/my-model-1": "/tunedModels/my-model-1",
    "gemini-2.0-flash@001": "/models/gemini-2.0-flash%40001",
    "gémini": "/models/g%C3%A9mini",
    "a;b&c=d": "/models/a%3Bb%26c%3Dd",
}


@pytest.mark.parametrize(("name", "path"), PATHS.items())
def test_the_model_stands_in_the_path(name: str, path: str) -> None:
    """A model's name is a segment of the path, percent-encoded."""
    call = model_call(user("Hi"))
    call = type(call)(**{field: getattr(call, field) for field in call.__struct_fields__} | {"model": name})

    assert Gemini().encode(call).path == f"{path}:generateContent"


ELSEWHERE = [
    "",
    ".",
    "..",
    "a/b",
    "../files",
    "models/../files",
    "a\\b",
    "a:countTokens",
    "a?x",
    "a#b",
    "a%2fb",
    "a b",
    "a\nb",
]


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    """A model's name cannot reach another path, another method or a query of the upstream."""
    call = model_call(user("Hi"))
    call = type(call)(**{field: getattr(call, field) for field in call.__struct_fields__} | {"model": name})

    for ask in (Gemini().encode, Gemini().count):
        with pytest.raises(UnsupportedParameter) as raised:
            ask(call)
        assert raised.value.param == "model"
