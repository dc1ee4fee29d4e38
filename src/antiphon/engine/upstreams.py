"""
Upstreams: a dialect and a way to it under a name, with the models that it serves.

An upstream's model list is asked for when it is needed and kept for a while. One whose dialect has such a list and that
cannot tell it (404 or 405) is taken to serve whatever name it is asked for; one whose dialect has none serves what is
configured.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence

from antiphon.engine.deadlines import Deadlines
from antiphon.engine.droppable import check_names
from antiphon.engine.gates import Capacity
from antiphon.hub.errors import UpstreamError
from antiphon.hub.items import JsonObject
from antiphon.hub.price import Price
from antiphon.hub.upstream import CacheKeyed, Provider, Transport
from antiphon.settings import Secret

__all__ = ["Upstream"]

_MODELS_LIMIT_BYTES = 8 * 1024 * 1024
# Servers that want no key are given words like "none" or "EMPTY", which are no secret.
_SHORTEST_SECRET = 8
_CANNOT_LIST = frozenset({404, 405, 501})


class Upstream:
    """
    A named upstream.

    Args:
        name: Unique; shown in headers, logs and errors.
        models: The models that it serves, if that is configured; None to ask it.
        base_url: For people; requests go through *transport*.
        context_window: How many tokens its models take, input and output; None for what it lists for each of them.
        credential: What *transport* shows to it, so that no error of its own shows it to anybody else.
        account: What its models wrote in private goes back to every upstream of the same account; None for itself
            alone. For replicas of one server, and for several ways to one vendor's account.
        capacity: How much it is asked at a time, all of its models together.
        deadlines: How long an attempt at it may take.
        may_drop: What may be left out of any request where it cannot be said in its dialect, by the names of
            :mod:`antiphon.engine.droppable`.
        price: What its models cost, all of them; None for what is published.
        sold_at: Base URLs by which whoever sells its models is known, the surest first; empty for models that nobody
            sells, such as one's own.
        secrets: What else *transport* sends and nobody else may see, such as the values of configured headers.

    Attributes:
        marks: Hashes of its configured models, by their names, for whoever shares turns out by such.
        takes_cache_key: Whether it knows where to look for a beginning that it has seen by a key.
    """

    def __init__(
        self,
        name: str,
        provider: Provider,
        transport: Transport,
        *,
        base_url: str = "",
        models: Sequence[str] | None = None,
        context_window: int | None = None,
        credential: Secret | None = None,
        account: str | None = None,
        capacity: Capacity | None = None,
        deadlines: Deadlines = Deadlines(),  # noqa: B008 - it is frozen
        may_drop: Collection[str] = (),
        secrets: Collection[Secret] = (),
        price: Price | None = None,
        sold_at: Sequence[str] = (),
        clock: Callable[[], float],
    ) -> None:
        self.name = name
        self.provider = provider
        self.transport = transport
        self.base_url = base_url
        self.account = account or name
        self.capacity = capacity
        self.deadlines = deadlines
        self.price = price
        self.sold_at = tuple(sold_at)
        self.marks: dict[str, int] = {}
        self.may_drop = check_names(may_drop)
        self.takes_cache_key = isinstance(provider, CacheKeyed) and provider.takes_cache_key
        self._configured = None if models is None else [_model(model) for model in models]
        self._context_window = context_window
        self._secrets = _telling([*secrets] if credential is None else [credential, *secrets])
        self._clock = clock
        self._known: list[JsonObject] | None = self._configured
        self._cannot_list = False
        self._read_at = float("-inf")
        self._asking = asyncio.Lock()

    @property
    def known_models(self) -> list[JsonObject]:
        """The models that were listed last, without asking."""
        return self._known or []

    @property
    def needs_names(self) -> bool:
        """Whether it can only be asked for models that are configured, and none are with it."""
        return self._configured is None and self.provider.list_models() is None

    @property
    def serves_any_model(self) -> bool:
        """Whether it was asked and cannot list its models."""
        return self._cannot_list

    def context_window(self, model: str) -> int | None:
        """How many tokens *model* takes, as it is configured or was listed last; None if nobody said."""
        if self._context_window is not None:
            return self._context_window
        return next((known.get("context_window") for known in self.known_models if known["id"] == model), None)

    def conceal(self, error: UpstreamError) -> None:
        """Mask the credential and other secrets where the upstream has put one into what *error* tells the client."""
        if self._secrets:
            error.message = self._masked(error.message)
            error.args = (error.message,)
            error.code = error.code and self._masked(error.code)
            error.param = error.param and self._masked(error.param)

    async def models(self, *, max_age_s: float) -> list[JsonObject]:
        """
        The models, asked for again if the last list is older than *max_age_s*.

        Raises:
            UpstreamError: It cannot be asked, and no list is known.
        """
        if self._configured is not None:
            return self._configured
        async with self._asking:
            if self._clock() - self._read_at > max_age_s:
                try:
                    self._known = await self._ask()
                except UpstreamError:
                    if self._known is None:
                        raise
                self._read_at = self._clock()
        return self.known_models

    @property
    def is_asked(self) -> bool:
        """Whether :meth:`probe` asks it: not where its models are configured, or its dialect cannot list them."""
        return self._configured is None and self.provider.list_models() is not None

    async def probe(self) -> list[str]:
        """
        The names of its models, asked for now.

        Raises:
            UpstreamError: It cannot be asked.
        """
        listed = self._configured if self._configured is not None else await self._ask()
        self._known = listed
        return [model["id"] for model in listed]

    def _masked(self, text: str) -> str:
        for secret in self._secrets:
            text = _without(text, secret)
        return text

    async def _ask(self) -> list[JsonObject]:
        listing = self.provider.list_models()
        if listing is None:
            return []
        reply = await self.transport.send(listing)
        try:
            body = await reply.read_all(_MODELS_LIMIT_BYTES)
            self._cannot_list = reply.status in _CANNOT_LIST
            if self._cannot_list:
                return []
            if reply.status >= 300:
                raise self.provider.error(reply.status, reply.headers, body, upstream=self.name)
            return self.provider.decode_models(body)
        except UpstreamError as error:
            self.conceal(error)
            raise
        finally:
            await reply.close()


def _telling(secrets: Iterable[Secret]) -> tuple[str, ...]:
    """What secrets say, each of those that are any; one that holds another comes first, so that all of it goes."""
    said = {secret.reveal() for secret in secrets}
    said |= {words[1] for value in said if len(words := value.split()) == 2}  # what follows "Bearer" is one by itself
    return tuple(sorted((value for value in said if len(value) >= _SHORTEST_SECRET), key=len, reverse=True))


def _without(text: str, secret: str) -> str:
    text = text.replace(secret, "***")
    shown = text.removesuffix("…")
    if shown != text:  # what an upstream said was too long: the cut may have gone through the middle of the secret
        for size in range(len(secret) - 1, 2, -1):
            if shown.endswith(secret[:size]):
                return f"{shown[:-size]}***…"
    return text


def _model(name: str) -> JsonObject:
    return {"id": name, "object": "model", "created": 0, "owned_by": "antiphon"}
