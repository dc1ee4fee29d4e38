"""Turns in a store of a file, as a gateway makes them, in front of prepared replies."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from antiphon import Gateway, Principal, SQLiteSessionStore
from antiphon.engine.upstreams import Upstream
from antiphon.hub.ids import TenantId
from antiphon.providers.openai_chat import provider
from antiphon.telemetry import Log
from antiphon.transport.replay import PreparedReply, ReplayTransport
from tests.support.scripted_upstream import whole

__all__ = ["gateway_on", "turns"]


def gateway_on(path: Path, answers: Sequence[str], **options: Any) -> Gateway:
    """A gateway on a file that answers with these words."""
    replies = [PreparedReply(blocks=[orjson.dumps(whole(answer))]) for answer in answers]
    upstream = Upstream("prepared", provider({}), ReplayTransport(replies), models=["m"], clock=time.monotonic)
    return Gateway([upstream], store=SQLiteSessionStore(path), log=Log("error"), **options)


async def turns(path: Path, tenant: str, *said: str, **fields: Any) -> list[str]:
    """Make a chain of turns for a tenant. Returns their ids."""
    principal = Principal(tenant=TenantId(tenant))
    ids: list[str] = []
    async with gateway_on(path, [f"answer to {text}" for text in said]) as gateway:
        for text in said:
            previous = {"previous_response_id": ids[-1]} if ids else {}
            response = await gateway.respond({"model": "m", "input": text, **previous, **fields}, principal)
            ids.append(str(response["id"]))
    return ids
