"""The tenant's secret, and what is hashed under it."""

from __future__ import annotations

import asyncio

from antiphon.sessions.keys import KeyedRequest
from tests.sessions.stage import ACME, GLOBEX, Stage


async def test_the_secret_is_made_once(stage: Stage) -> None:
    """Whoever comes first makes it, however many come at once, and everybody is given that one."""
    states = [stage.another().for_tenant(ACME) for _ in range(5)]
    secrets = await asyncio.gather(*(state.secret() for state in states))
    assert len(set(secrets)) == 1
    assert len(secrets[0]) == 32


async def test_a_tenant_has_a_secret_of_its_own(stage: Stage) -> None:
    """So what is hashed for one says nothing about another."""
    assert await stage.acme.secret() != await stage.sessions.for_tenant(GLOBEX).secret()


async def test_the_secret_stays_in_its_payload(stage: Stage) -> None:
    """The store has a payload and not the secret itself, unless the payload is plain."""
    secret = await stage.acme.secret()
    payload = await stage.store.for_tenant(ACME).read_secret()
    assert payload is not None
    assert secret not in payload
    assert (secret.hex().encode() in payload) == (payload[:1] == b"\x00")


async def test_a_keyed_request_is_known_again_by_another_process(stage: Stage) -> None:
    """Key and request are hashed under the secret: alike everywhere for one tenant, and for no other."""
    request = KeyedRequest("key", "POST /v1/responses", {"model": "m"})
    hashes = await stage.acme.keys.hashes(request)
    assert await stage.another().for_tenant(ACME).keys.hashes(request) == hashes
    assert await stage.sessions.for_tenant(GLOBEX).keys.hashes(request) != hashes
