"""A conversation: a kept list of items that turns are added to, and that can be read and edited."""

import os

from openai import OpenAI

MODEL = os.environ.get("OPENAI_MODEL", "smollm2-135m")

client = OpenAI()  # OPENAI_BASE_URL and OPENAI_API_KEY

conversation = client.conversations.create(
    items=[{"role": "developer", "content": "Answer in one short sentence."}], metadata={"topic": "names"}
)
with client.responses.stream(model=MODEL, input="Hi, my name is Ada.", conversation=conversation.id) as stream:
    text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
print("turn 1 streamed:", text)

client.responses.create(model=MODEL, input="Complete the sentence: The user's name is", conversation=conversation.id)
items = list(client.conversations.items.list(conversation.id, order="asc"))
print("the conversation holds:", [item.role for item in items if item.type == "message"])

# The next turn sees the list exactly as it was edited.
last_id = items[-1].id
assert last_id is not None  # the client's types allow for items that have none
client.conversations.items.delete(last_id, conversation_id=conversation.id)
print("after an edit:", len(list(client.conversations.items.list(conversation.id))))
print("kept with it:", client.conversations.retrieve(conversation.id).metadata)
