"""
The Messages API with a tool: the model uses it, the program runs it, the model gets what came of it.

`tool_choice` forces the first use, so that a small model makes it too.
"""

import os

from anthropic import Anthropic
from anthropic.types import MessageParam, ToolParam, ToolResultBlockParam

MODEL = os.environ.get("OPENAI_MODEL", "smollm2-135m")
TOOL: ToolParam = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def get_weather(city: str) -> str:
    """What the tool does."""
    return f"It is sunny in {city}."


client = Anthropic()  # ANTHROPIC_BASE_URL (without /v1) and ANTHROPIC_API_KEY

messages: list[MessageParam] = [{"role": "user", "content": "What is the weather in Rome?"}]
message = client.messages.create(
    model=MODEL, max_tokens=128, messages=messages, tools=[TOOL], tool_choice={"type": "any"}
)
print("the model stops for:", message.stop_reason)

results: list[ToolResultBlockParam] = []
for block in message.content:
    if block.type == "tool_use":
        print("it uses:", block.name, block.input)
        results.append(
            {"type": "tool_result", "tool_use_id": block.id, "content": get_weather(str(block.input["city"]))}
        )

messages += [
    {"role": "assistant", "content": message.content},
    {"role": "user", "content": results},
]
answer = client.messages.create(model=MODEL, max_tokens=64, messages=messages, tools=[TOOL])
print("then it answers:", "".join(block.text for block in answer.content if block.type == "text"))
