"""A stream that is cut in the middle, and read on from where it was cut."""

import os

from openai import OpenAI

MODEL = os.environ.get("OPENAI_MODEL", "smollm2-135m")
CUT_AFTER = 6  # the number of the last event that we take from the first connection

client = OpenAI()  # OPENAI_BASE_URL and OPENAI_API_KEY

text = ""
stream = client.responses.create(model=MODEL, input="Tell me about the river Danube.", background=True, stream=True)
for event in stream:
    if event.type == "response.created":
        response_id = event.response.id
    if event.type == "response.output_text.delta":
        text += event.delta
    if event.sequence_number == CUT_AFTER:
        break
stream.close()  # the connection is gone; the turn is not

numbers = []
for event in client.responses.retrieve(response_id, stream=True, starting_after=CUT_AFTER):
    numbers.append(event.sequence_number)
    if event.type == "response.output_text.delta":
        text += event.delta

print("resumed with event:", numbers[0])
print("no event missing:", numbers == list(range(CUT_AFTER + 1, CUT_AFTER + 1 + len(numbers))))
print("both halves are the answer:", text == client.responses.retrieve(response_id).output_text)
