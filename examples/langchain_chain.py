"""LangChain with `use_previous_response_id=True`: it keeps the messages, and sends only those after the last answer."""

import os

from langchain_core.messages import BaseMessage, HumanMessage
from langchain_openai import ChatOpenAI
from openai import OpenAI

model = ChatOpenAI(model=os.environ.get("OPENAI_MODEL", "smollm2-135m"), use_previous_response_id=True)

messages: list[BaseMessage] = [HumanMessage("Hi, my name is Ada.")]
first = model.invoke(messages)
messages += [first, HumanMessage("Complete the sentence: The user's name is")]
second = model.invoke(messages)
print("turn 2 answers:", second.text)

stored = OpenAI().responses.retrieve(second.response_metadata["id"])
print("turn 2 continues turn 1:", stored.previous_response_id == first.response_metadata["id"])
print("turn 2 saw items:", len(OpenAI().responses.input_items.list(stored.id).data))

messages += [second, HumanMessage("Say goodbye.")]
chunks = list(model.stream(messages))
print("turn 3 streamed:", bool("".join(chunk.text for chunk in chunks)))
