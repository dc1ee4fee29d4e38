"""
The dialect of Google's Gemini API: ``POST /models/MODEL:generateContent`` and ``:streamGenerateContent``.

One file for each thing: items as contents (:mod:`.encode`, :mod:`.content`, :mod:`.arguments`), thought signatures both
ways (:mod:`.signatures`), tools (:mod:`.tools`, :mod:`.tool_choice`, :mod:`.schema`), settings (:mod:`.generation`,
:mod:`.thinking`), the reply (:mod:`.decode`, :mod:`.frames`, :mod:`.outcomes`, :mod:`.citations`), errors
(:mod:`.errors`), the list of models and the count of tokens (:mod:`.models`), the path (:mod:`.address`); how an
upstream deviates is data (:mod:`.quirks`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from antiphon.hub.embedding import EmbeddingRequest, Embeddings
from antiphon.hub.errors import InvalidRequest, UpstreamError
from antiphon.hub.handover import hand_over
from antiphon.hub.ids import Family, IdFactory
from antiphon.hub.items import JsonObject
from antiphon.hub.turn import ModelCall
from antiphon.hub.upstream import KeyPlace, UpstreamDefaults, UpstreamRequest
from antiphon.providers.gemini.address import resource_name, resource_path
from antiphon.providers.gemini.decode import GeminiReplyDecoder
from antiphon.providers.gemini.embeddings import decode_embeddings, embedding_request, max_inputs
from antiphon.providers.gemini.encode import encode_dialogue
from antiphon.providers.gemini.errors import translate_error
from antiphon.providers.gemini.generation import encode_settings
from antiphon.providers.gemini.models import LIST_MODELS, decode_count, decode_models
from antiphon.providers.gemini.quirks import Quirks, read_quirks
from antiphon.providers.gemini.signatures import DIALECT
from antiphon.providers.gemini.tool_choice import allowed_names, offer_tools
from antiphon.providers.gemini.tools import read_tools

__all__ = ["Gemini", "Quirks", "provider"]

_HEADERS = {"content-type": "application/json"}
_DEFAULTS = {
    "gemini": UpstreamDefaults(
        base_url="https://generativelanguage.googleapis.com/v1beta",
        key_variable="GEMINI_API_KEY",
        key_place=KeyPlace(header="x-goog-api-key", prefix=""),
    ),
    # Names a project and a region, so that it has to be configured, and takes a bearer token.
    "vertex": UpstreamDefaults(),
}
_GEMINI_API = Quirks()
# What Vertex AI counts; the rest of a request has no tokens.
_COUNTED = ("contents", "systemInstruction", "tools", "generationConfig")


class Gemini:
    """The :class:`~antiphon.hub.upstream.Provider` for Gemini. Stateless; one serves all requests."""

    def __init__(self, quirks: Quirks = _GEMINI_API) -> None:
        self._quirks = quirks

    @property
    def dialect(self) -> str:
        return DIALECT

    @property
    def defaults(self) -> UpstreamDefaults:
        return _DEFAULTS[self._quirks.host]

    def encode(self, call: ModelCall) -> UpstreamRequest:
        body, not_applied = self._body(call)
        method = "streamGenerateContent?alt=sse" if call.stream else "generateContent"
        return UpstreamRequest(
            path=resource_path(call.model, method),
            headers=_HEADERS,
            body=_json(body),
            stream=call.stream,
            not_applied=not_applied,
        )

    def decoder(self, call: ModelCall, ids: IdFactory, family: Family) -> GeminiReplyDecoder:
        toolbox = read_tools(call, self._quirks)
        return GeminiReplyDecoder(
            ids,
            family,
            call.account,
            tools=toolbox.by_wire_name(),
            allowed_tools=allowed_names(toolbox, call.request),
        )

    def count(self, call: ModelCall) -> UpstreamRequest | None:
        if not self._quirks.counting:
            return None
        body, _ = self._body(call)
        if self._quirks.host == "gemini":
            body = {"generateContentRequest": {"model": resource_name(call.model), **body}}
        else:
            body = {name: body[name] for name in _COUNTED if name in body}
        return UpstreamRequest(path=resource_path(call.model, "countTokens"), headers=_HEADERS, body=_json(body))

    def decode_count(self, body: bytes) -> int:
        return decode_count(body)

    def max_inputs(self, model: str) -> int:
        """See :class:`antiphon.hub.upstream.Embeds`."""
        return max_inputs(model, self._quirks)

    def embed(self, request: EmbeddingRequest) -> UpstreamRequest:
        return embedding_request(request, self._quirks)

    def decode_embeddings(self, body: bytes, headers: Mapping[str, str]) -> Embeddings:
        return decode_embeddings(body, self._quirks)

    def error(self, status: int, headers: Mapping[str, str], body: bytes, *, upstream: str) -> UpstreamError:
        return translate_error(status, headers, body, upstream=upstream)

    def list_models(self) -> UpstreamRequest | None:
        return LIST_MODELS if self._quirks.host == "gemini" else None

    def decode_models(self, body: bytes) -> list[JsonObject]:
        return decode_models(body)

    def _body(self, call: ModelCall) -> tuple[JsonObject, tuple[str, ...]]:
        """The fields of a request, and the client's names of what they leave out."""
        handover = hand_over(call)
        call = handover.call
        toolbox = read_tools(call, self._quirks)
        settings = encode_settings(call, self._quirks)
        offer = offer_tools(toolbox, call.request, self._quirks)
        dialogue = encode_dialogue(call, self._quirks, toolbox)
        not_applied = (*handover.not_applied, *offer.not_applied, *settings.not_applied, *dialogue.not_applied)
        return {**dialogue.fields, **offer.fields, **settings.fields}, tuple(dict.fromkeys(not_applied))


def provider(options: Mapping[str, object]) -> Gemini:
    """
    The provider that a configuration describes by its quirks.

    Raises:
        ValueError: A quirk is unknown or of the wrong type; the message names the nearest known one.
    """
    return Gemini(read_quirks(options))


def _json(body: Any) -> bytes:
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError as error:
        raise InvalidRequest(
            "The request cannot be written as JSON: it is nested too deeply or is not text."
        ) from error
