"""
The dialect of ``POST /chat/completions``: OpenAI's older API, which nearly every model server speaks.

One file for each thing: items as messages (:mod:`.encode`, :mod:`.content`, :mod:`.reasoning`), tools (:mod:`.tools`,
:mod:`.tool_choice`), settings (:mod:`.parameters`), the reply (:mod:`.decode`), embeddings (:mod:`.embeddings`), errors
(:mod:`.errors`), the list of models (:mod:`.models`); how a server deviates is data (:mod:`.quirks`), which
:mod:`.fitting` applies at the end.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import orjson

from antiphon.hub.embedding import EmbeddingRequest, Embeddings
from antiphon.hub.errors import InvalidRequest, UpstreamBroken, UpstreamError
from antiphon.hub.handover import hand_over
from antiphon.hub.ids import Family, IdFactory
from antiphon.hub.items import JsonObject
from antiphon.hub.turn import ModelCall
from antiphon.hub.upstream import UpstreamRequest
from antiphon.providers.openai_chat.decode import ChatReplyDecoder
from antiphon.providers.openai_chat.embeddings import MAX_INPUTS, decode_embeddings, embedding_request
from antiphon.providers.openai_chat.encode import encode_messages
from antiphon.providers.openai_chat.errors import translate_error
from antiphon.providers.openai_chat.fitting import fit_fields
from antiphon.providers.openai_chat.models import LIST_MODELS, decode_models
from antiphon.providers.openai_chat.parameters import encode_settings
from antiphon.providers.openai_chat.quirks import Quirks, read_quirks
from antiphon.providers.openai_chat.reasoning import DIALECT
from antiphon.providers.openai_chat.reply import decode_chunk, read_usage
from antiphon.providers.openai_chat.tool_choice import allowed_names, offer_tools
from antiphon.providers.openai_chat.tools import read_tools, wraps_custom_tools
from antiphon.providers.openai_chat.verbatim import encode_verbatim

__all__ = ["OpenAIChat", "Quirks", "provider"]

_HEADERS = {"content-type": "application/json"}
_COMMON_GROUND = Quirks()


class OpenAIChat:
    """The :class:`~antiphon.hub.upstream.Provider` for chat completions. Stateless; one serves all requests."""

    def __init__(self, quirks: Quirks = _COMMON_GROUND) -> None:
        self._quirks = quirks

    @property
    def dialect(self) -> str:
        return DIALECT

    @property
    def takes_cache_key(self) -> bool:
        """See :class:`antiphon.hub.upstream.CacheKeyed`."""
        return self._quirks.cache_key

    def encode(self, call: ModelCall) -> UpstreamRequest:
        own = encode_verbatim(call, self._quirks)
        if own is not None:
            return _request(call, own.fields, own.not_applied, verbatim=True)
        quirks, handover = self._quirks, hand_over(call)
        call, request = handover.call, call.request
        toolbox = read_tools(call.tools, quirks)
        settings = encode_settings(call, quirks)
        offer = offer_tools(toolbox, request, quirks)
        messages = encode_messages(call, quirks, toolbox)
        fitted = fit_fields({**offer.fields, **settings.fields}, quirks)
        body: JsonObject = {"model": call.model, "messages": messages, **fitted.fields}
        not_applied = [
            *handover.not_applied,
            *offer.not_applied,
            *settings.not_applied,
            *fitted.not_applied,
        ]
        return _request(call, body, tuple(dict.fromkeys(not_applied)))

    def decoder(self, call: ModelCall, ids: IdFactory, family: Family) -> ChatReplyDecoder:
        toolbox = read_tools(call.tools, self._quirks)
        return ChatReplyDecoder(
            ids,
            family,
            call.account,
            custom_tools=toolbox.custom_names if wraps_custom_tools(self._quirks) else frozenset(),
            namespaces=toolbox.namespaces,
            allowed_tools=allowed_names(toolbox, call.request),
            stop=call.request.stop,
            stream_end=self._quirks.stream_end,
        )

    def count(self, call: ModelCall) -> UpstreamRequest | None:
        """The same call for one token of output: its usage says how long the input is."""
        if self._quirks.counting == "none":
            return None
        request = msgspec.structs.replace(call.request, max_output_tokens=1)
        return self.encode(msgspec.structs.replace(call, request=request, stream=False, verbatim=None))

    def decode_count(self, body: bytes) -> int:
        chunk = decode_chunk(body)
        if chunk.usage is None or chunk.usage.prompt_tokens is None:
            raise UpstreamBroken("The upstream's reply has no count of its prompt's tokens.")
        return read_usage(chunk.usage).input_tokens

    def max_inputs(self, model: str) -> int:
        """See :class:`antiphon.hub.upstream.Embeds`."""
        return MAX_INPUTS

    def embed(self, request: EmbeddingRequest) -> UpstreamRequest:
        # A name of its own for the end user is one of chat's fields.
        return embedding_request(request, without={*self._quirks.drop, *self._quirks.rename})

    def decode_embeddings(self, body: bytes, headers: Mapping[str, str]) -> Embeddings:
        return decode_embeddings(body)

    def error(self, status: int, headers: Mapping[str, str], body: bytes, *, upstream: str) -> UpstreamError:
        return translate_error(status, headers, body, upstream=upstream)

    def list_models(self) -> UpstreamRequest:
        return LIST_MODELS

    def decode_models(self, body: bytes) -> list[JsonObject]:
        return decode_models(body)


def provider(options: Mapping[str, object]) -> OpenAIChat:
    """
    The provider that a configuration describes by its quirks.

    Raises:
        ValueError: A quirk is unknown or of the wrong type; the message names the nearest known one.
    """
    return OpenAIChat(read_quirks(options))


def _request(
    call: ModelCall, body: JsonObject, not_applied: tuple[str, ...], *, verbatim: bool = False
) -> UpstreamRequest:
    return UpstreamRequest(
        path="/chat/completions",
        headers=_HEADERS,
        body=_json(body),
        stream=call.stream,
        not_applied=not_applied,
        verbatim=verbatim,
    )


def _json(body: JsonObject) -> bytes:
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError as error:
        raise InvalidRequest(
            "The request cannot be written as JSON: it is nested too deeply or is not text."
        ) from error
