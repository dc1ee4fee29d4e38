"""
The OpenAI Agents SDK with a tool, chained by `auto_previous_response_id`: each request carries only what is new.

`tool_choice` forces the first call, so that a small model makes it too.
"""

import asyncio
import os

from agents import Agent, ModelSettings, Runner, function_tool, set_tracing_disabled
from openai import OpenAI

MODEL = os.environ.get("OPENAI_MODEL", "smollm2-135m")

set_tracing_disabled(True)  # the SDK would send its traces to OpenAI


@function_tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"It is sunny in {city}."


async def main() -> None:
    """A run of two requests: the call, and the answer after the tool's result."""
    agent = Agent(
        name="Assistant", model=MODEL, tools=[get_weather], model_settings=ModelSettings(tool_choice="required")
    )
    result = await Runner.run(agent, "What is the weather in Rome?", auto_previous_response_id=True)
    print("items of the run:", [item.type for item in result.new_items])
    print("requests:", len(result.raw_responses))

    client = OpenAI()
    seen = client.responses.input_items.list(result.last_response_id or "", order="asc").data
    print("the last request saw:", [item.type for item in seen])


asyncio.run(main())
