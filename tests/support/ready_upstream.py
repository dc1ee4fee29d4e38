"""A model server within the process that always answers, in the form that was asked for; costs next to nothing."""

from __future__ import annotations

import time

import orjson

from antiphon import Gateway
from antiphon.engine.upstreams import Upstream
from antiphon.hub.upstream import UpstreamReply, UpstreamRequest
from antiphon.providers.openai_chat import provider
from antiphon.sessions.store import SessionStore
from antiphon.telemetry import Log
from antiphon.transport.replay import PreparedReply, ReplayReply
from tests.support.scripted_upstream import text_stream, whole

__all__ = ["MODEL", "ReadyTransport", "ready_gateway"]

MODEL = "m"


class ReadyTransport:
    """
    Implements :class:`antiphon.hub.upstream.Transport`.

    Attributes:
        turns: How many turns it was asked for.
    """

    def __init__(self, text: str = "Hello there.") -> None:
        self.turns = 0
        self._whole = PreparedReply(blocks=[orjson.dumps(whole(text))])
        self._stream = PreparedReply(headers={"content-type": "text/event-stream"}, blocks=[text_stream(text)])

    async def send(self, request: UpstreamRequest) -> UpstreamReply:
        """Answer as it was asked."""
        self.turns += 1
        return ReplayReply(self._stream if request.stream else self._whole)

    async def close(self) -> None:
        """Nothing is held."""


def ready_gateway(
    store: SessionStore | None, *, log: Log | None = None, **options: object
) -> tuple[Gateway, ReadyTransport]:
    """A gateway in front of it."""
    transport = ReadyTransport()
    upstream = Upstream("ready", provider({}), transport, models=[MODEL], clock=time.monotonic)
    return Gateway([upstream], store=store, log=log or Log("error"), **options), transport  # type: ignore[arg-type]  # options are Gateway's own
