"""
Embeddings: ``POST /embeddings``, which OpenAI's API has beside both of its dialects for turns.

The form that the client wants is asked for: base64 of 32-bit floats is a quarter of the bytes that numbers are, and
is read and written in a fraction of the time. A server that answers in the other form all the same is understood.
"""

from __future__ import annotations

import binascii
from array import array
from collections.abc import Collection, Sequence
from sys import byteorder
from typing import Annotated

import msgspec

from antiphon.hub.embedding import EmbeddingRequest, Embeddings
from antiphon.hub.errors import UpstreamBroken
from antiphon.hub.items import JsonObject
from antiphon.hub.upstream import UpstreamRequest

__all__ = ["MAX_INPUTS", "decode_embeddings", "embedding_request"]

MAX_INPUTS = 2048
_HEADERS = {"content-type": "application/json"}
_FLOAT_BYTES = 4


class _Entry(msgspec.Struct):
    embedding: list[float] | str
    index: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)] | None = None


class _Document(msgspec.Struct):
    data: list[_Entry]
    usage: _Usage | None = None


def embedding_request(request: EmbeddingRequest, *, without: Collection[str] = ()) -> UpstreamRequest:
    """
    The request for some vectors.

    Args:
        without: Optional fields that the upstream does not take and that change no vector: ``user``.
    """
    body: JsonObject = {"model": request.model, "input": request.inputs, "encoding_format": request.encoding_format}
    optional = {"dimensions": request.dimensions, "user": request.user}
    given = {name: value for name, value in optional.items() if value is not None}
    body |= {name: value for name, value in given.items() if name not in without}
    return UpstreamRequest(
        path="/embeddings",
        headers=_HEADERS,
        body=msgspec.json.encode(body),
        not_applied=tuple(name for name in given if name in without),
    )


def decode_embeddings(body: bytes) -> Embeddings:
    """
    The vectors of an answer, by their index where they have one.

    Raises:
        UpstreamBroken: It is no list of vectors.
    """
    try:
        document = msgspec.json.decode(body, type=_Document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamBroken(f"The upstream's embeddings are none: {error}.") from error
    entries = document.data
    if all(entry.index is not None for entry in entries):
        entries = sorted(entries, key=lambda entry: entry.index or 0)
        if [entry.index for entry in entries] != list(range(len(entries))):
            raise UpstreamBroken("The upstream's embeddings are not numbered as their inputs are.")
    return Embeddings(
        vectors=tuple(_vector(entry.embedding) for entry in entries),
        input_tokens=None if document.usage is None else document.usage.prompt_tokens,
    )


def _vector(given: list[float] | str) -> Sequence[float]:
    if not isinstance(given, str):
        return given
    try:
        packed = binascii.a2b_base64(given, strict_mode=True)
    except (binascii.Error, ValueError) as error:
        raise UpstreamBroken("An embedding of the upstream is neither numbers nor base64.") from error
    if len(packed) % _FLOAT_BYTES:
        raise UpstreamBroken("An embedding of the upstream ends within a number.")
    floats = array("f", packed)
    if byteorder == "big":
        floats.byteswap()
    return floats
