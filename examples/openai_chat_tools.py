"""
Chat Completions with a tool: the model calls it, the program runs it, the model gets what came of it.

`tool_choice` forces the first call, so that a small model makes it too.
"""

import json
import os

from openai import OpenAI
from openai.types.chat import ChatCompletionFunctionToolParam, ChatCompletionMessageParam

MODEL = os.environ.get("OPENAI_MODEL", "smollm2-135m")
TOOL: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def get_weather(city: str) -> str:
    """What the tool does."""
    return f"It is sunny in {city}."


client = OpenAI()  # OPENAI_BASE_URL and OPENAI_API_KEY

messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": "What is the weather in Rome?"}]
asked = client.chat.completions.create(model=MODEL, messages=messages, tools=[TOOL], tool_choice="required")
message = asked.choices[0].message
print("the model stops for:", asked.choices[0].finish_reason)

messages.append({"role": "assistant", "tool_calls": [call.to_dict() for call in message.tool_calls or ()]})  # type: ignore[misc]
for call in message.tool_calls or ():
    if call.type == "function":
        print("it calls:", call.function.name, call.function.arguments)
        result = get_weather(**json.loads(call.function.arguments))
        messages.append({"role": "tool", "tool_call_id": call.id, "content": result})

answered = client.chat.completions.create(model=MODEL, messages=messages, tools=[TOOL])
print("then it answers:", answered.choices[0].message.content)
