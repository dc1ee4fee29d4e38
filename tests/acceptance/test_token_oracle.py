"""
What reached the model, counted by the model server itself.

The number of prompt tokens that the engine reports has to be that of exactly the messages that were said, by the test's
own record of them: a message too many, too few or changed gives another number.
"""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from openai import AsyncOpenAI
from openai.types.responses import Response

from antiphon.local import LocalModel
from tests.support.gateway_process import GatewayProcess

pytestmark = [pytest.mark.model, pytest.mark.asyncio(loop_scope="session")]

Messages = list[dict[str, str]]


async def _tokens(model: LocalModel, messages: Messages) -> int:
    """How many tokens the engine makes of a list of messages."""
    async with aiohttp.ClientSession(model.server_url) as engine:
        prompt = (await _posted(engine, "/apply-template", {"messages": messages}))["prompt"]
        options = {"content": prompt, "add_special": True, "parse_special": True}
        return len((await _posted(engine, "/tokenize", options))["tokens"])


async def _posted(engine: aiohttp.ClientSession, path: str, body: object) -> Any:
    async with engine.post(path, json=body) as answer:
        assert answer.status == 200
        return await answer.json()


class Talk:
    """A line of turns with the record of what was said in it."""

    def __init__(
        self, model: LocalModel, gateway: GatewayProcess, *, said: Messages, newest: str | None = None
    ) -> None:
        self._model = model
        self._gateway = gateway
        self.said = said
        self.newest = newest

    async def say(self, text: str, **fields: Any) -> Response:
        """One turn; the engine has to have counted exactly what was said."""
        if self.newest is not None:
            fields["previous_response_id"] = self.newest
        system = [{"role": "system", "content": fields["instructions"]}] if "instructions" in fields else []
        self.said.append({"role": "user", "content": text})
        async with AsyncOpenAI(base_url=self._gateway.base_url, api_key="none", max_retries=0) as client:
            response: Response = await client.responses.create(
                model=self._model.name, input=text, max_output_tokens=16, temperature=0, **fields
            )
        assert response.usage is not None
        assert await _tokens(self._model, [*system, *self.said]) == response.usage.input_tokens
        self.said.append({"role": "assistant", "content": response.output_text})
        self.newest = response.id
        return response

    def fork(self, *, turns: int, after: str) -> Talk:
        """A new line that continues after so many turns of this one, the last of which is *after*."""
        return Talk(self._model, self._gateway, said=self.said[: 2 * turns], newest=after)


async def test_a_chain_and_a_fork_from_its_middle(local_model: LocalModel, model_gateway: GatewayProcess) -> None:
    """Each of four chained turns, and of a fork from the second, is asked with its own history and nothing else."""
    chain = Talk(local_model, model_gateway, said=[])
    ids = [
        (await chain.say(text)).id
        for text in (
            "Hi, my name is Ada.",
            "I live in a lighthouse.",
            "I have two cats, Tic and Tac.",
            "Complete the sentence: The user's name is",
        )
    ]
    fork = chain.fork(turns=2, after=ids[1])
    await fork.say("Forget the cats: I keep a parrot.")
    await fork.say("Complete the sentence: The user lives in a")
    await chain.say("Thank you.")


async def test_instructions_are_not_inherited(local_model: LocalModel, model_gateway: GatewayProcess) -> None:
    """Instructions reach the model in their own turn, and not in the next one."""
    chain = Talk(local_model, model_gateway, said=[])
    await chain.say("Hi, my name is Ada.", instructions="Answer like a pirate, and say the word 'treasure'.")
    await chain.say("Complete the sentence: The user's name is")
    await chain.say("Good bye.", instructions="Answer in French.")


async def test_a_conversation_with_hand_made_items(local_model: LocalModel, model_gateway: GatewayProcess) -> None:
    """A conversation's turns are asked with the items that it was made with and the turns before them."""
    made: Messages = [
        {"role": "user", "content": "The secret word is pineapple. Say OK."},
        {"role": "assistant", "content": "OK."},
        {"role": "user", "content": "The other secret word is walrus."},
        {"role": "assistant", "content": "I will keep both."},
    ]
    async with AsyncOpenAI(base_url=model_gateway.base_url, api_key="none", max_retries=0) as client:
        items: Any = [{"type": "message", **message} for message in made]
        conversation = await client.conversations.create(items=items)
    talk = Talk(local_model, model_gateway, said=made)
    for text in ("What is the secret word?", "And the other one?", "Thank you."):
        await talk.say(text, conversation=conversation.id)
        talk.newest = None


async def test_a_conversation_continued_as_a_chain(local_model: LocalModel, model_gateway: GatewayProcess) -> None:
    """A turn after a response of a conversation stands on the same history, and leaves the conversation as it is."""
    async with AsyncOpenAI(base_url=model_gateway.base_url, api_key="none", max_retries=0) as client:
        conversation = await client.conversations.create()
    talk = Talk(local_model, model_gateway, said=[])
    first = await talk.say("Hi, my name is Ada.", conversation=conversation.id)
    aside = talk.fork(turns=1, after=first.id)
    await aside.say("This is said aside.")
    talk.newest = None
    await talk.say("Complete the sentence: The user's name is", conversation=conversation.id)
