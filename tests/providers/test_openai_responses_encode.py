"""Contexts and settings, as the body that a Responses upstream gets."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest

from antiphon.hub.errors import InvalidRequest, UnsupportedParameter
from antiphon.hub.ids import ItemId
from antiphon.hub.items import Item, JsonObject, Private
from tests.providers.kit.calls import (
    ACCOUNT,
    assistant,
    function_call,
    function_output,
    function_tool,
    item,
    model_call,
    reasoning,
    user,
)
from tests.providers.kit.requests import REQUESTS
from tests.providers.openai_responses_requests import (
    EXPECTED,
    REFUSED,
    encode,
    encoded_body,
    encoded_input,
    hashed,
    message,
)


def own(**data: Any) -> Private:
    return Private("openai_responses", ACCOUNT, data)


OTHERS = {
    "another account": Private("openai_responses", "elsewhere", {"encrypted_content": "x", "id": "x"}),
    "another provider": Private("anthropic", ACCOUNT, {"signature": "x"}),
}


NOT_APPLIED = {"what another upstream's tools made": ("history.web_search_call",)}


def thought(private: Private | None = None, **body: Any) -> Item:
    return item("reasoning", private=private, summary=[], **body)


def test_every_named_request_is_held() -> None:
    """No request of the kit is left out."""
    assert EXPECTED.keys() | REFUSED.keys() == REQUESTS.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_request(name: str) -> None:
    """Each request goes up as exactly this body; nothing that the API knows is refused or left out."""
    request = encode(REQUESTS[name])

    assert orjson.loads(request.body) == EXPECTED[name]
    assert (request.method, request.path, request.stream) == ("POST", "/responses", REQUESTS[name].stream)
    assert request.not_applied == NOT_APPLIED.get(name, ())


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    """What other dialects have and this API has not is refused by name."""
    with pytest.raises(UnsupportedParameter) as refused:
        encode(REQUESTS[name])

    assert refused.value.param == REFUSED[name]


def test_the_state_stays_here() -> None:
    """Whatever a client says of state, the upstream is asked to store nothing and told of nothing."""
    call = model_call(
        previous_response_id="resp_1",
        conversation="conv_1",
        background=True,
        store=True,
        metadata={"a": "b"},
        truncation="auto",
        context_management=({"type": "compaction", "compact_threshold": 1000},),
        prompt={"id": "pmpt_1"},
    )

    assert encoded_body(call) == EXPECTED["one text"]


def test_a_client_may_do_without_padding() -> None:
    """A stream without obfuscation is asked for without it; nothing is said where nothing streams."""
    asked = model_call(stream=True, include_obfuscation=False)

    assert encoded_body(asked)["stream_options"] == {"include_obfuscation": False}
    assert encoded_body(model_call(include_obfuscation=False)) == EXPECTED["one text"]


def test_the_limit_of_hosted_calls_goes_up_where_it_counts() -> None:
    """max_tool_calls goes up with hosted tools; without any, the client was told that it has no effect."""
    hosted = model_call(max_tool_calls=2, tools=({"type": "web_search"},))
    without = model_call(max_tool_calls=2, not_applied=("max_tool_calls",))

    assert encoded_body(hosted)["max_tool_calls"] == 2
    assert encoded_body(without) == EXPECTED["one text"]


def test_a_key_for_the_cache() -> None:
    """All calls of one log carry its key; a client's own comes first, and a server without such keys gets none."""
    of_the_log = msgspec.structs.replace(model_call(), cache_key="log-1")
    own_key = msgspec.structs.replace(model_call(prompt_cache_key="thread-1"), cache_key="log-1")
    dropped = encode(of_the_log, drop=("prompt_cache_key",))

    assert encoded_body(of_the_log) == {**EXPECTED["one text"], "prompt_cache_key": "log-1"}
    assert encoded_body(own_key) == EXPECTED["a cache key"]
    assert encoded_body(of_the_log, cache_key=False) == EXPECTED["one text"]
    assert (orjson.loads(dropped.body), dropped.not_applied) == (EXPECTED["one text"], ())


def test_texts_to_stop_at_are_refused() -> None:
    """Other dialects' clients may ask for what this API has no words for."""
    with pytest.raises(UnsupportedParameter) as caught:
        encode(model_call(stop=("END",)))

    assert caught.value.param == "stop"


# Items.


def test_what_only_the_gateway_knows_of_a_text_stays() -> None:
    """Log probabilities stay here; annotations, the phase and fields that are not known go up."""
    part = {
        "type": "output_text",
        "text": "Hi",
        "annotations": [{"type": "file_path", "file_id": "f", "index": 0}],
        "logprobs": [{"token": "Hi", "logprob": -1.0, "bytes": [], "top_logprobs": []}],
    }

    sent = encoded_input(assistant(part, phase="commentary", mood="calm"))

    assert sent == [
        {**message("assistant"), "content": [without(part, "logprobs")], "phase": "commentary", "mood": "calm"}
    ]


def test_hosted_items_go_back_under_their_own_ids() -> None:
    """What the upstream's tools made goes back untouched, under the id that the upstream gave it."""
    body: JsonObject = {"status": "completed", "code": "1", "container_id": "cntr_1", "outputs": None}

    sent = encoded_input(item("code_interpreter_call", private=own(id="ci_up"), **body), user("Ho"))

    assert sent[0] == {"id": "ci_up", "type": "code_interpreter_call", **body}


@pytest.mark.parametrize("private", OTHERS.values(), ids=OTHERS)
def test_hosted_items_of_others_are_left_out(private: Private) -> None:
    """What somebody else's tools made is nothing that this upstream could refer to; what was said about it stays."""
    sent = encoded_input(item("web_search_call", private=private, status="completed"), assistant("Found."), user("Ho"))

    assert sent == [message("assistant", "Found."), message("user", "Ho")]


def test_hosted_items_that_a_client_keeps_go_up() -> None:
    """An item that nobody marked goes up under an id made of ours, the same one in every call."""
    search = item("web_search_call", item_id="ws_ours", status="completed", action={"type": "search", "query": "x"})

    sent = encoded_input(search)

    assert sent == [{**search.body, "id": hashed("ws", "ws_ours")}]


@pytest.mark.parametrize("private", [None, own(id="cu_up"), *OTHERS.values()], ids=["unmarked", "own", *OTHERS])
def test_calls_of_the_client_go_up_to_everybody(private: Private | None) -> None:
    """A call that the client answers is the conversation's, whoever made it; its id is its own or made up."""
    body: JsonObject = {
        "call_id": "call_1",
        "action": {"type": "click"},
        "pending_safety_checks": [],
        "status": "completed",
    }

    sent = encoded_input(item("computer_call", item_id="cu_ours", private=private, **body))

    expected = "cu_up" if private == own(id="cu_up") else hashed("cu", "cu_ours")
    assert sent == [{"type": "computer_call", "id": expected, **body}]


PLAIN_ITEMS: dict[str, JsonObject] = {
    "shell_call": {"call_id": "call_1", "action": {"commands": ["ls"]}, "status": "completed"},
    "shell_call_output": {"call_id": "call_1", "output": [], "status": "completed"},
    "apply_patch_call": {"call_id": "call_1", "operation": {"type": "delete_file", "path": "a"}, "status": "completed"},
    "apply_patch_call_output": {"call_id": "call_1", "status": "completed", "output": "ok"},
    "computer_call_output": {"call_id": "call_1", "output": {"type": "computer_screenshot"}, "status": "completed"},
    "tool_search_call": {"call_id": "call_1", "execution": "client", "arguments": {"q": 1}, "status": "completed"},
    "tool_search_output": {"call_id": "call_1", "execution": "client", "tools": [], "status": "completed"},
    "compaction": {"encrypted_content": "gAAA"},
    "configuration_update": {"reasoning": {"effort": "low"}},
}


@pytest.mark.parametrize("kind", PLAIN_ITEMS)
def test_other_items_go_up_as_they_stand(kind: str) -> None:
    """Whatever else the API has goes up with all its fields, only without our id."""
    assert encoded_input(item(kind, **PLAIN_ITEMS[kind])) == [{"type": kind, **PLAIN_ITEMS[kind]}]


def test_the_output_of_a_local_shell_names_its_call_by_id() -> None:
    """The published schema ties this one output to its call by id."""
    output = item("local_shell_call_output", call_id="call_1", output="ok", status="completed")

    assert encoded_input(output) == [
        {"type": "local_shell_call_output", "id": "call_1", "output": "ok", "status": "completed"}
    ]


def test_an_approval_names_its_request_as_the_upstream_does() -> None:
    """Our id of an approval request is replaced by the upstream's wherever it is referred to."""
    request = item("mcp_approval_request", item_id="mcpr_ours", private=own(id="mcpr_up"), server_label="s")
    answer = item("mcp_approval_response", approval_request_id="mcpr_ours", approve=True)
    made = item("mcp_call", private=own(id="mcp_up"), approval_request_id="mcpr_ours", output=None)

    sent = encoded_input(request, answer, made)

    assert [entry.get("approval_request_id") for entry in sent] == [None, "mcpr_up", "mcpr_up"]
    assert sent[0]["id"] == "mcpr_up"


def test_approvals_that_a_client_keeps_find_their_requests() -> None:
    """A client that carries the items itself names requests by older ids; they are answered in their order."""

    def request(item_id: str) -> Item:
        return item("mcp_approval_request", item_id=item_id, server_label="s")

    def answer(item_id: str) -> Item:
        return item("mcp_approval_response", approval_request_id=item_id, approve=True)

    context = (request("mcpr_0"), user("Never mind."), request("mcpr_1"), request("mcpr_2"), answer("x"), answer("y"))

    sent = encoded_input(*context)

    assert [entry["approval_request_id"] for entry in sent[-2:]] == [hashed("mcpr", "mcpr_1"), hashed("mcpr", "mcpr_2")]


def test_an_approval_goes_with_its_request() -> None:
    """A request of somebody else's server is left out, and so is its answer."""
    request = item("mcp_approval_request", item_id="mcpr_ours", private=OTHERS["another account"])
    answer = item("mcp_approval_response", approval_request_id="mcpr_ours", approve=True)

    assert encoded_input(request, answer, user("Ho")) == [message("user", "Ho")]


# Reasoning.


def test_own_reasoning_goes_back_as_it_came() -> None:
    """Encrypted content goes back byte for byte in front of what it led to, without the text that was shown of it."""
    mine = thought(own(encrypted_content="gAAA+/="), content=[{"type": "reasoning_text", "text": "Hm."}])

    sent = encoded_input(user("Hi"), mine, assistant("Hello."))

    assert sent[1] == {"type": "reasoning", "summary": [], "encrypted_content": "gAAA+/="}


@pytest.mark.parametrize("private", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("mode", ["by_model", "encrypted", "text"])
def test_reasoning_of_others_stays_here(mode: str, private: Private) -> None:
    """Reasoning that another account or provider made is not this upstream's to read."""
    foreign = thought(private, encrypted_content="x", content=[{"type": "reasoning_text", "text": "Hm."}])

    assert encoded_input(foreign, assistant("Hello."), reasoning=mode) == [message("assistant", "Hello.")]


FOLLOWERS: dict[str, tuple[tuple[Item, ...], bool]] = {
    "a message": ((assistant("Hello."),), True),
    "a call": ((function_call("call_1"), function_output("call_1")), True),
    "a hosted call": ((item("web_search_call", status="completed"),), True),
    "more reasoning and a message": ((thought(own(encrypted_content="b")), assistant("Hello.")), True),
    "a user": ((user("Ho"),), False),
    "an output": ((function_output("call_1"),), False),
    "nothing": ((), False),
}


@pytest.mark.parametrize(("followers", "expected"), FOLLOWERS.values(), ids=FOLLOWERS)
def test_reasoning_goes_up_with_what_it_led_to(followers: tuple[Item, ...], expected: bool) -> None:
    """Reasoning whose item is gone is left out: an upstream refuses it alone."""
    sent = encoded_input(thought(own(encrypted_content="a")), *followers)

    assert [entry["encrypted_content"] for entry in sent if entry["type"] == "reasoning"][:1] == ["a"] * expected
    assert [entry["type"] for entry in sent if entry["type"] != "reasoning"] == [
        follower.type for follower in followers if follower.type != "reasoning"
    ]


def test_reasoning_in_front_of_what_is_left_out_waits() -> None:
    """A hosted item that is left out between reasoning and a message does not part them."""
    gone = item("web_search_call", private=OTHERS["another account"])

    sent = encoded_input(thought(own(encrypted_content="a")), gone, assistant("Hello."))

    assert [entry["type"] for entry in sent] == ["reasoning", "message"]


def test_raw_reasoning_goes_back_as_text() -> None:
    """For a server with open reasoning its text goes back, also that which nobody marked."""
    content = [{"type": "reasoning_text", "text": "Hm."}]

    body = encoded_body(model_call(reasoning("Hm."), assistant("Hello.")), reasoning="text")

    assert body["input"][0] == {"type": "reasoning", "summary": [], "content": content}
    assert "include" not in body


def test_reasoning_can_be_left_out() -> None:
    """Where reasoning never goes back none is asked for either."""
    mine = thought(own(encrypted_content="a"))

    assert encoded_body(model_call(mine, assistant("A"), user("B")), reasoning="never") == without(
        {**EXPECTED["one text"], "input": [message("assistant", "A"), message("user", "B")]}, "include"
    )


@pytest.mark.parametrize(
    "name", ["gpt-4o", "gpt-4.1-mini", "ft:gpt-4o:org", "openai/gpt-4o", "chatgpt-4o-latest", "gpt-5-chat-latest"]
)
def test_models_that_do_not_reason(name: str) -> None:
    """By OpenAI's names: they refuse reasoning and the wish for it, so they get neither, unless a quirk says so."""
    mine = thought(own(encrypted_content="a"))
    call = msgspec.structs.replace(model_call(mine, assistant("A")), model=name)

    assert encoded_body(call) == {"model": name, "input": [message("assistant", "A")], "store": False}
    assert encoded_body(call, reasoning="encrypted")["include"] == ["reasoning.encrypted_content"]


@pytest.mark.parametrize("name", ["gpt-5.6", "o4-mini", "grok-4", "openai/gpt-oss-120b", "my-deployment", "gpt-50"])
def test_models_that_may_reason(name: str) -> None:
    """Every other model is asked for its reasoning."""
    call = msgspec.structs.replace(model_call(), model=name)

    assert encoded_body(call) == {**EXPECTED["one text"], "model": name}


# Tools.


def test_fields_that_are_null_are_left_out_of_tools() -> None:
    """A null stands for a default, in a namespace too; a null inside a schema means null and stays."""
    schema = {"type": "object", "properties": {"a": {"enum": [None, 1]}}}
    tool = {"type": "function", "name": "f", "description": None, "strict": None, "parameters": schema}
    added = item("additional_tools", role="developer", tools=[tool])
    expected = {"type": "function", "name": "f", "parameters": schema}

    body = encoded_body(model_call(added, tools=({"type": "namespace", "name": "n", "tools": [tool]},)))

    assert body["tools"] == [{"type": "namespace", "name": "n", "tools": [expected]}]
    assert body["input"] == [{"type": "additional_tools", "role": "developer", "tools": [expected]}]


THIN = {"tool_types": ("function",)}
SEARCH = {"type": "web_search"}


def test_tools_that_a_server_lacks_are_refused_by_name() -> None:
    """A server that knows functions alone is not asked for more."""
    added = model_call(user("Hi"), item("additional_tools", role="developer", tools=[SEARCH]))

    with pytest.raises(UnsupportedParameter) as caught:
        encode(model_call(tools=(function_tool("look"), SEARCH)), **THIN)
    with pytest.raises(UnsupportedParameter) as caught_added:
        encode(added, **THIN)

    assert (caught.value.param, caught_added.value.param) == ("tools[1]", "input[1].tools[0]")


def test_tools_that_a_server_lacks_can_be_dropped() -> None:
    """Where it is configured, the request goes up without them and says so."""
    added = item("additional_tools", role="developer", tools=[{"type": "custom", "name": "c"}])
    call = model_call(user("Hi"), added, tools=(function_tool("look"), SEARCH))

    request = encode(call, unsupported_tools="drop", **THIN)

    assert [tool["type"] for tool in orjson.loads(request.body)["tools"]] == ["function"]
    assert orjson.loads(request.body)["input"] == [message("user", "Hi")]
    assert request.not_applied == ("tools.custom", "tools.web_search")


@pytest.mark.parametrize("choice", ["required", {"type": "web_search"}], ids=["any", "named"])
def test_a_dropped_tool_cannot_be_demanded(choice: str | JsonObject) -> None:
    """A choice that nothing is left for is refused rather than forgotten."""
    with pytest.raises(UnsupportedParameter) as caught:
        encode(model_call(tools=(SEARCH,), tool_choice=choice), unsupported_tools="drop", **THIN)

    assert caught.value.param == "tool_choice"


def test_a_choice_without_tools_says_nothing() -> None:
    """Not to call a tool is what happens anyway where all of them were dropped."""
    body = encoded_body(model_call(tools=(SEARCH,), tool_choice="none"), unsupported_tools="drop", **THIN)

    assert body == EXPECTED["one text"]


# Thinner servers.


def test_the_full_form() -> None:
    """Servers that read the published schema by the letter get ids and statuses with what the model made."""
    items = (
        user("Hi"),
        thought(own(encrypted_content="a"), status="completed"),
        assistant("Let me see."),
        function_call("call_1"),
        function_output("call_1"),
    )

    sent = encoded_input(*items, output_items="full")

    assert [(entry["type"], entry.get("id"), entry.get("status")) for entry in sent] == [
        ("message", None, None),
        ("reasoning", hashed("rs", "item_1"), "completed"),
        ("message", hashed("msg", "item_1"), "completed"),
        ("function_call", None, None),
        ("function_call_output", None, None),
    ]


def test_a_refusal_as_text() -> None:
    """A server that knows no refusals gets the words."""
    refused = assistant({"type": "refusal", "refusal": "No."})

    assert encoded_input(refused, assistant_refusal="text") == [message("assistant", "No.")]


def test_dropped_fields_are_reported_when_they_were_wanted() -> None:
    """Of the fields that an upstream refuses, the client is told those that it had set."""
    quirks = ("tool_choice", "top_p", "include")
    plain = encode(model_call(include=frozenset({"reasoning.encrypted_content"})), drop=quirks)
    wanted = encode(
        model_call(
            tools=(function_tool("look"),),
            tool_choice="required",
            top_p=0.5,
            include=frozenset({"message.output_text.logprobs"}),
        ),
        drop=quirks,
    )

    assert (plain.not_applied, wanted.not_applied) == ((), ("tool_choice", "top_p", "include"))
    assert not {"tool_choice", "top_p", "include"} & orjson.loads(wanted.body).keys()


def test_encoding_changes_nothing() -> None:
    """The items of a call are shared with whoever keeps them."""
    call = model_call(
        thought(own(encrypted_content="a")), assistant("Hi"), item("web_search_call", status="completed"), user("Ho")
    )
    before = msgspec.json.encode(call.items)

    encode(call, output_items="full")

    assert msgspec.json.encode(call.items) == before


def test_what_cannot_be_json_is_the_clients_fault() -> None:
    """Arguments nested beyond what can be written are refused, not crashed over."""
    deep: Any = []
    for _ in range(300):
        deep = [deep]

    with pytest.raises(InvalidRequest, match="nested too deeply"):
        encode(model_call(Item(ItemId("item_1"), "holograph", {"id": "item_1", "type": "holograph", "data": deep})))


def without(body: JsonObject, *names: str) -> JsonObject:
    return {name: value for name, value in body.items() if name not in names}
