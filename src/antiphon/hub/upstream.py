"""
The two protocols towards an upstream: what it speaks (:class:`Provider`) and how bytes get there (:class:`Transport`).

A provider does no I/O: it has no client, no clock, no key and awaits nothing. A transport knows nothing of what it
carries. Both are chosen by the composition root and meet in the engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, runtime_checkable

import msgspec

from antiphon.hub.embedding import EmbeddingRequest, Embeddings
from antiphon.hub.errors import UpstreamError
from antiphon.hub.events import Event, OtherEvent, ReplyEnd
from antiphon.hub.ids import Family, IdFactory
from antiphon.hub.items import JsonObject
from antiphon.hub.turn import ModelCall
from antiphon.hub.usage import Usage

__all__ = [
    "CacheKeyed",
    "Counts",
    "Embeds",
    "Hear",
    "KeyPlace",
    "Known",
    "Metered",
    "Overheard",
    "Provider",
    "ReplyDecoder",
    "ReplyEvent",
    "Signer",
    "Transport",
    "UpstreamDefaults",
    "UpstreamReply",
    "UpstreamRequest",
]

ReplyEvent = Event | OtherEvent | ReplyEnd


class UpstreamRequest(msgspec.Struct, frozen=True, kw_only=True):
    """
    One HTTP request to an upstream, without its credential.

    Attributes:
        path: Relative to the upstream's base URL, with a leading slash.
        body: JSON bytes; empty for GET.
        not_applied: Fields of the client's request that this dialect has no words for and that change nothing in what
            the model says (by name, for the answer's header).
    """

    method: str = "POST"
    path: str
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    body: bytes = b""
    stream: bool = False
    not_applied: tuple[str, ...] = ()
    verbatim: bool = False


class ReplyDecoder(Protocol):
    """Turns one reply's bytes into events. One instance per attempt."""

    def feed(self, block: bytes) -> Sequence[ReplyEvent]:
        """
        Take bytes of a streamed reply as they came, cut anywhere.

        Raises:
            UpstreamError: The stream is malformed, or the upstream reported an error in it. Events that came before the
                fault in the same block are returned, and :meth:`finish` raises it.
        """
        ...

    def finish(self) -> Sequence[ReplyEvent]:
        """
        The connection ended, or :attr:`ended` is true. Returns what was still held back.

        Raises:
            UpstreamError: A fault that was held back, or the dialect's end was not seen and the reply is not whole.
        """
        ...

    def whole(self, body: bytes) -> Sequence[ReplyEvent]:
        """
        Decode a reply that came in one piece, as the events that a stream of it would have given.

        Raises:
            UpstreamError: The body is not a reply of this dialect.
        """
        ...

    @property
    def ended(self) -> bool:
        """Whether the dialect's end, or a fault, was seen; whatever follows is ignored."""
        ...


class Provider(Protocol):
    """
    A dialect that an upstream speaks.

    Attributes:
        dialect: Its name in the configuration, such as ``openai_chat``.
    """

    @property
    def dialect(self) -> str: ...

    def encode(self, call: ModelCall) -> UpstreamRequest:
        """
        Write a call as this dialect's request.

        Raises:
            UnsupportedParameter: Something that the call asks for cannot be said in this dialect; names it.
        """
        ...

    def decoder(self, call: ModelCall, ids: IdFactory, family: Family) -> ReplyDecoder:
        """A decoder for the reply to *call*. Item ids are minted in *family*."""
        ...

    def error(self, status: int, headers: Mapping[str, str], body: bytes, *, upstream: str) -> UpstreamError:
        """Translate an answer that is not 2xx. Header names are lower-case."""
        ...

    def list_models(self) -> UpstreamRequest | None:
        """
        The request that lists the upstream's models; None for one that has no such list, and serves what is configured.
        """
        ...

    def decode_models(self, body: bytes) -> list[JsonObject]:
        """
        Model objects ``{"id", "object": "model", "created", "owned_by"}`` of an answer to :meth:`list_models`.

        Where the upstream says how many tokens a model takes, the object has ``context_window`` too.

        Raises:
            UpstreamBroken: The body is not a list of models.
        """
        ...


class KeyPlace(msgspec.Struct, frozen=True):
    """Where an upstream takes an API key: a header (in lower case), and what stands before the key in it."""

    header: str = "authorization"
    prefix: str = "Bearer "


class UpstreamDefaults(msgspec.Struct, frozen=True, kw_only=True):
    """
    How a dialect's upstream is usually reached; a configuration may say otherwise.

    Attributes:
        base_url: Up to and including the version; empty where every upstream has its own. ``{NAME}`` in it stands for
            the environment variable of that name.
        key_variable: The environment variable in which its key usually is.
        signing: ``key`` sends the key as it is, in *key_place*; ``sigv4`` signs each request with AWS credentials.
        headers: Sent with every request.
    """

    base_url: str = ""
    key_variable: str = ""
    key_place: KeyPlace = KeyPlace()
    signing: Literal["key", "sigv4"] = "key"
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)


@runtime_checkable
class Known(Protocol):
    """A provider that knows how its upstream is usually reached. Optional, beside :class:`Provider`."""

    @property
    def defaults(self) -> UpstreamDefaults: ...


class Signer(Protocol):
    """Shows an upstream who asks."""

    async def sign(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Mapping[str, str]:
        """
        The headers to add to a request.

        Args:
            url: Absolute, encoded as it is sent.
            headers: What is sent besides, names in lower case.

        Raises:
            UpstreamAuthentication: There are no credentials, or they cannot be had.
        """
        ...


@runtime_checkable
class Counts(Protocol):
    """A provider that can have its upstream count the tokens of a call. Optional, beside :class:`Provider`."""

    def count(self, call: ModelCall) -> UpstreamRequest | None:
        """
        The request whose answer says how many input tokens *call* has; None if this upstream cannot tell.

        Raises:
            UnsupportedParameter: See :meth:`Provider.encode`.
        """
        ...

    def decode_count(self, body: bytes) -> int:
        """
        The number of an answer to :meth:`count`.

        Raises:
            UpstreamError: The body holds none.
        """
        ...


@runtime_checkable
class Embeds(Protocol):
    """A provider whose upstream turns texts into vectors. Optional, beside :class:`Provider`."""

    def max_inputs(self, model: str) -> int:
        """How many inputs one request may have; at least 1. Who has more asks more than once."""
        ...

    def embed(self, request: EmbeddingRequest) -> UpstreamRequest:
        """
        Write a request, whose ``model`` is the upstream's own name of it.

        Raises:
            UnsupportedParameter: This upstream, or this model, cannot be told what it asks for; names it.
        """
        ...

    def decode_embeddings(self, body: bytes, headers: Mapping[str, str]) -> Embeddings:
        """
        The vectors of an answer to :meth:`embed`, in the order of its inputs.

        Args:
            headers: The answer's, names in lower case: some upstreams count there.

        Raises:
            UpstreamBroken: The body holds none.
        """
        ...


@runtime_checkable
class CacheKeyed(Protocol):
    """A provider that can send a key by which its upstream finds what it has cached. Optional."""

    @property
    def takes_cache_key(self) -> bool:
        """Whether this upstream knows such a key: whether :attr:`~antiphon.hub.turn.ModelCall.cache_key` is used."""
        ...


@runtime_checkable
class Metered(Protocol):
    """A decoder that can say what its upstream has counted before the reply's end. Optional."""

    @property
    def usage(self) -> Usage | None:
        """
        What was counted so far; None if nothing was.

        ``output_tokens`` is 0 as long as the upstream has not counted what it said in this reply.
        """
        ...


class Hear(Protocol):
    """Takes what an upstream has said, in its own words."""

    def __call__(self, data: bytes, *, ends: bool) -> None:
        """
        Take the JSON of one event, or of a whole reply.

        Args:
            ends: Whether it says that the reply ends, or something before it did.
        """
        ...


@runtime_checkable
class Overheard(Protocol):
    """A decoder that can pass on what it reads, for a client who speaks the same dialect. Optional."""

    def overhear(self, hear: Hear) -> None:
        """
        Have *hear* told of each event, or of the whole reply, as soon as it was decoded. To be said before any bytes.

        What was refused is not passed on, and marks that are no JSON are not either. As the client is shown the
        upstream's ids of calls, and may name them later, the items of a reply that can be stored have these.
        """
        ...


class UpstreamReply(Protocol):
    """An upstream's answer whose body has not been read. Must be closed on every path."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Header names in lower case."""
        ...

    async def read_block(self) -> bytes:
        """
        The bytes that have arrived, waiting for at least one. ``b""`` when the body has ended as HTTP says it should.

        Raises:
            UpstreamTimeout: Nothing came for the upstream's idle time.
            UpstreamBroken: The connection broke before the body's end.
        """
        ...

    async def read_all(self, limit_bytes: int) -> bytes:
        """
        The rest of the body.

        Raises:
            UpstreamBroken: It is longer than *limit_bytes*, or the connection broke.
            UpstreamTimeout: Nothing came for the upstream's idle time.
        """
        ...

    async def close(self) -> None:
        """
        Give the connection back, or drop it if the body has not ended: that is what stops the upstream's work.

        Waits for nothing, so that it cannot be interrupted.
        """
        ...


class Transport(Protocol):
    """The way to one upstream: base URL, credential and time-outs are its own."""

    async def send(self, request: UpstreamRequest) -> UpstreamReply:
        """
        Send and wait for the answer's status line and headers. No retries and no redirects.

        Raises:
            UpstreamUnreachable: No connection, or it broke before anything was answered.
            UpstreamTimeout: Connecting or the first byte took too long.
        """
        ...

    async def close(self) -> None:
        """Close idle connections."""
        ...
