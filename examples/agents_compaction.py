"""
The OpenAI Agents SDK with a local session that the gateway compacts: `OpenAIResponsesCompactionSession`.

The SDK wants the name of an OpenAI model here, so the gateway needs an alias of that name, which may lead to any model:
`models: [{name: gpt-4.1, targets: [{upstream: local, model: smollm2-135m}]}]`.
"""

import asyncio
import os

from agents import Agent, OpenAIResponsesCompactionSession, Runner, SQLiteSession, set_tracing_disabled

MODEL = os.environ.get("OPENAI_ALIAS", "gpt-4.1")

set_tracing_disabled(True)  # the SDK would send its traces to OpenAI


async def main() -> None:
    """Two turns, a compaction, a turn after it."""
    agent = Agent(name="Assistant", model=MODEL, instructions="Answer in one short sentence.")
    session = OpenAIResponsesCompactionSession("example", SQLiteSession("example"), model=MODEL)
    await Runner.run(agent, "Hi, my name is Ada.", session=session)
    await Runner.run(agent, "I live in Rome.", session=session)
    print("before:", [item.get("type", item.get("role")) for item in await session.get_items()])

    await session.run_compaction({"force": True})
    print("after:", [item.get("type", item.get("role")) for item in await session.get_items()])

    result = await Runner.run(agent, "Complete the sentence: The user's name is", session=session)
    print("the next turn answers:", result.final_output)


asyncio.run(main())
