"""
The dialect of ``POST /responses``: OpenAI's own, and what Azure, xAI, vLLM, Ollama, LM Studio and llama.cpp have of it.

The state stays here. Every call carries its whole context and asks the upstream to store nothing.

One file for each thing: items (:mod:`.encode`, :mod:`.ids`, :mod:`.reasoning`), tools (:mod:`.tools`), settings
(:mod:`.parameters`), the reply (:mod:`.decode`, :mod:`.reply_items`, :mod:`.open_item`, :mod:`.names`, :mod:`.bodies`,
:mod:`.reply`), errors (:mod:`.errors`), the list of models (:mod:`.models`); how a server deviates is data
(:mod:`.quirks`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import orjson

from antiphon.hub.embedding import EmbeddingRequest, Embeddings
from antiphon.hub.errors import InvalidRequest, UpstreamBroken, UpstreamError
from antiphon.hub.ids import Family, IdFactory
from antiphon.hub.items import JsonObject
from antiphon.hub.turn import ModelCall
from antiphon.hub.upstream import UpstreamDefaults, UpstreamRequest
from antiphon.providers.openai_responses.decode import ResponsesReplyDecoder
from antiphon.providers.openai_responses.embeddings import MAX_INPUTS, decode_embeddings, embedding_request
from antiphon.providers.openai_responses.encode import encode_input
from antiphon.providers.openai_responses.errors import translate_error
from antiphon.providers.openai_responses.models import LIST_MODELS, decode_models
from antiphon.providers.openai_responses.parameters import encode_settings, is_asked_for
from antiphon.providers.openai_responses.quirks import Quirks, read_quirks
from antiphon.providers.openai_responses.reasoning import DIALECT
from antiphon.providers.openai_responses.takeover import take_over
from antiphon.providers.openai_responses.tools import offer_tools

__all__ = ["OpenAIResponses", "Quirks", "provider"]

_HEADERS = {"content-type": "application/json"}
_OPENAI = Quirks()
_DEFAULTS = UpstreamDefaults(base_url="https://api.openai.com/v1", key_variable="OPENAI_API_KEY")
# What the endpoint that counts takes of a body.
_COUNTED: Final[tuple[str, ...]] = (
    "model",
    "input",
    "instructions",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "text",
    "reasoning",
)


class OpenAIResponses:
    """The :class:`~antiphon.hub.upstream.Provider` for native Responses upstreams. Stateless; one serves all."""

    def __init__(self, quirks: Quirks = _OPENAI) -> None:
        self._quirks = quirks

    @property
    def dialect(self) -> str:
        return DIALECT

    @property
    def defaults(self) -> UpstreamDefaults:
        return _DEFAULTS

    @property
    def takes_cache_key(self) -> bool:
        """See :class:`antiphon.hub.upstream.CacheKeyed`."""
        return self._quirks.cache_key and "prompt_cache_key" not in self._quirks.drop

    def encode(self, call: ModelCall) -> UpstreamRequest:
        body, not_applied = self._write(call)
        return UpstreamRequest(
            path="/responses", headers=_HEADERS, body=_json(body), stream=call.stream, not_applied=not_applied
        )

    def decoder(self, call: ModelCall, ids: IdFactory, family: Family) -> ResponsesReplyDecoder:
        return ResponsesReplyDecoder(ids, family, call)

    def count(self, call: ModelCall) -> UpstreamRequest | None:
        """The same question, to the endpoint that only counts it."""
        if self._quirks.counting == "none":
            return None
        body, _ = self._write(call)
        counted = {name: body[name] for name in _COUNTED if name in body}
        return UpstreamRequest(path="/responses/input_tokens", headers=_HEADERS, body=_json(counted))

    def decode_count(self, body: bytes) -> int:
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise UpstreamBroken("The upstream's count of input tokens is not valid JSON.") from error
        tokens = document.get("input_tokens") if isinstance(document, dict) else None
        if type(tokens) is not int or tokens < 0:
            raise UpstreamBroken("The upstream's answer has no count of input tokens.")
        return tokens

    def max_inputs(self, model: str) -> int:
        """See :class:`antiphon.hub.upstream.Embeds`."""
        return MAX_INPUTS

    def embed(self, request: EmbeddingRequest) -> UpstreamRequest:
        return embedding_request(request, without=self._quirks.drop)

    def decode_embeddings(self, body: bytes, headers: Mapping[str, str]) -> Embeddings:
        return decode_embeddings(body)

    def error(self, status: int, headers: Mapping[str, str], body: bytes, *, upstream: str) -> UpstreamError:
        return translate_error(status, headers, body, upstream=upstream)

    def list_models(self) -> UpstreamRequest:
        return LIST_MODELS

    def decode_models(self, body: bytes) -> list[JsonObject]:
        return decode_models(body)

    def _write(self, call: ModelCall) -> tuple[JsonObject, tuple[str, ...]]:
        """The body of a call, and the client's names of what it leaves out."""
        quirks, handover = self._quirks, take_over(call, self._quirks)
        call, request = handover.call, call.request
        context = encode_input(call, quirks)
        offer = offer_tools(request, quirks)
        settings = encode_settings(call, quirks)
        body: JsonObject = {
            **request.unknown,
            "model": call.model,
            "input": context.items,
            **offer.fields,
            **settings,
        }
        dropped = [name for name in quirks.drop if body.pop(name, None) is not None]
        wanted = [name for name in dropped if is_asked_for(name, request)]
        return body, tuple(dict.fromkeys([*handover.not_applied, *context.not_applied, *offer.not_applied, *wanted]))


def provider(options: Mapping[str, object]) -> OpenAIResponses:
    """
    The provider that a configuration describes by its quirks.

    Raises:
        ValueError: A quirk is unknown or of the wrong type; the message names the nearest known one.
    """
    return OpenAIResponses(read_quirks(options))


def _json(body: JsonObject) -> bytes:
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError as error:
        raise InvalidRequest(
            "The request cannot be written as JSON: it is nested too deeply or is not text."
        ) from error
