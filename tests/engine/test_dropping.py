"""Dropping: what goes where an upstream cannot be told of it, what stays, and what is still refused."""

from __future__ import annotations

import threading
from typing import Any

import msgspec
import orjson
import pytest

from antiphon import Target, upstream
from antiphon.app.dialects import make_provider
from antiphon.engine import droppable
from antiphon.engine.dropping import Written, write, write_without
from antiphon.formats.responses.items import ITEM_TYPES
from antiphon.formats.responses.tools import TOOLS as TOOL_SCHEMAS
from antiphon.hub.errors import InvalidRequest, UnsupportedParameter
from antiphon.hub.ids import ItemId
from antiphon.hub.items import Item
from antiphon.hub.turn import ModelCall, TurnRequest
from tests.providers.kit import calls
from tests.providers.kit.calls import (
    assistant,
    file_data,
    function_call,
    function_output,
    function_tool,
    image_data,
    item,
    message,
    user,
)

CHAT: dict[str, Any] = {"images": False}
STRICT: dict[str, Any] = {"refuse": ["temperature", "top_logprobs", "logprobs", "tool_choice", "response_format"]}
SEARCH = {"type": "web_search"}
LOOK = function_tool("look")


def model_call(*items: Item, **fields: Any) -> ModelCall:
    """A call whose items have ids of their own, as stored ones have."""
    named = (msgspec.structs.replace(item, id=ItemId(f"item_{place}")) for place, item in enumerate(items))
    return calls.model_call(*named, **fields)


def written(
    call: ModelCall, *wish: str, dialect: str = "openai_chat", quirks: dict[str, Any] | None = None
) -> tuple[Any, Written]:
    """The body that a dialect makes of a call from which what *wish* names may go, and what has gone."""
    provider = make_provider(dialect, CHAT if quirks is None and dialect == "openai_chat" else quirks or {})
    request, less = write_without(provider.encode, call, droppable.check_names(wish))
    return orjson.loads(request.body), less


def refused(call: ModelCall, *wish: str, **options: Any) -> str | None:
    """The parameter for which a call is refused although *wish* may go: at this upstream, not everywhere."""
    with pytest.raises(UnsupportedParameter) as raised:
        written(call, *wish, **options)
    return raised.value.param


FIELDS: dict[str, tuple[ModelCall, str, str, str, dict[str, Any]]] = {
    "a temperature": (model_call(temperature=1.5, top_p=0.5), "temperature", "temperature", "openai_chat", STRICT),
    "a penalty": (model_call(presence_penalty=0.5), "presence_penalty", "presence_penalty", "anthropic", {}),
    "verbosity": (
        model_call(text={"format": {"type": "text"}, "verbosity": "low"}),
        "text.verbosity",
        "text.verbosity",
        "anthropic",
        {},
    ),
    "verbosity, as chat calls it": (
        model_call(text={"format": {"type": "text"}, "verbosity": "low"}),
        "verbosity",
        "text.verbosity",
        "bedrock",
        {},
    ),
    "a text format": (
        model_call(text={"format": {"type": "json_object"}, "verbosity": "medium"}),
        "response_format",
        "text.format",
        "openai_chat",
        STRICT,
    ),
    "log probabilities": (
        model_call(top_logprobs=3, include=frozenset({"message.output_text.logprobs", "reasoning.encrypted_content"})),
        "logprobs",
        "include",
        "anthropic",
        {},
    ),
    "a mode of reasoning": (
        model_call(reasoning={"mode": "pro", "effort": "low"}),
        "reasoning",
        "reasoning.mode",
        "gemini",
        {},
    ),
    "texts to stop at": (model_call(stop=("END",)), "stop_sequences", "stop", "openai_responses", {}),
    "a demand": (
        model_call(tools=(LOOK,), tool_choice="required"),
        "tool_choice",
        "tool_choice",
        "openai_chat",
        STRICT,
    ),
}


@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS.keys())
@pytest.mark.parametrize("wish", ["named", "all"])
def test_a_field_goes(field: tuple[ModelCall, str, str, str, dict[str, Any]], wish: str) -> None:
    """A setting that is refused, and that may go, is at its default; its name is told, and nothing else changes."""
    call, name, dropped, dialect, quirks = field
    assert refused(call, dialect=dialect, quirks=quirks) is not None
    _, less = written(call, name if wish == "named" else "all", dialect=dialect, quirks=quirks)
    assert less.dropped == (dropped,)
    changed = {
        field
        for field in TurnRequest.__struct_fields__
        if getattr(less.call.request, field) != getattr(call.request, field)
    }
    assert changed <= {dropped.partition(".")[0], "top_logprobs"}
    assert less.call.items == call.items


def test_log_probabilities_go_alone() -> None:
    """What else a request wants to be included stays."""
    call = model_call(include=frozenset({"message.output_text.logprobs", "reasoning.encrypted_content"}))
    _, less = written(call, "include", dialect="anthropic")
    assert less.call.request.include == {"reasoning.encrypted_content"}


def test_members_go_alone() -> None:
    """Of a field with members only the one that is refused goes."""
    call = model_call(reasoning={"mode": "pro", "effort": "high"})
    _, less = written(call, "reasoning", dialect="gemini")
    assert less.call.request.reasoning == {"effort": "high"}


def test_what_is_not_named_is_refused() -> None:
    """The first thing that cannot be said and may not go is the request's error, whatever else went before it."""
    call = model_call(user(image_data()), presence_penalty=0.5, tools=(SEARCH,))
    assert refused(call, "image", "tools", dialect="anthropic") == "presence_penalty"
    assert refused(call, "image", "presence_penalty", quirks=CHAT) == "tools[0]"


def test_what_can_be_said_stays() -> None:
    """Nothing goes that the upstream can be told, however much may go."""
    call = model_call(user("What?", image_data()), temperature=0.5, tools=(LOOK,), stop=("END",))
    body, less = written(call, "all", dialect="anthropic")
    assert (less.dropped, less.call) == ((), call)
    assert body["messages"][0]["content"][1]["type"] == "image"


@pytest.mark.parametrize("name", ["tools", "web_search", "web_search_options", "all"])
def test_a_hosted_tool_goes(name: str) -> None:
    """A tool that cannot be offered goes, by its type or with all that cannot; the others stay."""
    body, less = written(model_call(tools=(SEARCH, LOOK)), name)
    assert less.dropped == ("tools.web_search",)
    assert [tool["function"]["name"] for tool in body["tools"]] == ["look"]


def test_a_field_of_a_tool_goes_alone() -> None:
    """Where just a field of a tool cannot be said, the tool stays without it."""
    body, less = written(model_call(tools=({**LOOK, "defer_loading": True},)), "tools")
    assert less.dropped == ("tools.defer_loading",)
    assert [tool["function"]["name"] for tool in body["tools"]] == ["look"]


def test_a_tool_in_a_namespace_goes_alone() -> None:
    """A tool that a namespace cannot hold goes; one with nothing left in it goes as well."""
    both = {"type": "namespace", "name": "crm", "description": "C", "tools": [SEARCH, LOOK]}
    none = {"type": "namespace", "name": "web", "description": "W", "tools": [SEARCH]}
    body, less = written(model_call(tools=(both, none)), "web_search")
    assert less.dropped == ("tools.web_search",)
    assert len(body["tools"]) == 1


def test_a_tool_without_its_schema_is_none() -> None:
    """A function whose parameters cannot be said goes as a whole: without them it would be another one."""
    recursive = {"type": "object", "properties": {"next": {"$ref": "#"}}}
    call = model_call(tools=({**LOOK, "name": "walk", "parameters": recursive}, LOOK))
    options: dict[str, Any] = {"dialect": "gemini", "quirks": {"schemas": "openapi"}}
    assert refused(call, **options) == "tools[0].parameters"
    body, less = written(call, "function", **options)
    assert less.dropped == ("tools.function",)
    assert [tool["name"] for tool in body["tools"][0]["functionDeclarations"]] == ["look"]


def allowed(mode: str, *tools: dict[str, Any]) -> dict[str, Any]:
    return {"type": "allowed_tools", "mode": mode, "tools": list(tools)}


def test_what_may_be_called_shrinks_with_the_tools() -> None:
    """A tool that has gone is not among those that may be called; if none is left, none may be."""
    look = {"type": "function", "name": "look"}
    _, less = written(model_call(tools=(SEARCH, LOOK), tool_choice=allowed("auto", SEARCH, look)), "tools")
    assert less.call.request.tool_choice == allowed("auto", look)
    _, less = written(model_call(tools=(SEARCH, LOOK), tool_choice=allowed("auto", SEARCH)), "tools")
    assert less.call.request.tool_choice == "none"


@pytest.mark.parametrize(
    "choice", ["required", SEARCH, allowed("required", SEARCH)], ids=["any", "this one", "one of these"]
)
def test_a_demand_goes_only_by_its_own_name(choice: Any) -> None:
    """That a tool has to be called is not dropped with the tool: who did not name it too is refused."""
    call = model_call(tools=(SEARCH,), tool_choice=choice)
    assert str(refused(call, "web_search")).startswith("tool_choice")
    body, less = written(call, "web_search", "tool_choice")
    assert less.call.request.tool_choice == "auto"
    assert "tools" not in body


def test_all_images_of_a_kind_go() -> None:
    """An image goes from wherever it stands, with the text beside it kept, and of the history too."""
    call = model_call(
        user("One", image_data()), assistant("Yes."), user(image_data(), "Two"), user(image_data()), input_start=2
    )
    body, less = written(call, "image")
    assert less.dropped == ("input_image",)
    texts = [entry["content"] for entry in body["messages"]]
    assert texts == ["One", "Yes.", "Two", ""]


@pytest.mark.parametrize("dialect", ["openai_chat", "openai_responses", "anthropic", "gemini", "bedrock"])
def test_a_message_of_nothing_else_can_be_told(dialect: str) -> None:
    """A message that had nothing but what went is no fault."""
    call = model_call(user("Hi"), user({"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}))
    wanted = set() if dialect == "openai_responses" else {"input_audio"}  # which says every part as it is
    _, less = written(call, "audio", dialect=dialect, quirks={})
    assert set(less.dropped) == wanted


def test_an_image_of_a_tool_goes_where_it_cannot_stand() -> None:
    """What a user shows stays where only a tool's image cannot be said."""
    call = model_call(
        user("Look", image_data()),
        function_call("call_1"),
        function_output("call_1", [{"type": "input_text", "text": "see"}, image_data()]),
        tools=(LOOK,),
    )
    body, less = written(call, "image", quirks={})
    assert less.dropped == ("input_image",)
    assert body["messages"][0]["content"][1]["type"] == "image_url"
    assert body["messages"][2]["content"] == "see"


def test_an_image_that_is_sent_otherwise_stays() -> None:
    """Of images by id and as data only those go that the upstream cannot be given."""
    call = model_call(user({"type": "input_image", "file_id": "file_1", "detail": "auto"}, image_data()))
    body, less = written(call, "image", quirks={})
    assert less.dropped == ("input_image",)
    assert [part["type"] for part in body["messages"][0]["content"]] == ["image_url"]


def test_an_image_that_is_written_otherwise_stays() -> None:
    """Of images as data only those go whose form the upstream does not take."""
    bare = {"type": "input_image", "image_url": "data:image/png,%89PNG", "detail": "auto"}
    body, less = written(model_call(user(bare, image_data())), "image", dialect="anthropic", quirks={})
    assert less.dropped == ("input_image",)
    assert [part["source"]["type"] for part in body["messages"][0]["content"]] == ["base64"]


def test_items_go_with_their_counterpart() -> None:
    """An item of a type that cannot be said goes by that type, a call with its output; places stay the client's."""
    call = model_call(
        user("Before"),
        item("shell_call", call_id="c", action={"commands": ["ls"]}),
        user("Hi"),
        item("shell_call_output", call_id="c", output=[]),
        user(file_data()),
        input_start=1,
    )
    assert refused(call, "shell_call") == "input[3].content[0]"
    body, less = written(call, "shell_call", "file")
    assert less.dropped == ("shell_call", "input_file")
    assert len(less.call.items) == 3
    assert less.call.input_start == 1
    assert "Hi" in str(body["messages"])


@pytest.mark.parametrize("wish", ["image", "all"])
@pytest.mark.parametrize("dialect", ["openai_chat", "anthropic", "bedrock"])
def test_what_the_history_can_be_told_as_stays(dialect: str, wish: str) -> None:
    """Beside what goes of the history stays what is handed over in other words, and what nobody refused."""
    found = item("mcp_call", name="find", arguments="{}", output="Found.")
    shown = user("Look", {"type": "input_image", "file_id": "file_1", "detail": "auto"})
    call = model_call(user("Hi"), found, shown, user("Now"), input_start=3)
    body, less = written(call, wish, dialect=dialect, quirks={})
    assert less.dropped == ("input_image",)
    assert "Found." in str(body)
    assert [entry.id for entry in less.call.items] == [entry.id for entry in call.items]


@pytest.mark.parametrize("input_start", [0, 2], ids=["input", "history"])
@pytest.mark.parametrize(
    ("dialect", "quirks"),
    [("openai_chat", {}), ("gemini", {}), ("openai_responses", {"tool_types": ["function"]})],
    ids=["openai_chat", "gemini", "openai_responses"],
)
def test_a_tool_that_an_item_adds_goes(dialect: str, quirks: dict[str, Any], input_start: int) -> None:
    """A tool goes from wherever it is offered; the others of that item stay."""
    added = item("additional_tools", role="developer", tools=[LOOK, SEARCH])
    call = model_call(user("Hi"), added, user("Now"), input_start=input_start, tools=(function_tool("find"),))
    assert refused(call, "image", dialect=dialect, quirks=quirks) is not None
    _, less = written(call, "tools", dialect=dialect, quirks=quirks)
    assert less.dropped == ("tools.web_search",)
    assert less.call.items[1].body["tools"] == [LOOK]


def test_a_message_never_goes() -> None:
    """Messages of a role that cannot be said are refused: they hold what was said."""
    call = model_call(message("critic", "No."), user("Hi"))
    assert refused(call, "all") == "input[0].role"


def test_a_long_history_takes_few_tries() -> None:
    """Hundreds of images cost one more try, not one each."""
    provider = make_provider("openai_chat", CHAT)
    tries = 0

    def encode(call: ModelCall) -> Any:
        nonlocal tries
        tries += 1
        return provider.encode(call)

    call = model_call(*(user(f"{number}", image_data()) for number in range(300)))
    write_without(encode, call, frozenset({"input_image"}))
    assert tries == 2  # refused, and written


@pytest.mark.parametrize(("size", "waits"), [(1, True), (400, False)], ids=["short", "long"])
async def test_a_long_call_is_not_written_on_the_event_loop(size: int, waits: bool) -> None:
    """Whatever is asked of an upstream, its input's length too, a long history is written in a thread."""
    threads: list[int] = []

    def count(call: ModelCall) -> None:
        threads.append(threading.get_ident())

    target = Target(upstream("http://127.0.0.1:1/v1"), "m")
    call = model_call(*[user("Hi")] * size)
    assert await write(target, count, call) == (None, Written(call=call))
    assert (threads == [threading.get_ident()]) is waits


def test_endless_kinds_of_files_are_refused() -> None:
    """Who sends files of ever other kinds is refused in the end: each kind is one more try."""
    files = [{"type": "input_file", "file_id": "file_1", "filename": f"a.{number}"} for number in range(33)]
    assert refused(model_call(user(*files)), "file", quirks={}) == "input[0].content[0]"
    _, less = written(model_call(user(*files[1:])), "file", quirks={})
    assert less.dropped == ("input_file",)


def test_an_error_of_the_request_stays_one() -> None:
    """What is wrong by itself is refused as ever."""
    call = model_call(tool_choice={"type": "function", "name": "nobody"}, tools=(LOOK,))
    with pytest.raises(InvalidRequest) as raised:
        written(call, "all")
    assert not isinstance(raised.value, UnsupportedParameter)


def test_the_client_s_own_body_is_not_what_is_said() -> None:
    """A call that has lost something is not passed on as its client wrote it."""
    call = msgspec.structs.replace(model_call(tools=(SEARCH,)), verbatim={"model": "alias"})
    _, less = written(call, "tools", dialect="bedrock")
    assert less.dropped == ("tools.web_search",)
    assert less.call.verbatim is None


def test_names_are_checked() -> None:
    """A name that means nothing is told, with the nearest one that does."""
    with pytest.raises(ValueError, match=r"'temprature'\. Did you mean 'temperature'\?"):
        droppable.check_names(["temprature"])


def test_every_type_has_a_name() -> None:
    """All types of tools, and all types of items but those that always stay, can be named."""
    assert set(TOOL_SCHEMAS.item.variants) <= droppable.TOOLS  # type: ignore[attr-defined]
    staying = {"compaction", "compaction_trigger", "custom_tool_call", "custom_tool_call_output", "function_call"}
    staying |= {"function_call_output", "item_reference", "message", "reasoning"}
    assert set(ITEM_TYPES) - staying == droppable.ITEMS
