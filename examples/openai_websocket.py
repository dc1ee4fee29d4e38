"""
Turns over one WebSocket: no connection and no headers per turn, the same events as in a stream.

Needs `pip install "openai[realtime]"`, which brings the client's WebSocket library.
"""

import os

from openai import OpenAI
from openai.resources.responses.responses import ResponsesConnection
from openai.types.responses import Response

MODEL = os.environ.get("OPENAI_MODEL", "smollm2-135m")

client = OpenAI()  # OPENAI_BASE_URL and OPENAI_API_KEY


def finished(connection: ResponsesConnection) -> Response:
    """The turn that was asked for, once it is complete."""
    for event in connection:
        if event.type == "response.completed":
            return event.response
    raise RuntimeError("The connection was closed before the turn was complete.")


with client.responses.connect() as connection:
    connection.response.create(model=MODEL, input="Hi, my name is Ada.")
    first = finished(connection)
    connection.response.create(
        model=MODEL, input="Complete the sentence: The user's name is", previous_response_id=first.id
    )
    second = finished(connection)
print("turn 2 answers:", second.output_text)

# What was stored over the socket is there for every other way in.
print("turn 2 saw items:", len(client.responses.input_items.list(second.id).data))
