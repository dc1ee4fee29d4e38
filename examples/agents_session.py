"""The OpenAI Agents SDK with its memory in a conversation of the gateway: `OpenAIConversationsSession`."""

import asyncio
import os

from agents import Agent, OpenAIConversationsSession, Runner, set_tracing_disabled

MODEL = os.environ.get("OPENAI_MODEL", "smollm2-135m")

set_tracing_disabled(True)  # the SDK would send its traces to OpenAI


async def main() -> None:
    """Two runs that share a session."""
    agent = Agent(name="Assistant", model=MODEL, instructions="Answer in one short sentence.")
    session = OpenAIConversationsSession()
    await Runner.run(agent, "Hi, my name is Ada.", session=session)
    result = await Runner.run(agent, "Complete the sentence: The user's name is", session=session)
    print("turn 2 answers:", result.final_output)

    kept = await session.get_items()
    print("the session holds:", [item.get("role") for item in kept])
    await session.pop_item()
    print("after taking one back:", len(await session.get_items()))


asyncio.run(main())
