"""Pydantic AI with `openai_previous_response_id="auto"`: the second turn sends only what is new."""

import os

from openai import OpenAI
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIResponsesModel, OpenAIResponsesModelSettings

model = OpenAIResponsesModel(os.environ.get("OPENAI_MODEL", "smollm2-135m"))
agent = Agent(model, model_settings=OpenAIResponsesModelSettings(openai_previous_response_id="auto"))

first = agent.run_sync("Hi, my name is Ada.")
second = agent.run_sync("Complete the sentence: The user's name is", message_history=first.all_messages())
print("turn 2 answers:", second.output)

stored = OpenAI().responses.retrieve(second.response.provider_response_id or "")
print("turn 2 continues turn 1:", stored.previous_response_id == first.response.provider_response_id)
print("turn 2 saw items:", len(OpenAI().responses.input_items.list(stored.id).data))
