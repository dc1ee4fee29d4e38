"""The upstream's list of models: ``GET /models``, and its count of tokens: ``:countTokens``."""

from __future__ import annotations

from typing import Annotated

import msgspec

from antiphon.hub.errors import UpstreamBroken
from antiphon.hub.items import JsonObject
from antiphon.hub.upstream import UpstreamRequest

__all__ = ["LIST_MODELS", "decode_count", "decode_models"]

# One page: the most that the API gives, and far more than there are.
LIST_MODELS = UpstreamRequest(method="GET", path="/models?pageSize=1000")

_OF_USE = frozenset({"generateContent", "embedContent"})
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]


class _Model(msgspec.Struct, rename="camel"):
    name: Annotated[str, msgspec.Meta(min_length=1)]
    input_token_limit: _Count | None = None
    supported_generation_methods: list[str] | None = None


class _Models(msgspec.Struct):
    models: list[_Model] | None = None


class _Counted(msgspec.Struct, rename="camel"):
    total_tokens: _Count


def decode_models(body: bytes) -> list[JsonObject]:
    """
    Model objects ``{"id", "object", "created", "owned_by"}``, in the upstream's order, with ``context_window`` where
    it says how long an input may be. Models that neither answer nor embed (images by other methods) are left out.

    Raises:
        UpstreamBroken: The body is no list of models, or an entry has no name.
    """
    try:
        listed = msgspec.json.decode(body, type=_Models)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamBroken(f"The upstream's list of models is not one: {error}.") from error
    return [_object(model) for model in listed.models or () if _is_of_use(model)]


def decode_count(body: bytes) -> int:
    """
    The tokens that a call has.

    Raises:
        UpstreamBroken: The body holds no count.
    """
    try:
        return msgspec.json.decode(body, type=_Counted).total_tokens
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamBroken(f"The upstream's count of tokens is not one: {error}.") from error


def _is_of_use(model: _Model) -> bool:
    methods = model.supported_generation_methods
    return methods is None or not _OF_USE.isdisjoint(methods)


def _object(model: _Model) -> JsonObject:
    # Tuned models keep their collection: it tells them apart, and leads back to them.
    listed: JsonObject = {
        "id": model.name.removeprefix("models/"),
        "object": "model",
        "created": 0,
        "owned_by": "google",
    }
    return {**listed, "context_window": model.input_token_limit} if model.input_token_limit else listed
