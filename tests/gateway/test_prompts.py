"""Stored prompts: kept in versions, and filled into the turns that name them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.gateway.conftest import Client
from tests.support.scripted_upstream import MODEL

from antiphon import Gateway, upstream
from antiphon.hub.errors import UnsupportedParameter
from antiphon.hub.ids import TenantId
from antiphon.hub.principal import Principal
from antiphon.hub.prompt import Prompt

OTHER = Principal(tenant=TenantId("other"))
TOOL = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}


async def create(client: Client, **fields: object) -> Any:
    status, made = await client.call("POST", "/v1/prompts", fields)
    assert status == 200, made
    return made


async def turn(client: Client, prompt: object, **fields: object) -> tuple[int, Any]:
    return await client.call("POST", "/v1/responses", {"prompt": prompt, **fields})


async def answered(client: Client, prompt: object, **fields: object) -> Any:
    status, body = await turn(client, prompt, **fields)
    assert status == 200, body
    return body


def said(client: Client) -> list[tuple[str, Any]]:
    return [(message["role"], message["content"]) for message in client.upstream.last_messages]


async def test_a_prompt_is_answered_in_full(client: Client) -> None:
    """Every field is there, null where the prompt says nothing; its variables are those of its templates."""
    made = await create(
        client,
        name="greeter",
        model=MODEL,
        instructions="Speak {{language}}.",
        input="Greet {{ name }}.",
        temperature=0.5,
        metadata={"a": "b"},
        variables={"language": {"default": "English", "description": "Any."}},
    )
    assert made["id"].startswith("pmpt_")
    assert made == {
        "id": made["id"],
        "object": "prompt",
        "version": "1",
        "created_at": made["created_at"],
        "name": "greeter",
        "model": MODEL,
        "instructions": "Speak {{language}}.",
        "input": [
            {
                "type": "message",
                "role": "user",
                "status": "completed",
                "content": [{"type": "input_text", "text": "Greet {{ name }}."}],
            }
        ],
        "tools": None,
        "tool_choice": None,
        "text": None,
        "reasoning": None,
        "temperature": 0.5,
        "top_p": None,
        "max_output_tokens": None,
        "metadata": {"a": "b"},
        "variables": {"language": {"default": "English", "description": "Any."}, "name": {}},
    }
    assert await client.call("GET", f"/v1/prompts/{made['id']}") == (200, made)


async def test_a_prompt_has_versions(client: Client) -> None:
    """A new version is whole by itself; the newest is answered, and each of them on request."""
    first = await create(client, name="a", instructions="one")
    path = f"/v1/prompts/{first['id']}"
    status, second = await client.call("POST", path, {"instructions": "two"})
    assert (status, second["id"], second["version"], second["name"]) == (200, first["id"], "2", None)
    assert await client.call("GET", path) == (200, second)
    assert await client.call("GET", f"{path}?version=1") == (200, first)
    assert await client.call("GET", f"{path}?version=2") == (200, second)


async def test_prompts_are_listed_newest_first(client: Client) -> None:
    """Each with its newest version; limit and after walk the list once."""
    made = [await create(client, name=str(number)) for number in range(3)]
    _, revised = await client.call("POST", f"/v1/prompts/{made[0]['id']}", {"name": "again"})
    _, listed = await client.call("GET", "/v1/prompts")
    assert listed == {
        "object": "list",
        "data": [made[2], made[1], revised],
        "first_id": made[2]["id"],
        "last_id": made[0]["id"],
        "has_more": False,
    }
    _, page = await client.call("GET", "/v1/prompts?limit=2")
    assert ([entry["name"] for entry in page["data"]], page["has_more"]) == (["2", "1"], True)
    _, page = await client.call("GET", f"/v1/prompts?limit=2&after={page['last_id']}")
    assert ([entry["name"] for entry in page["data"]], page["has_more"]) == (["again"], False)


async def test_a_prompt_is_deleted_with_its_versions(client: Client) -> None:
    """Afterwards its id is unknown everywhere; what was made with it stays."""
    made = await create(client, model=MODEL, input="hi")
    await client.call("POST", f"/v1/prompts/{made['id']}", {"model": MODEL, "input": "ho"})
    kept = await answered(client, {"id": made["id"]})
    path = f"/v1/prompts/{made['id']}"
    assert await client.call("DELETE", path) == (200, {"id": made["id"], "object": "prompt.deleted", "deleted": True})
    expected = (404, {"message": f"Prompt with id '{made['id']}' not found.", "type": "invalid_request_error"})
    for method, target, body in (
        ("GET", path, None),
        ("GET", f"{path}?version=1", None),
        ("POST", path, {"input": "x"}),
        ("DELETE", path, None),
        ("POST", "/v1/responses", {"prompt": {"id": made["id"]}}),
    ):
        status, answer = await client.call(method, target, body)
        assert (status, {**answer["error"]}) == (expected[0], {**expected[1], "param": None, "code": None})
    assert await client.call("GET", f"/v1/responses/{kept['id']}") == (200, kept)


@pytest.mark.parametrize("version", ["3", "0", "-1", "01", "one", "9" * 30])
async def test_an_unknown_version_is_404(client: Client, version: str) -> None:
    """A version that was never made is answered like a prompt that there is not."""
    made = await create(client, model=MODEL, input="hi")
    for status, answer in (
        await client.call("GET", f"/v1/prompts/{made['id']}?version={version}"),
        await turn(client, {"id": made["id"], "version": version}),
    ):
        assert (status, answer["error"]["message"]) == (404, f"Prompt with id '{made['id']}' not found.")


async def test_another_tenants_prompt_is_unknown(client: Client) -> None:
    """It is answered as one that never was, and is in no list."""
    foreign = await client.gateway.library.create_prompt(Prompt(model=MODEL, instructions="x"), OTHER)
    _, listed = await client.call("GET", "/v1/prompts")
    assert listed["data"] == []
    answers = []
    for prompt_id in (foreign["id"], "pmpt_x"):
        for status, answer in (
            await client.call("GET", f"/v1/prompts/{prompt_id}"),
            await turn(client, {"id": prompt_id}, input="hi"),
        ):
            answers.append((status, answer["error"]["message"].replace(prompt_id, "…")))
    assert set(answers) == {(404, "Prompt with id '…' not found.")}


async def test_a_prompt_with_a_key_is_made_once(client: Client) -> None:
    """The same holds for its versions."""
    made = [await client.full("POST", "/v1/prompts", {"name": "a"}, **{"idempotency-key": "k1"}) for _ in range(2)]
    assert made[0][:2] == made[1][:2]
    path = f"/v1/prompts/{made[0][1]['id']}"
    revised = [await client.full("POST", path, {"name": "b"}, **{"idempotency-key": "k2"}) for _ in range(2)]
    assert revised[0][:2] == revised[1][:2]
    assert revised[1][1]["version"] == "2"
    assert (await client.call("GET", path))[1]["version"] == "2"
    assert len((await client.call("GET", "/v1/prompts"))[1]["data"]) == 1


async def test_versions_that_are_added_at_once_are_all_kept(client: Client) -> None:
    """Each is answered with its own number, and answered again with it when its request comes again."""
    made = await create(client, name="first")
    path = f"/v1/prompts/{made['id']}"

    async def revise(number: int) -> Any:
        status, revised, _ = await client.full("POST", path, {"name": str(number)}, **{"idempotency-key": str(number)})
        assert status == 200, revised
        return revised

    revised = await asyncio.gather(*[revise(number) for number in range(8)])

    assert sorted(int(version["version"]) for version in revised) == list(range(2, 10))
    for number, version in enumerate(revised):
        assert await client.call("GET", f"{path}?version={version['version']}") == (200, version)
        assert await revise(number) == version


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"naame": "x"}, "naame", "unknown_parameter"),
        ({"store": True}, "store", "unknown_parameter"),
        ({"temperature": 3}, "temperature", "decimal_above_max_value"),
        ({"tools": [{"type": "function"}]}, "tools[0].name", "missing_required_parameter"),
        ({"tools": [TOOL, TOOL]}, "tools", None),
        ({"input": [{"role": "x", "content": "y"}]}, "input[0]", "invalid_value"),
        ({"input": [{"role": "user", "content": "y", "id": "msg_1"}]}, "input[0].id", "unknown_parameter"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].id", "unknown_parameter"),
        ({"variables": {"a b": {}}}, "variables.a b", "invalid_value"),
        ({"instructions": "{{x}}", "variables": {"y": {}}}, "variables.y", "invalid_value"),
        ({"instructions": "{{x}}", "variables": {"x": {"default": 7}}}, "variables.x.default", "invalid_type"),
        ({"instructions": "{{x}}", "variables": {"x": {"deflt": "7"}}}, "variables.x.deflt", "unknown_parameter"),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
async def test_a_wrong_prompt_is_named(client: Client, body: object, param: str, code: str | None) -> None:
    """What is wrong is said when the prompt is made, not when it is used."""
    status, answer = await client.call("POST", "/v1/prompts", body)
    assert status == 400
    assert str(answer["error"]["param"]).startswith(param)
    assert code is None or answer["error"]["code"] == code


# Turns.


async def test_a_turn_is_made_of_a_prompt(client: Client) -> None:
    """Model, instructions and input come from the prompt; the response says which version, and what came of it."""
    made = await create(client, model=MODEL, instructions="Speak {{language}}.", input="Greet {{name}}.")
    variables = {"language": "Latin", "name": "Ada"}
    response = await answered(client, {"id": made["id"], "variables": variables})
    assert said(client) == [("system", "Speak Latin."), ("user", "Greet Ada.")]
    assert response["prompt"] == {"id": made["id"], "version": "1", "variables": variables}
    assert response["instructions"] == "Speak Latin."
    assert await client.call("GET", f"/v1/responses/{response['id']}") == (200, response)
    _, seen = await client.call("GET", f"/v1/responses/{response['id']}/input_items")
    assert [item["content"][0]["text"] for item in seen["data"]] == ["Greet Ada."]


async def test_a_streamed_turn_is_made_of_a_prompt(client: Client) -> None:
    """Its events say the same."""
    made = await create(client, model=MODEL, instructions="Speak {{language}}.")
    prompt = {"id": made["id"], "variables": {"language": "Latin"}}
    events = await client.stream("hi", prompt=prompt)
    assert said(client) == [("system", "Speak Latin."), ("user", "hi")]
    for event in (events[0], events[-1]):
        assert event["response"]["prompt"] == {**prompt, "version": "1"}


async def test_the_prompts_input_stands_before_the_requests(client: Client) -> None:
    """And both behind the history."""
    made = await create(client, model=MODEL, input=[{"role": "developer", "content": "Be {{how}}."}])
    prompt = {"id": made["id"], "variables": {"how": "kind"}}
    first = await answered(client, prompt, input="one")
    await answered(client, prompt, input="two", previous_response_id=first["id"])
    assert [content for _, content in said(client)] == ["Be kind.", "one", "Hello there.", "Be kind.", "two"]


async def test_the_requests_own_fields_win(client: Client) -> None:
    """Also where they say what the API's default is; what the request leaves open is the prompt's."""
    made = await create(
        client,
        model="other",
        instructions="old",
        tools=[TOOL],
        temperature=0.5,
        top_p=0.25,
        reasoning={"effort": "low"},
    )
    own = {"model": MODEL, "instructions": "new", "input": "hi", "tools": [], "temperature": 1, "reasoning": None}
    response = await answered(client, {"id": made["id"]}, **own)
    sent = client.upstream.turns[-1].body
    assert said(client) == [("system", "new"), ("user", "hi")]
    assert "tools" not in sent
    assert (sent["temperature"], sent["top_p"], sent["reasoning_effort"]) == (1.0, 0.25, "low")
    assert (response["instructions"], response["tools"]) == ("new", [])


async def test_settings_come_from_the_prompt(client: Client) -> None:
    """Tools, the form of the text, reasoning and limits, as if the request had said them."""
    made = await create(
        client,
        model=MODEL,
        input="hi",
        tools=[TOOL],
        tool_choice="required",
        text={"format": {"type": "json_object"}},
        reasoning={"effort": "low"},
        max_output_tokens=50,
    )
    response = await answered(client, {"id": made["id"]})
    sent = client.upstream.turns[-1].body
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["f"]
    assert sent["tool_choice"] == "required"
    assert sent["response_format"] == {"type": "json_object"}
    assert sent["reasoning_effort"] == "low"
    assert response["max_output_tokens"] == 50
    assert response["text"]["format"] == {"type": "json_object"}


async def test_a_version_is_used_as_it_was(client: Client) -> None:
    """The newest by default, an older one on request; the response says which."""
    made = await create(client, model=MODEL, input="old")
    await client.call("POST", f"/v1/prompts/{made['id']}", {"model": MODEL, "input": "new"})
    newest = await answered(client, {"id": made["id"]})
    assert (said(client), newest["prompt"]["version"]) == ([("user", "new")], "2")
    oldest = await answered(client, {"id": made["id"], "version": "1"})
    assert (said(client), oldest["prompt"]["version"]) == ([("user", "old")], "1")


async def test_instructions_of_a_prompt_are_not_inherited(client: Client) -> None:
    """The next turn names the prompt again, or goes without."""
    made = await create(client, model=MODEL, instructions="x")
    first = await answered(client, {"id": made["id"]}, input="one")
    second = await client.respond("two", previous_response_id=first["id"])
    assert "prompt" not in second
    assert second["instructions"] is None
    assert [role for role, _ in said(client)] == ["user", "assistant", "user"]


async def test_variables_can_be_parts(client: Client) -> None:
    """An image stands where its placeholder was, between the words."""
    made = await create(client, model=MODEL, input="Look: {{picture}} What is it?")
    image = {"type": "input_image", "image_url": "https://example.com/a.png"}
    await answered(client, {"id": made["id"], "variables": {"picture": image}})
    content = client.upstream.last_messages[0]["content"]
    assert [part["type"] for part in content] == ["text", "image_url", "text"]
    assert [part.get("text") for part in content] == ["Look: ", None, " What is it?"]


@pytest.mark.parametrize(
    ("variables", "message", "param", "code"),
    [
        (
            {},
            "Missing required parameter: 'prompt.variables.name'.",
            "prompt.variables.name",
            "missing_required_parameter",
        ),
        (
            {"name": "a", "nme": "b"},
            "Unknown parameter: 'prompt.variables.nme'. The prompt has the variables name.",
            "prompt.variables.nme",
            "unknown_parameter",
        ),
        (
            {"name": {"type": "input_image", "image_url": "https://example.com/a.png"}},
            (
                "Invalid type for 'prompt.variables.name': expected a string, because it stands in the instructions, "
                "but got a part of type 'input_image' instead."
            ),
            "prompt.variables.name",
            "invalid_type",
        ),
        (
            {"name": 7},
            "Invalid type for 'prompt.variables.name': expected one of a string or object, but got an integer instead.",
            "prompt.variables.name",
            "invalid_type",
        ),
    ],
    ids=["missing", "unknown", "image-in-text", "number"],
)
async def test_wrong_variables_are_named(
    client: Client, variables: object, message: str, param: str, code: str
) -> None:
    """And no upstream is asked."""
    made = await create(client, model=MODEL, instructions="Hello {{name}}.")
    status, answer = await turn(client, {"id": made["id"], "variables": variables}, input="hi")
    assert (status, answer["error"]["message"]) == (400, message)
    assert (answer["error"]["param"], answer["error"]["code"]) == (param, code)
    assert client.upstream.turns == []


async def test_a_turn_needs_a_model_from_somewhere(client: Client) -> None:
    """Neither the request nor the prompt names one."""
    made = await create(client, input="hi")
    status, answer = await turn(client, {"id": made["id"]})
    assert (status, answer["error"]["param"], answer["error"]["code"]) == (400, "model", "missing_required_parameter")
    assert (await answered(client, {"id": made["id"]}, model=MODEL))["status"] == "completed"


async def test_a_turn_needs_something_to_answer(client: Client) -> None:
    """A prompt that says nothing is no input."""
    made = await create(client, model=MODEL)
    status, answer = await turn(client, {"id": made["id"]})
    assert (status, answer["error"]["code"]) == (400, "missing_required_parameter")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"conversation": "conv_x", "prompt": {"id": "pmpt_x"}},
            "Conversation with id 'conv_x' not found.",
        ),
        (
            {"previous_response_id": "resp_x", "prompt": {"id": "pmpt_x"}},
            "Prompt with id 'pmpt_x' not found.",
        ),
    ],
    ids=["conversation-first", "prompt-before-the-previous-response"],
)
async def test_state_is_checked_in_the_apis_order(client: Client, fields: dict[str, Any], message: str) -> None:
    """Conversation, then prompt, then previous response."""
    status, answer = await client.call("POST", "/v1/responses", {"model": MODEL, "input": "hi", **fields})
    assert (status, answer["error"]["message"]) == (404, message)


async def test_a_gateway_without_a_store_has_no_prompts(client: Client) -> None:
    """It says so by name."""
    async with Gateway([upstream(client.upstream.url)]) as gateway:
        with pytest.raises(UnsupportedParameter) as caught:
            await gateway.respond({"model": MODEL, "input": "hi", "prompt": {"id": "pmpt_x"}})
    assert caught.value.param == "prompt"
