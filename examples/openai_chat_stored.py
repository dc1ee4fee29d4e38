"""
Chat completions that the gateway keeps: `store=True`, then listed, read, given metadata, continued and deleted.

A stored completion is a response as well, under the same digits: what began in Chat Completions can go on in Responses,
where the gateway brings the history.
"""

import os

from openai import OpenAI

MODEL = os.environ.get("OPENAI_MODEL", "smollm2-135m")

client = OpenAI()  # OPENAI_BASE_URL and OPENAI_API_KEY

kept = client.chat.completions.create(
    model=MODEL,
    messages=[{"role": "user", "content": "Hi, my name is Ada."}],
    store=True,
    metadata={"example": "stored"},
)
listed = client.chat.completions.list(metadata={"example": "stored"}, order="desc")
print("it is in the list:", kept.id in [completion.id for completion in listed])

again = client.chat.completions.retrieve(kept.id)
print("read again:", again.choices[0].message.content == kept.choices[0].message.content)
asked = client.chat.completions.messages.list(kept.id)
print("it was asked:", [message.content for message in asked])

changed = client.chat.completions.update(kept.id, metadata={"example": "changed"})
print("kept with it:", changed.metadata)

response = client.responses.create(
    model=MODEL,
    input="Complete the sentence: The user's name is",
    previous_response_id=kept.id.replace("chatcmpl-", "resp_"),
)
print("a response went on with items:", len(client.responses.input_items.list(response.id).data))

print("deleted:", client.chat.completions.delete(kept.id).deleted)
