"""
Contexts: what a model is given of a tenant's turn, and the requests that are about a context alone.

Brings together the compaction items of a tenant with the secret that they are sealed under.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import msgspec

from antiphon.crypto import Sealer
from antiphon.engine.affinity import ranked, seed_of_turn, stands_in_log
from antiphon.engine.asked import with_private
from antiphon.engine.attempts import Attempts
from antiphon.engine.checkpoints import CheckpointSeal, expand
from antiphon.engine.compaction import Compactor, compact_body, nothing_to_compact
from antiphon.engine.context import Context
from antiphon.engine.counting import Count, count_input
from antiphon.engine.remote import of_turn
from antiphon.engine.routing import Router
from antiphon.engine.run import RunFacts
from antiphon.engine.summary import Summariser
from antiphon.engine.target import Target
from antiphon.engine.turn import TurnPolicy
from antiphon.hub.ids import IdFactory, TenantId
from antiphon.hub.items import JsonObject, Private, has_type
from antiphon.hub.principal import Principal
from antiphon.hub.turn import TurnRequest
from antiphon.sessions.resolve import ResolvedTurn, resolve_stateless
from antiphon.sessions.secret import keyed_hash
from antiphon.sessions.sessions import Sessions

__all__ = ["Contexts"]

_CACHE_KEY = b"prompt cache key"
# 128 bits; OpenAI takes keys of 64 characters.
_CACHE_KEY_CHARS = 32

_NOTHING_PRIVATE: Mapping[int, Private] = MappingProxyType({})


class Contexts:
    """
    Args:
        sessions: None for a stateless gateway, whose compaction items can be opened for as long as it runs.
    """

    def __init__(
        self,
        *,
        router: Router,
        sessions: Sessions | None,
        ids: IdFactory,
        clock: Callable[[], float],
        policy: TurnPolicy,
        attempts: Attempts,
    ) -> None:
        self._router = router
        self._sessions = sessions
        self._ids = ids
        self._clock = clock
        self._policy = policy
        self._attempts = attempts
        self._own_secret = os.urandom(32)

    async def context(self, resolved: ResolvedTurn) -> Context:
        """
        What the model is given of a turn.

        Raises:
            InvalidEncryptedContent: A compaction item in it is not this tenant's.
            UnsupportedParameter: There is a URL of content in it, and they are refused.
        """
        context = await self._expanded(resolved)
        if self._policy.remote is not None:
            self._policy.remote.check(context.items, input_start=context.input_start)
        return context

    async def _expanded(self, resolved: ResolvedTurn) -> Context:
        items = resolved.items
        if not has_type(items, "compaction"):
            return Context(items=items, input_items=len(resolved.input))
        return expand(items, await self.seal(resolved.tenant), input_items=len(resolved.input))

    async def compactor(
        self, request: TurnRequest, context: Context, resolved: ResolvedTurn, targets: Sequence[Target]
    ) -> Compactor | None:
        """
        What a turn compacts its context with; None for one that does not.

        Raises:
            InvalidRequest: The turn is asked to compact nothing.
        """
        if request.compacts and not context.items:
            raise nothing_to_compact()
        if not request.compacts and not request.context_management:
            return None
        return await self._compactor(targets, resolved)

    async def _compactor(self, targets: Sequence[Target], resolved: ResolvedTurn) -> Compactor:
        summariser = Summariser(
            targets,
            ids=self._ids,
            family=resolved.family,
            attempts=self._attempts,
            max_bytes=self._policy.max_response_bytes,
            remote=of_turn(self._policy.remote, resolved.tenant),
            costs=self._policy.costs,
        )
        seal = await self.seal(resolved.tenant)
        return Compactor(summariser, seal, ids=self._ids, family=resolved.family)

    async def seal(self, tenant: TenantId) -> CheckpointSeal:
        """What a tenant's compaction items are written and read with."""
        secret = await self._sessions.for_tenant(tenant).secret() if self._sessions else self._own_secret
        return CheckpointSeal(Sealer(secret), tenant)

    async def cache_key(self, request: TurnRequest, resolved: ResolvedTurn) -> str | None:
        """
        What an upstream may find by what it has cached of a turn's log: a keyed hash, which tells nothing of it.

        None if the client gave a key of its own, or the turn stands in no log: a key that never comes again would keep
        an upstream from finding what other requests have in common.
        """
        if request.prompt_cache_key is not None or not stands_in_log(request, resolved):
            return None
        secret = await self._sessions.for_tenant(resolved.tenant).secret() if self._sessions else self._own_secret
        return keyed_hash(secret, _CACHE_KEY, resolved.family.encode()).hex()[:_CACHE_KEY_CHARS]

    async def compact(self, request: TurnRequest, principal: Principal, facts: RunFacts) -> JsonObject:
        """
        ``POST /v1/responses/compact``: a context's user messages and a summary of all of it. Nothing is stored.

        Args:
            facts: Filled in with what was not applied.

        Raises:
            AntiphonError: As for a turn; or the model wrote no summary.
        """
        targets = await self._router.targets(request.model, principal)
        resolved = await self._resolve(request, principal)
        targets = ranked(targets, seed_of_turn(request, resolved))
        compactor = await self._compactor(targets, resolved)
        compacted = await compactor.compact_retaining_users(await self.context(resolved), request)
        facts.not_applied = compacted.not_applied
        return compact_body(compacted, id=self._ids.response(resolved.family), created_at=int(self._clock()))

    async def count(
        self, request: TurnRequest, principal: Principal, *, private: Mapping[int, Private] = _NOTHING_PRIVATE
    ) -> Count:
        """
        ``POST /v1/responses/input_tokens``: how long the input of a turn would be.

        Args:
            private: See :class:`~antiphon.hub.format.DialectTurn`.

        Raises:
            AntiphonError: As for a turn.
        """
        targets = await self._router.targets(request.model, principal)
        resolved = with_private(await self._resolve(request, principal), private)
        context = await self.context(resolved)
        return await count_input(
            ranked(targets, seed_of_turn(request, resolved)),
            request,
            context.items,
            attempts=self._attempts,
            input_start=context.input_start,
            remote=of_turn(self._policy.remote, principal.tenant),
        )

    async def _resolve(self, request: TurnRequest, principal: Principal) -> ResolvedTurn:
        if self._sessions is None:
            return await resolve_stateless(request, self._ids, principal.tenant)
        request = msgspec.structs.replace(request, store=False)  # it reads, and locks nothing
        return await self._sessions.for_tenant(principal.tenant).resolve(request)
