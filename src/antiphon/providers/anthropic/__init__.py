"""
The dialect of ``POST /v1/messages``: Anthropic's, which Google Cloud and Amazon Bedrock speak for Claude as well.

One file for each thing: items as messages (:mod:`.transcript`, :mod:`.content`), thinking (:mod:`.thinking`), tools
(:mod:`.tools`, :mod:`.tool_choice`), settings (:mod:`.parameters`), the cache (:mod:`.caching`), a client's own words
(:mod:`.verbatim`), where requests go (:mod:`.hosts`), the reply (:mod:`.decode`, :mod:`.blocks`, :mod:`.reply`,
:mod:`.frames`), errors (:mod:`.errors`) and the list of models (:mod:`.models`). What a model takes is in
:mod:`.families`, how a server deviates in :mod:`.quirks`.

Specification: ``platform.claude.com/docs/en/api/messages``, version 2023-06-01.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from antiphon.hub.errors import UpstreamError
from antiphon.hub.ids import Family, IdFactory
from antiphon.hub.items import JsonObject
from antiphon.hub.turn import ModelCall
from antiphon.hub.upstream import UpstreamDefaults, UpstreamRequest
from antiphon.providers.anthropic.body import encode_body
from antiphon.providers.anthropic.decode import MessageDecoder
from antiphon.providers.anthropic.errors import translate_error
from antiphon.providers.anthropic.frames import AwsFrames
from antiphon.providers.anthropic.hosts import count_request, defaults_of, list_models_request, message_request
from antiphon.providers.anthropic.models import decode_count, decode_models
from antiphon.providers.anthropic.quirks import Quirks, read_quirks
from antiphon.providers.anthropic.thinking import DIALECT
from antiphon.providers.anthropic.tool_choice import allowed_names
from antiphon.providers.anthropic.tools import read_tools
from antiphon.providers.anthropic.verbatim import encode_verbatim

__all__ = ["Anthropic", "Quirks", "provider"]

_ANTHROPICS_OWN = Quirks()


class Anthropic:
    """The :class:`~antiphon.hub.upstream.Provider` for the Messages API. Stateless; one serves all requests."""

    def __init__(self, quirks: Quirks = _ANTHROPICS_OWN) -> None:
        self._quirks = quirks

    @property
    def dialect(self) -> str:
        return DIALECT

    @property
    def defaults(self) -> UpstreamDefaults:
        return defaults_of(self._quirks)

    def encode(self, call: ModelCall) -> UpstreamRequest:
        verbatim = encode_verbatim(call, self._quirks)
        encoded = verbatim or encode_body(call, self._quirks)
        request = message_request(encoded.body, self._quirks, stream=call.stream, not_applied=encoded.not_applied)
        return request if verbatim is None else msgspec.structs.replace(request, verbatim=True)

    def decoder(self, call: ModelCall, ids: IdFactory, family: Family) -> MessageDecoder:
        toolbox = read_tools(call, self._quirks)
        return MessageDecoder(
            ids,
            family,
            call.account,
            origins=toolbox.origins,
            allowed=allowed_names(toolbox, call.request),
            frames=AwsFrames(call.account) if self._quirks.host == "bedrock" else None,
        )

    def count(self, call: ModelCall) -> UpstreamRequest | None:
        return count_request(encode_body(call, self._quirks).body, self._quirks)

    def decode_count(self, body: bytes) -> int:
        return decode_count(body)

    def error(self, status: int, headers: Mapping[str, str], body: bytes, *, upstream: str) -> UpstreamError:
        return translate_error(status, headers, body, upstream=upstream)

    def list_models(self) -> UpstreamRequest | None:
        return list_models_request(self._quirks)

    def decode_models(self, body: bytes) -> list[JsonObject]:
        return decode_models(body)


def provider(options: Mapping[str, object]) -> Anthropic:
    """
    The provider that a configuration describes by its quirks.

    Raises:
        ValueError: A quirk is unknown or of the wrong type; the message names the nearest known one.
    """
    return Anthropic(read_quirks(options))
