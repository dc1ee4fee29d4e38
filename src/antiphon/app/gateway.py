"""The gateway for programs that embed one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Self

from antiphon.app.prices import costs_of
from antiphon.app.sealing import administration_of, codec_of
from antiphon.crypto.codec import SealingCodec, UnsealedCodec
from antiphon.crypto.services import KeyService
from antiphon.engine.administration import SYSTEM, Administration
from antiphon.engine.audit import AuditMode
from antiphon.engine.directory import DirectoryCache
from antiphon.engine.gateway import Gateway as Engine
from antiphon.engine.plan import BackgroundPolicy
from antiphon.engine.routing import Router, Target
from antiphon.engine.turn import TurnPolicy
from antiphon.engine.upstreams import Upstream
from antiphon.engine.webhooks import WebhookPolicy
from antiphon.formats.chat import ChatFormat
from antiphon.formats.chat.completions import CompletionsFormat
from antiphon.formats.chat.embedding_format import OpenAIEmbeddings
from antiphon.formats.chat.stored import StoredChat
from antiphon.formats.messages import MessagesFormat
from antiphon.formats.responses import ResponsesFormat
from antiphon.hub.api_key import Environment
from antiphon.hub.format import ClientDialects
from antiphon.hub.ids import IdFactory
from antiphon.hub.turn import OnDisconnect
from antiphon.server.admin import AdminEdge
from antiphon.server.asgi import Edge
from antiphon.server.auth import ApiKeys, Authenticator, KeylessUntilFirstKey, NoKeys, Tokens
from antiphon.server.body import BodyLimits
from antiphon.server.guard import Guard
from antiphon.server.sse import StreamLimits
from antiphon.server.ws_lanes import SocketLimits
from antiphon.sessions.sessions import Sessions
from antiphon.sessions.store import SessionStore
from antiphon.telemetry import Log

__all__ = ["Gateway"]


class Gateway(Engine):
    """
    A gateway for programs that embed one. The same engine that the server runs.

        gateway = Gateway([upstream("http://127.0.0.1:9000/v1")])
        gateway = gateway.with_session_store(SQLiteSessionStore("antiphon.db"))
        response = await gateway.respond({"model": "m", "input": "hi"})
        async for event in gateway.stream({"model": "m", "input": "and?", "previous_response_id": response["id"]}): ...
        app = gateway.asgi()

    Args:
        upstreams: Of two that serve the same model, the first one does.
        aliases: A model name and the targets that are tried for it, in order.
        store: None for a stateless gateway, which refuses every parameter that needs state.
        sealing: The key service that has the root key; ``"none"`` keeps everything in the clear. None takes the file
            ``STORE.key`` beside a SQLite store, which is made with the store, and for a store in memory a key that dies
            with the process.
        retention_days: Responses are unknown after so many days; None keeps them.
        on_disconnect: What a foreground turn does when the last one that followed it has gone. Not looked at if a
            *policy* is given, which says it too.
        policy: How turns are run; None for the defaults.
        background: How many background turns are carried out at once, and how many may wait.
        webhooks: Who is told that a background response has ended.
        audit: What is written into the tenants' audit trails.
        dialects: What :meth:`asgi` serves besides the Responses API; None for all that there are, as they come.
        log: None writes what is not as it should be to stderr, and nothing about turns that went well.
        clock: Seconds since the epoch, UTC.

    Attributes:
        administration: Tenants and API keys; None without a store. Its store is open once the gateway was started.
        directory: What requests ask about tenants and API keys; None without a store.

    Raises:
        ValueError: It cannot be told what the store is to be sealed with.

    Note:
        It begins its work with the first call, in the event loop of that call. End it with :meth:`shutdown`, or use it
        as ``async with gateway:``.
    """

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        *,
        aliases: Mapping[str, Sequence[Target]] | None = None,
        store: SessionStore | None = None,
        sealing: KeyService | Literal["none"] | None = None,
        retention_days: float | None = 30,
        max_history_items: int | None = 20_000,
        on_disconnect: OnDisconnect = "cancel",
        policy: TurnPolicy | None = None,
        background: BackgroundPolicy | None = None,
        webhooks: WebhookPolicy | None = None,
        audit: AuditMode = "all",
        format: ResponsesFormat | None = None,  # noqa: A002 - the field's own word
        dialects: ClientDialects | None = None,
        log: Log | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._built_from: dict[str, Any] = {
            "aliases": aliases,
            "sealing": sealing,
            "retention_days": retention_days,
            "max_history_items": max_history_items,
            "on_disconnect": on_disconnect,
            "policy": policy,
            "background": background,
            "webhooks": webhooks,
            "audit": audit,
            "format": format,
            "dialects": dialects,
            "log": log,
            "clock": clock,
        }
        self._responses = format or ResponsesFormat()
        self._dialects = dialects or ClientDialects(
            chat=ChatFormat(), completions=CompletionsFormat(), messages=MessagesFormat()
        )
        ids, log = IdFactory(clock), log or Log("warning")
        sessions = None
        self.codec: SealingCodec | UnsealedCodec | None = None
        if store is not None:
            self.codec = codec_of(store, sealing, clock=clock, log=log)
            sessions = Sessions(
                store,
                ids=ids,
                clock=clock,
                codec=self.codec,
                retention_days=retention_days,
                max_history_items=max_history_items,
            )
        super().__init__(
            router=Router(upstreams, aliases or {}),
            format=self._responses,
            sessions=sessions,
            ids=ids,
            clock=clock,
            log=log,
            policy=policy or TurnPolicy(cancel_on_disconnect=on_disconnect == "cancel", costs=costs_of(log, clock)),
            background=background,
            webhooks=webhooks,
            audit=audit,
        )
        self.administration: Administration | None = None
        self.directory: DirectoryCache | None = None
        if sessions is not None and self.codec is not None:
            self.administration = administration_of(sessions, self.codec, clock=clock, log=log)
            # Who calls is asked before anything else, and a program that mounts us may run no lifespan.
            self.directory = DirectoryCache(
                sessions.store,
                clock=time.monotonic,
                has_made_keys=self.administration.has_made_keys,
                ready=self.startup,
                log=log,
            )

    @property
    def store(self) -> SessionStore | None:
        """Where its state is kept."""
        return None if self._sessions is None else self._sessions.store

    def with_session_store(self, store: SessionStore) -> Gateway:
        """The same gateway with state. Use the one that is returned."""
        return Gateway(self.router.upstreams, store=store, **self._built_from)

    def api_keys(self, *, environment: Environment = "live", tokens: Tokens | None = None) -> Authenticator:
        """
        What asks for an API key of the store.

        Args:
            environment: Tenants' keys, or administrators'.
            tokens: What is asked about bearer tokens that are no API keys.

        Raises:
            ValueError: There is no store.
        """
        if self._sessions is None or self.directory is None:
            raise ValueError("A gateway without a session store has no API keys.")
        pepper = self._sessions.for_tenant(SYSTEM).secret
        return ApiKeys(self.directory, pepper=pepper, clock=self._clock, environment=environment, tokens=tokens)

    def asgi(
        self,
        *,
        authenticator: Authenticator | None = None,
        guard: Guard | None = None,
        body_limits: BodyLimits | None = None,
        stream_limits: StreamLimits | None = None,
        socket_limits: SocketLimits | None = None,
        drain_timeout_s: float = 30.0,
    ) -> Edge:
        """
        The gateway as an ASGI application, to be served or mounted. Its lifespan, if run, is the gateway's life.

        Args:
            authenticator: Who says who calls. None asks for an API key as soon as the store has one, and lets everybody
                in as the tenant ``default`` until then.
        """

        async def shutdown() -> None:
            await self.shutdown(drain_timeout_s)

        return Edge(
            self,
            self._responses,
            self._dialects,
            StoredChat(),
            embeddings=OpenAIEmbeddings(),
            authenticator=authenticator or self._by_default(),
            guard=guard,
            body_limits=body_limits,
            stream_limits=stream_limits,
            socket_limits=socket_limits,
            on_startup=self.startup,
            on_shutdown=shutdown,
        )

    def admin_asgi(self, *, guard: Guard | None = None) -> AdminEdge:
        """
        The administrators' API as an ASGI application, for a listener of its own. It always asks for their key, and
        runs within the gateway's life.

        Raises:
            ValueError: There is no store.
        """
        if self.administration is None:
            raise ValueError("A gateway without a session store has nothing to administer.")
        return AdminEdge(
            self.administration,
            authenticator=self.api_keys(environment="admin"),
            guard=guard or Guard(),
            new_request_id=self.ids.request,
            log=self.log,
        )

    def _by_default(self) -> Authenticator:
        return NoKeys() if self.directory is None else KeylessUntilFirstKey(self.directory, self.api_keys())

    async def shutdown(self, drain_timeout_s: float = 30.0) -> None:
        """See :meth:`antiphon.engine.gateway.Gateway.shutdown`."""
        await self.end_turns(drain_timeout_s)
        if self.administration is not None and self.directory is not None:
            await self.administration.close()
            await self.directory.close()
        await super().shutdown(0.0)

    async def __aenter__(self) -> Self:
        await self.startup()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.shutdown()
