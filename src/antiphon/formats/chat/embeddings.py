"""
``POST /v1/embeddings``: its request, checked, and its answer. No turn: nothing of it is stored.

Vectors are written as numbers, or as base64 of 32-bit floats in little-endian order, which is what OpenAI's clients ask
for unless they are told otherwise.
"""

from __future__ import annotations

from array import array
from base64 import b64encode
from collections.abc import Sequence
from sys import byteorder
from typing import Any

import orjson

from antiphon.formats.chat.settings import check_model
from antiphon.formats.checks.flaw import Flaw, invalid_type
from antiphon.formats.checks.schema import Arr, ByType, Enum, Field, Int, Obj, Schema, Str
from antiphon.hub.embedding import EmbeddingRequest
from antiphon.hub.items import JsonObject

__all__ = ["FIELDS", "EmbeddingRequest", "decode_embeddings", "encode_embeddings"]

_MAX_INPUTS = 2048
_TOKEN = Int(minimum=0, maximum=2**31 - 1)
_TEXT = Str(min_length=1)


class _Inputs:
    """A list of texts, of token ids, or of lists of token ids: its first member says of which."""

    def check(self, value: object) -> list[Any]:
        first = value[0] if isinstance(value, list) and value else ""
        item: Schema = _TEXT
        if type(first) is int:
            return Arr(item=_TOKEN).check(value)
        if type(first) is list:
            item = Arr(item=_TOKEN, min_length=1, expected="an array of integers")
        elif type(first) is not str:
            raise invalid_type("one of a string or array of integers", first).under("[0]")
        return Arr(item=item, min_length=1, max_length=_MAX_INPUTS).check(value)


FIELDS: dict[str, Field] = {
    "model": Field(schema=Str(), required=True),
    "input": Field(
        schema=ByType(
            cases={str: _TEXT, list: _Inputs()},
            expected="one of a string, array of strings, array of integers, or array of arrays",
        ),
        required=True,
    ),
    "dimensions": Field(schema=Int(minimum=1)),
    "encoding_format": Field(schema=Enum(("float", "base64")), default="float"),
    "user": Field(schema=Str()),
}

_REQUEST = Obj(fields=FIELDS)


def decode_embeddings(body: JsonObject) -> EmbeddingRequest:
    """
    Read a request, checked field by field.

    Raises:
        InvalidRequest: Names the first field that is wrong.
    """
    check_model(body)
    try:
        fields = _REQUEST.check(body)
    except Flaw as flaw:
        raise flaw.error() from None
    return EmbeddingRequest(inputs=_inputs_of(fields.pop("input")), **fields)


def encode_embeddings(request: EmbeddingRequest, vectors: Sequence[Sequence[float]], *, input_tokens: int) -> bytes:
    """
    The JSON body of an answer.

    Args:
        request: What was asked.
        vectors: One for each input, in their order.
        input_tokens: What the upstream counted for all of them.
    """
    write = _base64 if request.encoding_format == "base64" else list
    data = [{"object": "embedding", "index": index, "embedding": write(vector)} for index, vector in enumerate(vectors)]
    usage = {"prompt_tokens": input_tokens, "total_tokens": input_tokens}
    return orjson.dumps({"object": "list", "data": data, "model": request.model, "usage": usage})


def _inputs_of(given: str | list[Any]) -> tuple[Any, ...]:
    """All inputs; a text is one, and so is a list of token ids."""
    if isinstance(given, str):
        return (given,)
    if type(given[0]) is int:
        return (tuple(given),)
    return tuple(tuple(one) if isinstance(one, list) else one for one in given)


def _base64(vector: Sequence[float]) -> str:
    floats = array("f", vector)
    if byteorder == "big":
        floats.byteswap()
    return b64encode(floats.tobytes()).decode()
