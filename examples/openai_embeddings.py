"""
Embeddings with the `openai` client, and what they are for: which of the texts is nearest to a question.

The small model of `antiphon demo` has vectors, but was not made for this: it is a matter of luck whom it takes.
"""

import os

from openai import OpenAI

MODEL = os.environ.get("OPENAI_MODEL", "smollm2-135m")
TEXTS = ["Cats sleep for most of the day.", "The river rises in the Alps.", "Interest rates went up again."]

client = OpenAI()  # OPENAI_BASE_URL and OPENAI_API_KEY

answer = client.embeddings.create(model=MODEL, input=[*TEXTS, "How long do cats sleep?"])
*texts, question = (item.embedding for item in answer.data)
print("vectors:", len(answer.data), "of one size:", {len(question)} == {len(text) for text in texts})
print("tokens were counted:", answer.usage.prompt_tokens > 0)


def likeness(one: list[float], other: list[float]) -> float:
    """The cosine of the angle between two vectors."""
    dot = sum(a * b for a, b in zip(one, other, strict=True))
    return float(dot / (sum(a * a for a in one) * sum(b * b for b in other)) ** 0.5)


likenesses = [likeness(question, text) for text in texts]
print("nearest:", TEXTS[likenesses.index(max(likenesses))])
