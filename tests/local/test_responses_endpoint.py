"""A real server's own Responses endpoint takes whole histories: it reads them as a chat of as many tokens."""

from __future__ import annotations

import aiohttp
import pytest

from antiphon.hub.items import Item
from antiphon.hub.turn import ModelCall, TurnRequest
from antiphon.hub.upstream import Provider
from antiphon.local import LocalModel
from antiphon.providers.openai_chat import OpenAIChat
from antiphon.providers.openai_responses import OpenAIResponses
from antiphon.providers.openai_responses import Quirks as ResponsesQuirks
from tests.providers.kit.calls import (
    ELSEWHERE,
    assistant,
    function_call,
    function_output,
    item,
    reasoning,
    user,
)

pytestmark = [pytest.mark.model, pytest.mark.asyncio(loop_scope="session")]

THIN = ResponsesQuirks(tool_types=("function",), assistant_refusal="text", reasoning="never", cache_key=False)

HISTORIES: dict[str, tuple[Item, ...]] = {
    "what was said, refused and thought": (
        user("Hi, my name is Ada."),
        reasoning("Hm."),
        assistant("Hello Ada."),
        user("Say my name."),
        assistant({"type": "refusal", "refusal": "No."}),
        user("Why?"),
    ),
    "tools, one of another upstream's": (
        user("Weather?"),
        function_call("call_1", arguments='{"city":"Paris"}'),
        function_output("call_1", "18 C"),
        item("mcp_call", private=ELSEWHERE, name="find", arguments="{}", output="Found."),
        assistant("It is warm."),
        user("Sure?"),
    ),
}


async def input_tokens(model: LocalModel, provider: Provider, items: tuple[Item, ...]) -> int:
    """How many tokens the server reads in a call, as it counts them in its answer."""
    call = ModelCall(
        model=model.name,
        account="local",
        items=items,
        input_start=len(items) - 1,
        request=TurnRequest(model=model.name, max_output_tokens=1, temperature=0),
        stream=False,
    )
    request = provider.encode(call)
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{model.base_url}{request.path}", data=request.body, headers=request.headers) as reply,
    ):
        assert reply.status == 200, await reply.text()
        usage = (await reply.json())["usage"]
    tokens: int = usage.get("input_tokens", usage.get("prompt_tokens"))
    return tokens


@pytest.mark.parametrize("items", HISTORIES.values(), ids=HISTORIES)
async def test_a_history_is_the_same_at_both_endpoints(local_model: LocalModel, items: tuple[Item, ...]) -> None:
    """A turn that stands on others reaches the model whole, whichever of the server's endpoints is asked."""
    in_chat = await input_tokens(local_model, OpenAIChat(), items)

    assert await input_tokens(local_model, OpenAIResponses(THIN), items) == in_chat
