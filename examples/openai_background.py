"""A turn in the background: asked for, left alone, polled until it has ended."""

import os
import time

from openai import OpenAI

MODEL = os.environ.get("OPENAI_MODEL", "smollm2-135m")

client = OpenAI()  # OPENAI_BASE_URL and OPENAI_API_KEY

response = client.responses.create(model=MODEL, input="Name three rivers in Europe.", background=True)
print("at once:", response.status)

while response.status in {"queued", "in_progress"}:
    time.sleep(0.2)
    response = client.responses.retrieve(response.id)
print("at the end:", response.status, "with text:", bool(response.output_text))

# It is a turn like any other, and can be continued.
after = client.responses.create(model=MODEL, input="Name one more.", previous_response_id=response.id)
print("the next turn saw items:", len(client.responses.input_items.list(after.id).data))

# A turn that nobody waits for any more can be cancelled; what it had said by then is kept.
long = client.responses.create(model=MODEL, input="Count from one to one thousand, in words.", background=True)
print("cancelled:", client.responses.cancel(long.id).status)
