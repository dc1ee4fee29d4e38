"""
Embeddings: texts to vectors, at the first target that can. No turn takes place, and nothing is stored.

An upstream that takes fewer inputs in a request than a client gives is asked more than once. All vectors of an answer
are of one target: those of two models cannot be compared.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

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
from antiphon.hub.errors import UnsupportedParameter, UpstreamBroken, UpstreamError
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
        max_bytes: The longest answer of an upstream.
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
            UpstreamError: No target answered.
        """
        facts.alias = request.model
        with self._limiter.admit(principal) as admission:
            targets = await self._router.targets(request.model, principal)
            estimate = _estimate(request)
            admission.reserve(estimate)
            asked = _Asked(request, self._attempts.asking(targets), max_bytes=self._max_bytes)
            try:
                target, found = await asked.first(facts)
            finally:
                facts.attempts, facts.left = asked.asking.sent, tuple(asked.asking.left)
            tokens = estimate if found.input_tokens is None else found.input_tokens
            admission.settle(tokens)
        facts.upstream = target.upstream.name
        if found.input_tokens is not None:  # nobody is asked to pay for an estimate
            facts.cost = await self._costs.of(target, Usage(input_tokens=tokens))
        return Embedding(vectors=found.vectors, input_tokens=tokens)


class _Asked:
    """One request on its way through its targets."""

    def __init__(self, request: EmbeddingRequest, asking: Asking, *, max_bytes: int) -> None:
        self._request = request
        self._max_bytes = max_bytes
        self._began_s = time.monotonic()
        self.asking = asking

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
                found.append(await in_time(answer, self._read(answer, provider, len(part.inputs))))
        counts = [part.input_tokens for part in found if part.input_tokens is not None]
        return Embeddings(
            vectors=tuple(vector for part in found for vector in part.vectors),
            input_tokens=sum(counts) if len(counts) == len(found) else None,
        )

    async def _read(self, answer: Answer, provider: Embeds, wanted: int) -> Embeddings:
        name = answer.target.upstream.name
        try:
            body = await answer.reply.read_all(self._max_bytes)
            found = provider.decode_embeddings(body, answer.reply.headers)
            if len(found.vectors) != wanted:
                raise UpstreamBroken(f"The upstream '{name}' answered {len(found.vectors)} vectors to {wanted} inputs.")
        except UpstreamError as error:
            answer.target.upstream.conceal(error)
            answer.broke_off(error)
            raise
        answer.ended()
        return found


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


def _estimate(request: EmbeddingRequest) -> int:
    return sum(estimate_text(one) if isinstance(one, str) else len(one) for one in request.inputs)


def _embeds_nothing(target: Target) -> UnsupportedParameter:
    upstream = target.upstream
    return UnsupportedParameter(
        f"The upstream '{upstream.name}' has no embeddings: its dialect, '{upstream.provider.dialect}', knows none. "
        "Ask for a model of another upstream.",
        param="model",
    )
