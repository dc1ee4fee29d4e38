"""
Chat Completions with the `openai` client: whole, as a stream, and in the form of a schema.

The client sends the whole context each time. The gateway translates where the model's server speaks another dialect.
"""

import os

from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel

MODEL = os.environ.get("OPENAI_MODEL", "smollm2-135m")

client = OpenAI()  # OPENAI_BASE_URL and OPENAI_API_KEY

messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hi, my name is Ada."}]
first = client.chat.completions.create(model=MODEL, messages=messages, temperature=0)
said = first.choices[0].message.content
print("turn 1 ended with:", first.choices[0].finish_reason)

messages += [
    {"role": "assistant", "content": said},
    {"role": "user", "content": "Complete the sentence: The user's name is"},
]
text = ""
stream = client.chat.completions.create(
    model=MODEL, messages=messages, temperature=0, stream=True, stream_options={"include_usage": True}
)
for chunk in stream:
    if chunk.choices:
        text += chunk.choices[0].delta.content or ""
    if chunk.usage:
        print("turn 2 counted its prompt:", chunk.usage.prompt_tokens > 0)
print("turn 2 answers:", text)

# A stream says what a whole answer says.
whole = client.chat.completions.create(model=MODEL, messages=messages, temperature=0)
print("whole, the same:", whole.choices[0].message.content == text)


class City(BaseModel):
    """What the answer has to look like."""

    name: str
    country: str


parsed = client.chat.completions.parse(
    model=MODEL, messages=[{"role": "user", "content": "Name a city in Italy."}], response_format=City
)
city = parsed.choices[0].message.parsed
print("in the form of the schema:", isinstance(city, City))
