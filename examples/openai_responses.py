"""
Two turns of the `openai` client, then a second answer to the first turn.

The client sends one turn and the id of the turn before it; the gateway brings the history.
"""

import os

from openai import OpenAI

MODEL = os.environ.get("OPENAI_MODEL", "smollm2-135m")

client = OpenAI()  # OPENAI_BASE_URL and OPENAI_API_KEY

first = client.responses.create(model=MODEL, input="Hi, my name is Ada.")
question = "Complete the sentence: The user's name is"
second = client.responses.create(model=MODEL, input=question, previous_response_id=first.id)
print("turn 2 answers:", second.output_text)

# What the model saw in the second turn: the first one, question and answer, then the new question.
seen = client.responses.input_items.list(second.id, order="asc").data
print("turn 2 saw:", [item.role for item in seen if item.type == "message"])

# Going back to the first turn is a fork: the second one is not in its history.
fork = client.responses.create(model=MODEL, input="Say hello.", previous_response_id=first.id)
print("the fork saw items:", len(client.responses.input_items.list(fork.id).data))

# An answer can be read again for as long as it is kept, and be deleted.
print("read again:", client.responses.retrieve(second.id).output_text == second.output_text)
client.responses.delete(fork.id)
