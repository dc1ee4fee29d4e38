"""Calls as bodies of Converse."""

from __future__ import annotations

import base64
from typing import Any

import botocore.session
import orjson
import pytest
from botocore.validate import ParamValidator

from antiphon.hub.errors import InvalidRequest, UnsupportedParameter
from antiphon.hub.items import Item, JsonObject
from antiphon.hub.turn import ModelCall
from antiphon.providers.bedrock import Bedrock, Quirks
from tests.providers.kit.calls import (
    assistant,
    custom_call,
    custom_output,
    file_data,
    function_call,
    function_output,
    function_tool,
    image_data,
    item,
    message,
    model_call,
    user,
)
from tests.providers.kit.requests import REQUESTS, TOLD_ID

_PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
_IMAGE = {"image": {"format": "png", "source": {"bytes": _PNG}}}
_PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_FREE = {
    "type": "object",
    "properties": {"input": {"type": "string", "description": "All of the tool's input, as free text."}},
    "required": ["input"],
    "additionalProperties": False,
}
_SCHEMA = (
    '{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}'  # as a text
)


def text(*texts: str) -> list[JsonObject]:
    return [{"text": value} for value in texts]


def says(role: str, *blocks: str | JsonObject) -> JsonObject:
    return {"role": role, "content": [{"text": block} if isinstance(block, str) else block for block in blocks]}


def use(call_id: str, arguments: JsonObject, name: str = "look") -> JsonObject:
    return {"toolUse": {"toolUseId": call_id, "name": name, "input": arguments}}


def result(call_id: str, *blocks: str | JsonObject) -> JsonObject:
    content = [{"text": block} if isinstance(block, str) else block for block in blocks]
    return {"toolResult": {"toolUseId": call_id, "content": content}}


def spec(name: str, parameters: JsonObject, **more: Any) -> JsonObject:
    return {"toolSpec": {"name": name, **more, "inputSchema": {"json": parameters}}}


LOOK = spec("look", _PARAMETERS, description="looks")
FIND = spec("find", _PARAMETERS, description="finds")
HI: JsonObject = {"messages": [says("user", "Hi")]}
LOOP = [says("assistant", use("call_1", {"city": "Paris"})), says("user", result("call_1", "18 C"))]

# The whole body, or the name of the parameter that is refused.
BODIES: dict[str, JsonObject | str] = {
    "one text": HI,
    "a stream": HI,
    "instructions": {**HI, "system": text("Be brief.")},
    "a system message": {**HI, "system": text("Be brief.")},
    "a developer message": {**HI, "system": text("Be brief.")},
    "instructions and messages of the system": {
        "messages": [says("user", "Hi", "Ho")],
        "system": text("Zero.", "One.", "Two."),
    },
    "a dialogue": {"messages": [says("user", "Hi"), says("assistant", "Hello."), says("user", "Who?")]},
    "two user messages in a row": {"messages": [says("user", "Hi", "there")]},
    "an assistant speaks first": {
        "messages": [says("user", "(The assistant begins.)"), says("assistant", "Hello."), says("user", "Hi")]
    },
    "it ends with the assistant": {
        "messages": [says("user", "Hi"), says("assistant", "Once upon"), says("user", "(Go on.)")]
    },
    "many parts": {"messages": [says("user", "a", "b")]},
    "an empty text": HI,
    "an image as data": {"messages": [says("user", "What?", _IMAGE)]},
    "an image by URL": "input[0].content[0]",
    "a file as data": {
        "messages": [
            says(
                "user",
                "Read",
                {"document": {"format": "pdf", "name": "a", "source": {"bytes": "JVBERi0xLjQKJSVFT0YK"}}},
            )
        ]
    },
    "an earlier refusal": {"messages": [says("user", "Hi"), says("assistant", "No."), says("user", "Why?")]},
    "a tool": {**HI, "toolConfig": {"tools": [LOOK]}},
    "a strict tool": {
        **HI,
        "toolConfig": {"tools": [{"toolSpec": {**LOOK["toolSpec"], "strict": True}}]},
    },
    "a tool without parameters": {
        **HI,
        "toolConfig": {"tools": [spec("ping", {"type": "object", "properties": {}})]},
    },
    "no tool may be called": HI,
    "a tool has to be called": {**HI, "toolConfig": {"tools": [LOOK, FIND], "toolChoice": {"any": {}}}},
    "one tool has to be called": {
        **HI,
        "toolConfig": {"tools": [LOOK, FIND], "toolChoice": {"tool": {"name": "look"}}},
    },
    "some tools may be called": {**HI, "toolConfig": {"tools": [LOOK]}},
    "one call at a time": {**HI, "toolConfig": {"tools": [LOOK]}},
    "a call and its output": {"messages": [says("user", "Weather?"), *LOOP], "toolConfig": {"tools": [LOOK]}},
    "text before a call": {
        "messages": [
            says("user", "Weather?"),
            says("assistant", "Let me see.", use("call_1", {"city": "Paris"})),
            LOOP[1],
        ],
        "toolConfig": {"tools": [LOOK]},
    },
    "parallel calls": {
        "messages": [
            says("user", "Weather?"),
            says("assistant", use("call_1", {"city": "Paris"}), use("call_2", {"city": "Rome"})),
            says("user", result("call_1", "18 C"), result("call_2", "25 C")),
        ],
        "toolConfig": {"tools": [LOOK]},
    },
    "arguments that are no JSON": {
        "messages": [
            says("user", "Hi"),
            says("assistant", use("call_1", {"arguments": "{half"})),
            says("user", result("call_1", "done")),
        ],
        "toolConfig": {"tools": [LOOK]},
    },
    "an output with an image": {
        "messages": [
            says("user", "Hi"),
            says("assistant", use("call_1", {})),
            says("user", result("call_1", "see", _IMAGE)),
        ],
        "toolConfig": {"tools": [LOOK]},
    },
    "a custom tool": {
        "messages": [
            says("user", "Hi"),
            says("assistant", use("call_1", {"input": "*** begin"}, "patch")),
            says("user", result("call_1", "done")),
        ],
        "toolConfig": {"tools": [spec("patch", _FREE, description="Patches.")]},
    },
    "a tool in a namespace": {
        **HI,
        "toolConfig": {"tools": [spec("crm__find", _PARAMETERS, description="C\n\nfinds")]},
    },
    "a hosted tool": "tools[0]",
    "reasoning of another provider": {
        "messages": [says("user", "Hi"), says("assistant", "Hello."), says("user", "Who?")]
    },
    "an unknown item": "input[1]",
    "temperature and top_p": {**HI, "inferenceConfig": {"temperature": 0.5, "topP": 0.9}},
    "a limit of output": {**HI, "inferenceConfig": {"maxTokens": 100}},
    "penalties": "presence_penalty",
    "log probabilities": "include",
    "effort": {**HI, "outputConfig": {"effort": "high"}},
    "no effort": HI,
    "a summary of reasoning": {**HI, "outputConfig": {"effort": "low"}},
    "encrypted reasoning is asked for": HI,
    "a JSON object": "text.format.type",
    "a JSON schema": {
        **HI,
        "outputConfig": {
            "textFormat": {
                "type": "json_schema",
                "structure": {"jsonSchema": {"schema": _SCHEMA, "name": "answer"}},
            }
        },
    },
    "few words": "text.verbosity",
    "an end user": HI,
    "a cache key": HI,
    "a service tier": {**HI, "serviceTier": {"type": "flex"}},
    "texts to stop at": {
        **HI,
        "inferenceConfig": {"stopSequences": ["END", "###"]},
        "additionalModelResponseFieldPaths": ["/stop_sequence"],
    },
    "a tool that failed": {
        "messages": [
            says("user", "Hi"),
            says("assistant", use("call_1", {})),
            says("user", result("call_1", "No city.")),
        ],
        "toolConfig": {"tools": [LOOK]},
    },
    "what another upstream's tools made": {
        "messages": [
            says("user", "Hi"),
            says("assistant", use(TOLD_ID, {"q": "x"}, "find")),
            says("user", result(TOLD_ID, "Found.")),
            says("assistant", "Hello."),
            says("user", "Who?"),
        ],
        "toolConfig": {"tools": [spec("find", {"type": "object"})]},
    },
}
NOT_APPLIED = {
    "one call at a time": ("parallel_tool_calls",),
    "no effort": ("reasoning.effort",),
    "a summary of reasoning": ("reasoning.summary",),
    "an end user": ("safety_identifier",),
    "a cache key": ("prompt_cache_key",),
    "what another upstream's tools made": ("history.web_search_call",),
}
ACCEPTED = [name for name, body in BODIES.items() if not isinstance(body, str)]


def encoded(call: ModelCall, **quirks: Any) -> JsonObject:
    body: JsonObject = orjson.loads(Bedrock(Quirks(**quirks)).encode(call).body)
    return body


def messages_of(*items: Item, **request: Any) -> list[JsonObject]:
    messages: list[JsonObject] = encoded(model_call(*items, **request))["messages"]
    return messages


@pytest.fixture(scope="module")
def shapes() -> Any:
    """Amazon's own description of the service."""
    return botocore.session.Session().get_service_model("bedrock-runtime")


def test_no_request_of_the_kit_is_left_out() -> None:
    """Every request that the kit knows has an answer here."""
    assert list(BODIES) == list(REQUESTS)


@pytest.mark.parametrize("name", ACCEPTED)
def test_request(name: str) -> None:
    """A call becomes exactly this body, at this path, and says what it leaves out."""
    call = REQUESTS[name]

    request = Bedrock().encode(call)

    assert orjson.loads(request.body) == BODIES[name]
    assert (request.method, request.stream) == ("POST", call.stream)
    assert request.path == f"/model/upstream-model/{'converse-stream' if call.stream else 'converse'}"
    assert request.not_applied == NOT_APPLIED.get(name, ())


@pytest.mark.parametrize("name", [name for name in BODIES if name not in ACCEPTED])
def test_refused(name: str) -> None:
    """What Converse cannot say is refused by name."""
    with pytest.raises(UnsupportedParameter) as raised:
        Bedrock().encode(REQUESTS[name])

    assert raised.value.param == BODIES[name]


@pytest.mark.parametrize("name", ACCEPTED)
def test_amazons_own_description_agrees(name: str, shapes: Any) -> None:
    """Every body is one that Amazon's description of the service allows: each field is known and of its type."""
    body = encoded(REQUESTS[name], cache_points="1h", guardrail="abc123", additional_fields={"top_k": 5})

    assert complaints(shapes, body) == ""


def test_amazons_own_description_would_complain(shapes: Any) -> None:
    """The check can fail: a field that the service does not have is named."""
    assert "toolChoices" in complaints(shapes, {"messages": [], "toolConfig": {"tools": [], "toolChoices": {}}})


def complaints(shapes: Any, body: JsonObject) -> str:
    """What botocore has against a body; empty if nothing."""
    shape = shapes.operation_model("Converse").input_shape
    report: str = ParamValidator().validate({"modelId": "upstream-model", **body}, shape).generate_report()
    return report


def test_headers() -> None:
    """A stream is asked for as an event stream, a whole reply as JSON."""
    whole, stream = (Bedrock().encode(REQUESTS[name]) for name in ("one text", "a stream"))

    assert whole.headers == {"content-type": "application/json", "accept": "application/json"}
    assert stream.headers == {"content-type": "application/json", "accept": "application/vnd.amazon.eventstream"}


@pytest.mark.parametrize(
    ("model", "segment"),
    [
        ("anthropic.claude-3-haiku-20240307-v1:0", "anthropic.claude-3-haiku-20240307-v1%3A0"),
        (
            "arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/a1b2",
            "arn%3Aaws%3Abedrock%3Aus-east-1%3A111122223333%3Aapplication-inference-profile%2Fa1b2",
        ),
        ("../../secrets?x=#", "..%2F..%2Fsecrets%3Fx%3D%23"),
    ],
)
def test_a_model_is_one_segment_of_the_path(model: str, segment: str) -> None:
    """An id or an ARN is encoded, whatever is in it: it leads nowhere else."""
    call = ModelCall(
        model=model, account="a", items=(user("Hi"),), input_start=0, request=REQUESTS["one text"].request, stream=True
    )

    assert Bedrock().encode(call).path == f"/model/{segment}/converse-stream"


# Messages.


def test_what_is_said_before_a_result_moves_behind_it() -> None:
    """Results stand first in the message behind the calls; what the user said before one is said after it."""
    items = (user("Hi"), function_call("c1"), user("Hurry"), function_output("c1"), user("Well?"))

    assert messages_of(*items) == [
        says("user", "Hi"),
        says("assistant", use("c1", {})),
        says("user", result("c1", "done"), "Hurry", "Well?"),
    ]


def test_steps_stay_apart() -> None:
    """A call that is made after an answer is a step of its own."""
    items = (user("Hi"), function_call("c1"), function_output("c1"), function_call("c2"), function_output("c2"))

    assert messages_of(*items) == [
        says("user", "Hi"),
        says("assistant", use("c1", {})),
        says("user", result("c1", "done")),
        says("assistant", use("c2", {})),
        says("user", result("c2", "done")),
    ]


def test_an_answer_that_comes_late() -> None:
    """The result of a call that is answered after a later one still stands behind its own step."""
    items = (
        user("Hi"),
        function_call("c1"),
        function_call("c2"),
        function_output("c1", "one"),
        assistant("Hm."),
        function_output("c2", "two"),
    )

    assert messages_of(*items) == [
        says("user", "Hi"),
        says("assistant", use("c1", {}), use("c2", {})),
        says("user", result("c1", "one"), result("c2", "two")),
        says("assistant", "Hm."),
        says("user", "(Go on.)"),
    ]


def test_text_beside_calls() -> None:
    """What the assistant says between its calls stays where it was."""
    items = (
        user("Hi"),
        function_call("c1"),
        assistant("And"),
        function_call("c2"),
        *map(function_output, ("c1", "c2")),
    )

    assert messages_of(*items)[1] == says("assistant", use("c1", {}), "And", use("c2", {}))


def test_a_context_that_begins_with_a_call() -> None:
    """A context whose beginning was left out may begin with a call; a line before it says who speaks."""
    assert messages_of(function_call("c1"), function_output("c1"))[0] == says("user", "(The assistant begins.)")


@pytest.mark.parametrize("blank", ["", " ", "\n\t", "\u2003"])
def test_blank_texts(blank: str) -> None:
    """A text that says nothing is left out, which Converse would refuse, and those around it come together."""
    items = (message("system", blank), user("Hi", blank), assistant(blank), user(blank), user("Ho"))

    assert encoded(model_call(*items, instructions=blank)) == {"messages": [says("user", "Hi", "Ho")]}


def test_nothing_but_instructions() -> None:
    """Instructions alone are answered: the user's turn is one line."""
    assert encoded(model_call(message("developer", "Tell a joke."))) == {
        "messages": [says("user", "(Go on.)")],
        "system": text("Tell a joke."),
    }


def test_nothing_but_blank_texts() -> None:
    """A context in which nothing is said is refused."""
    with pytest.raises(UnsupportedParameter) as raised:
        encoded(model_call(user("")))

    assert raised.value.param == "input"


def test_content_as_a_string() -> None:
    """Content that is one string is one text."""
    items = tuple(item("message", role=role, content=role) for role in ("system", "user", "assistant"))

    assert encoded(model_call(*items)) == {
        "messages": [says("user", "user"), says("assistant", "assistant"), says("user", "(Go on.)")],
        "system": text("system"),
    }


def test_empty_results() -> None:
    """A result may be an empty text, or no part at all."""
    items = (user("Hi"), function_call("c1"), function_call("c2"), function_output("c1", ""), function_output("c2", []))

    assert messages_of(*items)[2] == says("user", result("c1", ""), result("c2"))


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ("", "{}"),
        ("{}", "{}"),
        ('{"b": 1, "a": 12345678901234567890123, "c": 1.0}', '{"b": 1, "a": 12345678901234567890123, "c": 1.0}'),
        ("[1]", '{"arguments":"[1]"}'),
        ("null", '{"arguments":"null"}'),
    ],
)
def test_arguments(arguments: str, sent: str) -> None:
    """Arguments go up as they were written, numbers and spaces and all; what is no object becomes the field of one."""
    body = (
        Bedrock().encode(model_call(user("Hi"), function_call("c1", arguments=arguments), function_output("c1"))).body
    )

    assert f'"input":{sent}}}'.encode() in body


@pytest.mark.parametrize("call_id", ["call_1", "a" * 64, "a" * 65, "call:1", "ça", "a.b"])
def test_call_ids(call_id: str) -> None:
    """An id that the API takes goes up as it is, any other as a hash: the same for a call and for its result."""
    call, answer = messages_of(user("Hi"), function_call(call_id), function_output(call_id))[1:]
    sent = call["content"][0]["toolUse"]["toolUseId"]

    assert answer["content"][0]["toolResult"]["toolUseId"] == sent
    if call_id in ("call_1", "a" * 64):
        assert sent == call_id
    else:
        assert sent.startswith("call_")
        assert len(sent) == 37
        assert sent.isascii()


def test_one_id_for_two_calls() -> None:
    """Of two calls of one id the first one is answered first, and each has an id of its own: Claude takes no other."""
    calls = (function_call("c1", arguments='{"n":1}'), function_call("c1", arguments='{"n":2}'))

    messages = messages_of(user("Hi"), *calls, function_output("c1", "one"), function_output("c1", "two"))

    second: str = messages[1]["content"][1]["toolUse"]["toolUseId"]
    assert second != "c1"
    assert messages[1:] == [
        says("assistant", use("c1", {"n": 1}), use(second, {"n": 2})),
        says("user", result("c1", "one"), result(second, "two")),
    ]


def test_a_result_without_its_call() -> None:
    """An output that no call waits for is the client's mistake."""
    with pytest.raises(InvalidRequest, match="call_id c9"):
        messages_of(user("Hi"), function_output("c9"))


def test_a_call_without_its_result() -> None:
    """A call that nobody answered is the client's mistake."""
    with pytest.raises(InvalidRequest, match="function call c1"):
        messages_of(user("Hi"), function_call("c1"))


def test_an_item_of_the_history_is_named_by_its_id() -> None:
    """What cannot be sent of the history is not blamed on a place in the input."""
    with pytest.raises(UnsupportedParameter, match="'item_1' of the history") as raised:
        encoded(model_call(user({"type": "input_video"}), user("Hi"), input_start=1))

    assert raised.value.param == "input"


def test_a_call_without_its_tool_offered() -> None:
    """Calls in the context need tools: without any, those that were called are declared, and none may be called."""
    body = encoded(model_call(user("Hi"), function_call("c1"), function_output("c1")))

    assert body["toolConfig"] == {"tools": [spec("look", {"type": "object"})]}


def test_custom_calls_need_their_tool_too() -> None:
    """A custom call in the context is one of a tool, and a namespace is part of its name."""
    calls = (custom_call("c1", "patch", "x"), function_call("c2", namespace="crm"))
    body = encoded(model_call(user("Hi"), *calls, custom_output("c1"), function_output("c2")))

    assert body["toolConfig"] == {"tools": [spec("patch", {"type": "object"}), spec("crm__look", {"type": "object"})]}


def test_forbidden_tools_stay_where_calls_are() -> None:
    """With calls in the context the request's own tools stay, though none may be called."""
    loop = (user("Hi"), function_call("c1"), function_output("c1"))

    body = encoded(model_call(*loop, tools=(function_tool("find"),), tool_choice="none"))

    assert body["toolConfig"] == {"tools": [FIND]}


# Content.


@pytest.mark.parametrize(
    ("media", "format_"),
    [("image/png", "png"), ("image/jpeg", "jpeg"), ("image/jpg", "jpeg"), ("IMAGE/GIF", "gif"), ("image/webp", "webp")],
)
def test_images(media: str, format_: str) -> None:
    """Images of the formats that Converse has go up as they are."""
    part = {"type": "input_image", "image_url": f"data:{media};base64,aGk="}

    assert messages_of(user(part)) == [says("user", {"image": {"format": format_, "source": {"bytes": "aGk="}}})]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_image", "image_url": "data:image/svg+xml;base64,aGk="},
        {"type": "input_image", "image_url": "data:image/png,hi"},
        {"type": "input_image", "file_id": "file_1"},
        {"type": "input_file", "file_id": "file_1"},
        {"type": "input_file", "file_url": "https://files.example/a.pdf"},
        {"type": "input_file", "file_data": "aGk=", "filename": "a.pdf"},
        {"type": "input_file", "file_data": "data:application/zip;base64,aGk=", "filename": "a.zip"},
        {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
    ],
    ids=["svg", "not base64", "by id", "a file by id", "a file by URL", "no data URL", "a zip", "audio"],
)
def test_parts_that_are_refused(part: JsonObject) -> None:
    """A part in a form that Converse does not take is refused by its place."""
    with pytest.raises(UnsupportedParameter) as raised:
        messages_of(user("Look", part))

    assert raised.value.param == "input[0].content[1]"


def test_a_part_of_a_result_that_is_refused() -> None:
    """A part of a tool's output is refused by its place there."""
    part = {"type": "input_file", "file_id": "f"}
    with pytest.raises(UnsupportedParameter) as raised:
        messages_of(user("Hi"), function_call("c1"), function_output("c1", [part]))

    assert raised.value.param == "input[2].output[0]"


@pytest.mark.parametrize("role", ["system", "developer", "assistant"])
def test_others_than_users_speak_text(role: str) -> None:
    """An image in a message that is not the user's is refused."""
    with pytest.raises(UnsupportedParameter) as raised:
        messages_of(user("Hi"), message(role, image_data()))

    assert raised.value.param == "input[1].content[0]"


def test_an_unknown_role() -> None:
    """A message of a role that nobody knows is refused."""
    with pytest.raises(UnsupportedParameter) as raised:
        messages_of(message("narrator", "Once"))

    assert raised.value.param == "input[0].role"


def document(filename: str | None, media: str = "application/pdf") -> JsonObject:
    named = {} if filename is None else {"filename": filename}
    return {"type": "input_file", "file_data": f"data:{media};base64,aGk=", **named}


@pytest.mark.parametrize(
    ("filename", "media", "format_", "name"),
    [
        ("Report (final) [2].pdf", "application/pdf", "pdf", "Report (final) [2]"),
        ("a_b.c\\d:é.pdf", "application/pdf", "pdf", "a b c d"),
        (None, "text/csv", "csv", "document"),
        ("...", "text/plain", "txt", "document"),
        ("notes.MD", "application/octet-stream", "md", "notes"),
        ("../../x/page.htm", "", "html", "page"),
        ("x" * 300 + ".pdf", "application/pdf", "pdf", "x" * 190),
    ],
)
def test_documents(filename: str | None, media: str, format_: str, name: str) -> None:
    """A document's format is that of its type, else of its name; its name is cut to the API's alphabet."""
    block = messages_of(user("Read", document(filename, media)))[0]["content"][1]["document"]

    assert block == {"format": format_, "name": name, "source": {"bytes": "aGk="}}


def test_no_two_documents_have_one_name() -> None:
    """Namesakes are numbered, throughout the request: Converse refuses two of one name."""
    items = (user("Read", document("a.pdf"), document("a.pdf")), assistant("Yes."), user("And", document("a.csv")))

    names = [
        block["document"]["name"] for said in messages_of(*items) for block in said["content"] if "document" in block
    ]

    assert names == ["a", "a (2)", "a (3)"]


def test_details_are_not_applied() -> None:
    """How closely a picture or a file is to be looked at cannot be said, and the answer's header says that."""
    parts = ({**image_data(), "detail": "high"}, {**file_data(), "detail": "low"})

    assert Bedrock().encode(model_call(user("See", *parts))).not_applied == ("input_image.detail", "input_file.detail")


def test_pictures_are_the_clients_bytes() -> None:
    """The data of an image reaches the upstream byte for byte."""
    block = messages_of(user(image_data()))[0]["content"][0]

    assert base64.b64decode(block["image"]["source"]["bytes"]).startswith(b"\x89PNG")


def test_what_cannot_be_written() -> None:
    """Half a character is no JSON: the client is told."""
    with pytest.raises(InvalidRequest, match="cannot be written as JSON"):
        encoded(model_call(user("\ud800")))
