"""Pydantic AI in a conversation of the gateway: any process that knows its id can go on with it."""

import os

from openai import OpenAI
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIResponsesModel, OpenAIResponsesModelSettings

client = OpenAI()  # OPENAI_BASE_URL and OPENAI_API_KEY
conversation = client.conversations.create()

agent = Agent(
    OpenAIResponsesModel(os.environ.get("OPENAI_MODEL", "smollm2-135m")),
    model_settings=OpenAIResponsesModelSettings(openai_conversation_id=conversation.id),
)
agent.run_sync("Hi, my name is Ada.")
result = agent.run_sync("Complete the sentence: The user's name is")  # no history is passed
print("turn 2 answers:", result.output)

items = client.conversations.items.list(conversation.id, order="asc").data
print("the conversation holds:", [item.role for item in items if item.type == "message"])
