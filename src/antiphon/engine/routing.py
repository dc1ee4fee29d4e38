"""
Routing: from the model name that a client asked for to the targets that are tried, in order.

A configured alias wins over a model of the same name. Of two upstreams with the same model the one that is listed first
serves it. Which of an alias' targets is whose first is :mod:`antiphon.engine.affinity`; which of them are asked at all,
and how often, is :mod:`antiphon.engine.attempts`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from antiphon.engine.target import Target, in_order
from antiphon.engine.upstreams import Upstream
from antiphon.hub.errors import ModelNotFound, UpstreamError
from antiphon.hub.items import JsonObject
from antiphon.hub.principal import Principal

__all__ = ["Router", "Target"]

# A name that nobody knows makes us ask the upstreams again, but not more often than this.
_ASK_AGAIN_S = 2.0
_LIST_MAX_AGE_S = 30.0


class Router:
    """
    Chooses targets.

    Args:
        aliases: Name to targets; see :class:`Target` for the order in which they are tried.

    Raises:
        ValueError: Some targets of an alias say their order and some do not; or nobody says which models an upstream
            has that cannot list them.
    """

    def __init__(self, upstreams: Sequence[Upstream], aliases: Mapping[str, Sequence[Target]]) -> None:
        self.upstreams = tuple(upstreams)
        self._aliases = {name: in_order(targets) for name, targets in aliases.items()}
        named = {target.upstream for targets in self._aliases.values() for target in targets}
        for upstream in self.upstreams:
            if upstream.needs_names and upstream not in named:
                raise ValueError(
                    f"The upstream '{upstream.name}' cannot list its models, and nobody says which it has: write them "
                    "under its 'models', or make it the target of an alias."
                )

    async def targets(self, model: str, principal: Principal | None = None) -> tuple[Target, ...]:
        """
        The targets for a model name, at least one, by their order.

        Args:
            principal: Who asks for it; None for a turn that was let in before.

        Raises:
            ModelNotFound: Nobody serves it, or the principal may not ask for it.
            UpstreamError: Nobody who could be asked serves it, and somebody could not be asked.
        """
        if principal is not None and not principal.may_ask_for(model):
            raise ModelNotFound(model)
        found = self._aliases.get(model) or self._known(model)
        if found:
            return found
        errors = await self._ask(max_age_s=_ASK_AGAIN_S)
        found = self._known(model)
        if found:
            return found
        if errors:
            raise errors[0]
        raise ModelNotFound(model)

    async def models(self) -> list[JsonObject]:
        """
        Every model that can be asked for: aliases first, then the upstreams' own, each name once.

        Raises:
            UpstreamError: There is nothing to list, and somebody could not be asked.
        """
        errors = await self._ask(max_age_s=_LIST_MAX_AGE_S)
        listed: dict[str, JsonObject] = {
            name: {"id": name, "object": "model", "created": 0, "owned_by": "antiphon"} for name in self._aliases
        }
        for upstream in self.upstreams:
            for model in upstream.known_models:
                listed.setdefault(model["id"], model)
        if errors and not listed:
            raise errors[0]
        return list(listed.values())

    async def close(self) -> None:
        """Close the ways to all upstreams."""
        for upstream in self.upstreams:
            await upstream.transport.close()
        for targets in self._aliases.values():
            for target in targets:
                if target.transport is not None:
                    await target.transport.close()

    def _known(self, model: str) -> tuple[Target, ...]:
        for upstream in self.upstreams:
            if any(known["id"] == model for known in upstream.known_models):
                return (Target(upstream, model),)
        return tuple(Target(upstream, model) for upstream in self.upstreams if upstream.serves_any_model)[:1]

    async def _ask(self, *, max_age_s: float) -> list[UpstreamError]:
        answers = await asyncio.gather(
            *(upstream.models(max_age_s=max_age_s) for upstream in self.upstreams), return_exceptions=True
        )
        errors = []
        for answer in answers:
            if isinstance(answer, UpstreamError):
                errors.append(answer)
            elif isinstance(answer, BaseException):
                raise answer
        return errors
