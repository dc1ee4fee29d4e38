"""
The Messages API with the `anthropic` client: counted, whole, and as a stream.

It works in front of every model that the gateway serves, whoever made it.
"""

import os

from anthropic import Anthropic
from anthropic.types import MessageParam

MODEL = os.environ.get("OPENAI_MODEL", "smollm2-135m")

client = Anthropic()  # ANTHROPIC_BASE_URL (without /v1) and ANTHROPIC_API_KEY

messages: list[MessageParam] = [{"role": "user", "content": "Hi, my name is Ada."}]
counted = client.messages.count_tokens(model=MODEL, messages=messages)
first = client.messages.create(model=MODEL, max_tokens=64, messages=messages)
print("tokens, counted before:", counted.input_tokens, "and by the model:", first.usage.input_tokens)
print("turn 1 ended with:", first.stop_reason)

messages += [
    {"role": "assistant", "content": first.content},
    {"role": "user", "content": "Complete the sentence: The user's name is"},
]
with client.messages.stream(model=MODEL, max_tokens=64, messages=messages) as stream:
    text = "".join(stream.text_stream)
    final = stream.get_final_message()
print("turn 2 answers:", text)
print(
    "the final message is the stream:", text == "".join(block.text for block in final.content if block.type == "text")
)
