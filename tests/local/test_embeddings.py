"""Embeddings of the real local model through a gateway, as OpenAI's own client asks for them."""

from __future__ import annotations

import math
from base64 import b64decode
from collections.abc import Sequence
from struct import unpack

import openai
import pytest

from antiphon import Gateway, upstream
from antiphon.local import LocalModel
from tests.gateway.conftest import serving
from tests.support.scripted_upstream import ScriptedUpstream

pytestmark = [pytest.mark.model, pytest.mark.asyncio(loop_scope="session")]

TEXTS = ["The cat sleeps on the sofa.", "A kitten naps on the couch.", "Interest rates rose by half a percent."]
LENGTH = 576


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def likeness(one: Sequence[float], other: Sequence[float]) -> float:
    return _dot(one, other) / math.sqrt(_dot(one, one) * _dot(other, other))


async def test_the_real_model_embeds_in_both_forms(local_model: LocalModel) -> None:
    """Several inputs at once, as numbers and as base64, each the same as alone; like texts are more alike. It talks."""
    gateway = Gateway([upstream(local_model.base_url, name="local")])
    async with (
        serving(gateway, ScriptedUpstream()) as client,
        openai.AsyncOpenAI(base_url=f"{client.base_url}/v1", api_key="none") as sdk,
    ):
        numbers = await sdk.embeddings.create(model=local_model.name, input=TEXTS, encoding_format="float")
        packed = await sdk.embeddings.create(model=local_model.name, input=TEXTS, encoding_format="base64")
        alone = await sdk.embeddings.create(model=local_model.name, input=TEXTS[0])
        spoken = await sdk.responses.create(model=local_model.name, input="Hi, my name is Ada.")

    vectors = [one.embedding for one in numbers.data]
    assert [len(vector) for vector in vectors] == [LENGTH] * len(TEXTS)
    for vector, one in zip(vectors, packed.data, strict=True):
        assert unpack(f"<{LENGTH}f", b64decode(str(one.embedding))) == pytest.approx(vector, abs=1e-6)
    assert alone.data[0].embedding == pytest.approx(vectors[0], abs=1e-3)
    assert likeness(vectors[0], vectors[1]) > likeness(vectors[0], vectors[2])
    assert numbers.usage.prompt_tokens == packed.usage.prompt_tokens > alone.usage.prompt_tokens > 0
    assert spoken.output_text
