"""A model server within the process that answers with a fingerprint of all that it was told, whole or as a stream."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import orjson

from antiphon import Gateway, SQLiteSessionStore
from antiphon.engine.turn import TurnPolicy
from antiphon.engine.upstreams import Upstream
from antiphon.hub.upstream import UpstreamReply, UpstreamRequest
from antiphon.providers.openai_chat import provider
from antiphon.telemetry import Log
from antiphon.transport.replay import PreparedReply, ReplayReply
from tests.support.history_model import answer_to, said_in_messages
from tests.support.scripted_upstream import delta, finish, usage_body, whole

__all__ = ["MODEL", "EchoTransport", "echo_gateway"]

MODEL = "echo-1"


class EchoTransport:
    """Implements :class:`antiphon.hub.upstream.Transport`. Attributes: how many turns it was asked for."""

    def __init__(self) -> None:
        self.turns = 0

    async def send(self, request: UpstreamRequest) -> UpstreamReply:
        """Answer as it was asked."""
        self.turns += 1
        text = answer_to(said_in_messages(orjson.loads(request.body)["messages"]))
        words = len(text.split(" "))
        if not request.stream:
            return ReplayReply(PreparedReply(blocks=[orjson.dumps({**whole(text), "usage": usage_body(words)})]))
        parts = [delta(content=f"{word} ") for word in text.split(" ")[:-1]] + [delta(content=text.split(" ")[-1])]
        blocks = [delta(role="assistant", content=None), *parts, finish(output_tokens=words)]
        return ReplayReply(PreparedReply(headers={"content-type": "text/event-stream"}, blocks=blocks))

    async def close(self) -> None:
        """Nothing is held."""


def echo_gateway(store: Path | SQLiteSessionStore, **options: Any) -> Gateway:
    """A gateway with a SQLite store in front of it, sealed with the key file beside the store."""
    kept = store if isinstance(store, SQLiteSessionStore) else SQLiteSessionStore(store)
    upstream = Upstream("echo", provider({}), EchoTransport(), models=[MODEL], clock=time.monotonic)
    options = {"log": Log("error"), "policy": TurnPolicy(lease_ttl_s=5.0, publish_every_s=0.0), **options}
    return Gateway([upstream], store=kept, **options)
