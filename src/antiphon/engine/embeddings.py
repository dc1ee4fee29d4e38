"""
Embeddings: texts to vectors, at the first target that can. No turn takes place, and nothing is stored.

An upstream that takes fewer inputs in a request than a client gives is asked more than once. All vectors of an answer
are of one target: those of two models cannot be compared.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from decimal import Decimal
from math import isfinite

import msgspec

from antiphon.engine.answers import Answer, Question
from antiphon.engine.attempts import Asking, Attempts
from antiphon.engine.cost import Costs
from antiphon.engine.counting import estimate_text
from antiphon.engine.limits import Limiter
from antiphon.engine.replies import in_time
from antiphon.engine.routing import Router
from antiphon.engine.run import RunFacts
from antiphon.engine.target import Target
from antiphon.hub.embedding import EmbeddingRequest, Embeddings
from antiphon.hub.errors import ResponseTooLarge, UnsupportedParameter, UpstreamBroken, UpstreamError
from antiphon.hub.principal import Principal
from antiphon.hub.turn import ModelCall, TurnRequest
from antiphon.hub.upstream import Embeds
from antiphon.hub.usage import Usage

__all__ = ["Embedder", "Embedding"]


class Embedding(msgspec.Struct, frozen=True, kw_only=True):
    """
    What came of a request.

    Attributes:
        vectors: One for each input, in their order.
        input_tokens: What the upstream counted, or an estimate where it did not.
    """

    vectors: tuple[Sequence[float], ...]
    input_tokens: int


class Embedder:
    """
    Asks for embeddings. One for all requests of a gateway.

    Args:
        max_bytes: The longest answer, of however many requests it is.
    """

    def __init__(self, *, router: Router, attempts: Attempts, limiter: Limiter, costs: Costs, max_bytes: int) -> None:
        self._router = router
        self._attempts = attempts
        self._limiter = limiter
        self._costs = costs
        self._max_bytes = max_bytes

    async def embed(self, request: EmbeddingRequest, principal: Principal, facts: RunFacts) -> Embedding:
        """
        The vectors of a request.

        Args:
            facts: Filled in, also if there are none: what the answer's headers tell.

        Raises:
            ModelNotFound: Nobody serves the model, or the principal may not ask for it.
            UnsupportedParameter: No target of it embeds, or can be told what is asked for.
            TooManyRequests: The caller has used what it may.
            ResponseTooLarge: The vectors are more than *max_bytes*.
            UpstreamError: No target answered.
        """
        facts.alias = request.model
        with self._limiter.admit(principal) as admission:
            targets = await self._router.targets(request.model, principal)
            admission.reserve(_estimate(request.inputs))
            asked = _Asked(request, self._attempts.asking(targets), max_bytes=self._max_bytes)
            try:
                target, found = await asked.first(facts)
            finally:
                facts.attempts, facts.left = asked.asking.sent, tuple(asked.asking.left)
                # Of one that broke off, too: whoever leaves before the last of many requests has used the others.
                admission.settle(sum(part.input_tokens for part in asked.used))
        facts.upstream = target.upstream.name
        facts.cost = await self._cost(asked.used)
        tokens = _estimate(request.inputs) if found.input_tokens is None else found.input_tokens
        return Embedding(vectors=found.vectors, input_tokens=tokens)

    async def _cost(self, used: Iterable[_Used]) -> Decimal | None:
        cost = Decimal(0)
        for part in used:
            usage = Usage(input_tokens=part.input_tokens)
            # Nobody is asked to pay for an estimate.
            of_part = await self._costs.of(part.target, usage) if part.is_counted else None
            if of_part is None:
                return None
            cost += of_part
        return cost


class _Used(msgspec.Struct, frozen=True, kw_only=True):
    """What one request has used that was answered."""

    target: Target
    input_tokens: int
    is_counted: bool


class _Asked:
    """
    One request on its way through its targets.

    Attributes:
        used: By every request that was answered, also by those to a target that then failed.
    """

    def __init__(self, request: EmbeddingRequest, asking: Asking, *, max_bytes: int) -> None:
        self._request = request
        self._max_bytes = max_bytes
        self._began_s = time.monotonic()
        self._received_bytes = 0
        self.asking = asking
        self.used: list[_Used] = []

    async def first(self, facts: RunFacts) -> tuple[Target, Embeddings]:
        """What the first target that embeds has answered, and which it is."""

        async def put(target: Target) -> tuple[Target, Embeddings]:
            provider = target.upstream.provider
            if not isinstance(provider, Embeds):
                raise _embeds_nothing(target)
            return target, await self._embeddings(target, provider, facts)

        return await self.asking.first(put)

    async def _embeddings(self, target: Target, provider: Embeds, facts: RunFacts) -> Embeddings:
        """All inputs' vectors, in as many requests as that takes."""
        inputs = self._request.inputs
        at_once = provider.max_inputs(target.model)
        found: list[Embeddings] = []
        facts.not_applied = ()
        self._received_bytes = 0
        # Answers are let go of together: with the first one the place beside other requests would be gone.
        async with AsyncExitStack() as answers:
            for start in range(0, len(inputs), at_once):
                part = msgspec.structs.replace(
                    self._request, model=target.model, inputs=inputs[start : start + at_once]
                )
                question = _question(target, provider, part)
                facts.not_applied = question.request.not_applied
                facts.overhead_s = facts.overhead_s or time.monotonic() - self._began_s
                answer = await self.asking.send(question)
                answers.push_async_callback(answer.close)
                found.append(await in_time(answer, self._read(answer, provider, part)))
        counts = [part.input_tokens for part in found if part.input_tokens is not None]
        return Embeddings(
            vectors=tuple(vector for part in found for vector in part.vectors),
            input_tokens=sum(counts) if len(counts) == len(found) else None,
        )

    async def _read(self, answer: Answer, provider: Embeds, part: EmbeddingRequest) -> Embeddings:
        name = answer.target.upstream.name
        try:
            body = await answer.reply.read_all(self._max_bytes)
            self._received_bytes += len(body)
            found = provider.decode_embeddings(body, answer.reply.headers)
            _check(found, wanted=len(part.inputs), upstream=name)
        except UpstreamError as error:
            answer.target.upstream.conceal(error)
            answer.broke_off(error)
            raise
        answer.ended()
        counted = found.input_tokens
        tokens = _estimate(part.inputs) if counted is None else counted
        self.used.append(_Used(target=answer.target, input_tokens=tokens, is_counted=counted is not None))
        if self._received_bytes > self._max_bytes:
            raise ResponseTooLarge(
                f"The vectors are more than max_response_bytes ({self._max_bytes} bytes). Ask for fewer inputs at once."
            )
        return found


def _check(found: Embeddings, *, wanted: int, upstream: str) -> None:
    if len(found.vectors) != wanted:
        raise UpstreamBroken(f"The upstream '{upstream}' answered {len(found.vectors)} vectors to {wanted} inputs.")
    # A sum is finite only if every number is; those that are not can come in base64, and JSON has no words for them.
    if not all(len(vector) and isfinite(sum(vector)) for vector in found.vectors):
        raise UpstreamBroken(f"The upstream '{upstream}' answered a vector that is empty, or has what is no number.")


def _question(target: Target, provider: Embeds, request: EmbeddingRequest) -> Question:
    """A question without a turn: of its call nothing is looked at but that it does not stream."""
    call = ModelCall(
        model=target.model,
        account=target.upstream.account,
        items=(),
        input_start=0,
        request=TurnRequest(model=request.model),
        stream=False,
    )
    return Question(target=target, call=call, request=provider.embed(request))


def _estimate(inputs: Iterable[str | tuple[int, ...]]) -> int:
    return sum(estimate_text(one) if isinstance(one, str) else len(one) for one in inputs)


def _embeds_nothing(target: Target) -> UnsupportedParameter:
    upstream = target.upstream
    return UnsupportedParameter(
        f"The upstream '{upstream.name}' has no embeddings: its dialect, '{upstream.provider.dialect}', knows none. "
        "Ask for a model of another upstream.",
        param="model",
    )
