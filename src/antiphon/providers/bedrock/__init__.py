"""
The dialect of ``Converse`` and ``ConverseStream``: Amazon Bedrock's one API for the models of many houses.

One file for each thing: items as messages (:mod:`.encode`, :mod:`.content`, :mod:`.reasoning`), where they may be
cached (:mod:`.caching`), tools (:mod:`.tools`, :mod:`.tool_choice`), settings (:mod:`.settings`), the reply
(:mod:`.decode`), errors (:mod:`.errors`), models (:mod:`.models`); how a model deviates is data (:mod:`.quirks`).
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

import msgspec
import orjson

from antiphon.hub.embedding import EmbeddingRequest, Embeddings
from antiphon.hub.errors import InvalidRequest, UpstreamBroken, UpstreamError
from antiphon.hub.handover import hand_over
from antiphon.hub.ids import Family, IdFactory
from antiphon.hub.items import JsonObject
from antiphon.hub.turn import ModelCall
from antiphon.hub.upstream import UpstreamDefaults, UpstreamRequest
from antiphon.providers.bedrock.caching import with_cache_points
from antiphon.providers.bedrock.decode import ConverseReplyDecoder
from antiphon.providers.bedrock.embeddings import decode_embeddings, embedding_request, max_inputs
from antiphon.providers.bedrock.encode import encode_transcript
from antiphon.providers.bedrock.errors import translate_error
from antiphon.providers.bedrock.models import LIST_MODELS, decode_models
from antiphon.providers.bedrock.quirks import Quirks, read_quirks
from antiphon.providers.bedrock.reasoning import DIALECT
from antiphon.providers.bedrock.settings import encode_settings
from antiphon.providers.bedrock.tool_choice import offer_tools
from antiphon.providers.bedrock.tools import read_tools

__all__ = ["Bedrock", "Quirks", "provider"]

_COMMON_GROUND = Quirks()
_COUNTED = ("messages", "system", "toolConfig", "additionalModelRequestFields")


class _Count(msgspec.Struct, rename="camel"):
    input_tokens: int


class Bedrock:
    """The :class:`~antiphon.hub.upstream.Provider` for Converse. Stateless; one serves all requests."""

    def __init__(self, quirks: Quirks = _COMMON_GROUND) -> None:
        self._quirks = quirks

    @property
    def dialect(self) -> str:
        return DIALECT

    @property
    def defaults(self) -> UpstreamDefaults:
        """How Bedrock is reached: by a signature, or by a key of its own where there is one."""
        return UpstreamDefaults(
            base_url=f"https://bedrock-runtime.{self._quirks.region or '{AWS_REGION}'}.amazonaws.com",
            key_variable="AWS_BEARER_TOKEN_BEDROCK",
            signing="sigv4",
        )

    def encode(self, call: ModelCall) -> UpstreamRequest:
        body, not_applied = self._body(call)
        operation, accept = "converse", "application/json"
        if call.stream:
            operation, accept = "converse-stream", "application/vnd.amazon.eventstream"
        return UpstreamRequest(
            path=_path(call.model, operation),
            headers={"content-type": "application/json", "accept": accept},
            body=_json(body),
            stream=call.stream,
            not_applied=not_applied,
        )

    def decoder(self, call: ModelCall, ids: IdFactory, family: Family) -> ConverseReplyDecoder:
        toolbox = read_tools(call, self._quirks)
        return ConverseReplyDecoder(
            ids,
            family,
            call.account,
            tools=toolbox.by_wire_name(),
            allowed_tools=offer_tools(toolbox, call).allowed,
        )

    def count(self, call: ModelCall) -> UpstreamRequest | None:
        """``CountTokens`` for the same call, which costs nothing; not every model has it."""
        if self._quirks.counting == "none":
            return None
        body, _ = self._body(call)
        counted = {name: body[name] for name in _COUNTED if name in body}
        return UpstreamRequest(
            path=_path(call.model, "count-tokens"),
            headers={"content-type": "application/json", "accept": "application/json"},
            body=_json({"input": {"converse": counted}}),
        )

    def decode_count(self, body: bytes) -> int:
        try:
            return msgspec.json.decode(body, type=_Count).input_tokens
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UpstreamBroken("The upstream's answer has no count of tokens.") from error

    def max_inputs(self, model: str) -> int:
        """See :class:`antiphon.hub.upstream.Embeds`."""
        return max_inputs(model)

    def embed(self, request: EmbeddingRequest) -> UpstreamRequest:
        return embedding_request(request, input_type=self._quirks.embedding_input_type)

    def decode_embeddings(self, body: bytes, headers: Mapping[str, str]) -> Embeddings:
        return decode_embeddings(body, headers)

    def error(self, status: int, headers: Mapping[str, str], body: bytes, *, upstream: str) -> UpstreamError:
        return translate_error(status, headers, body, upstream=upstream)

    def list_models(self) -> UpstreamRequest | None:
        return LIST_MODELS if self._quirks.lists_models else None

    def decode_models(self, body: bytes) -> list[JsonObject]:
        return decode_models(body)

    def _body(self, call: ModelCall) -> tuple[JsonObject, tuple[str, ...]]:
        """A call's body, and what it leaves out."""
        quirks, handover = self._quirks, hand_over(call)
        call = handover.call
        toolbox = read_tools(call, quirks)
        settings = encode_settings(call, quirks)
        offer = offer_tools(toolbox, call)
        transcript = with_cache_points(encode_transcript(call, quirks, toolbox), quirks.cache_points)
        body: JsonObject = {"messages": transcript.messages}
        if transcript.system:
            body["system"] = transcript.system
        if offer.config is not None:
            body["toolConfig"] = offer.config
        not_applied = (*handover.not_applied, *offer.not_applied, *settings.not_applied, *transcript.not_applied)
        return {**body, **settings.fields}, tuple(dict.fromkeys(not_applied))


def provider(options: Mapping[str, object]) -> Bedrock:
    """
    The provider that a configuration describes by its quirks.

    Raises:
        ValueError: A quirk is unknown or of the wrong type; the message names the nearest known one.
    """
    return Bedrock(read_quirks(options))


def _path(model: str, operation: str) -> str:
    """The path of an operation on a model, whose id or ARN is one segment of it."""
    return f"/model/{quote(model, safe='')}/{operation}"


def _json(body: JsonObject) -> bytes:
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError as error:
        raise InvalidRequest(
            "The request cannot be written as JSON: it is nested too deeply or is not text."
        ) from error
