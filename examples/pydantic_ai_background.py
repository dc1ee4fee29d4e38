"""Pydantic AI with `openai_background`: it asks for a turn in the background and polls for it by itself."""

import os

from openai import OpenAI
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIResponsesModel, OpenAIResponsesModelSettings

agent = Agent(
    OpenAIResponsesModel(os.environ.get("OPENAI_MODEL", "smollm2-135m")),
    model_settings=OpenAIResponsesModelSettings(openai_background=True),
)
result = agent.run_sync("Name three rivers in Europe.")
stored = OpenAI().responses.retrieve(result.response.provider_response_id or "")
print("ran in the background:", stored.background, stored.status)
print("the same answer:", stored.output_text == result.output)
