"""
The composition root: settings to adapters to engine to ASGI. The only place that names adapters.

Two ways in. A program builds a :class:`Gateway` from upstreams and a store. The command line builds an
:class:`Application` from settings.
"""

from __future__ import annotations

import importlib
import pkgutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, cast

from antiphon import providers
from antiphon.engine.gateway import Gateway as Engine
from antiphon.engine.plan import BackgroundPolicy
from antiphon.engine.routing import Router, Target
from antiphon.engine.turn import TurnPolicy
from antiphon.engine.upstreams import Upstream
from antiphon.engine.webhooks import Receiver, WebhookPolicy
from antiphon.formats.responses import ResponsesFormat
from antiphon.hub.ids import IdFactory
from antiphon.hub.turn import OnDisconnect
from antiphon.hub.upstream import Provider
from antiphon.server.asgi import Edge
from antiphon.server.body import BodyLimits
from antiphon.server.guard import Guard
from antiphon.server.sse import StreamLimits
from antiphon.server.ws_lanes import SocketLimits
from antiphon.sessions.sessions import Sessions
from antiphon.sessions.store import SessionStore
from antiphon.settings import Secret, Settings, TimeoutSettings, UpstreamSettings, WebhookSettings, webhook_key
from antiphon.stores.memory import InMemorySessionStore
from antiphon.stores.sqlite import SQLiteSessionStore
from antiphon.telemetry import Log
from antiphon.transport.http import HttpTransport
from antiphon.transport.post import HttpPost
from antiphon.version import VERSION

__all__ = ["Application", "Gateway", "build_application", "check_quirks", "dialects", "open_store", "upstream"]


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
        retention_days: Responses are unknown after so many days; None keeps them.
        on_disconnect: What a foreground turn does when the last one that followed it has gone. Not looked at if a
            *policy* is given, which says it too.
        policy: How turns are run; None for the defaults.
        background: How many background turns are carried out at once, and how many may wait.
        webhooks: Who is told that a background response has ended.
        log: None writes what is not as it should be to stderr, and nothing about turns that went well.
        clock: Seconds since the epoch, UTC.

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
        retention_days: float | None = 30,
        on_disconnect: OnDisconnect = "cancel",
        policy: TurnPolicy | None = None,
        background: BackgroundPolicy | None = None,
        webhooks: WebhookPolicy | None = None,
        format: ResponsesFormat | None = None,  # noqa: A002 - the field's own word
        log: Log | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._built_from: dict[str, Any] = {
            "aliases": aliases,
            "retention_days": retention_days,
            "on_disconnect": on_disconnect,
            "policy": policy,
            "background": background,
            "webhooks": webhooks,
            "format": format,
            "log": log,
            "clock": clock,
        }
        self._responses = format or ResponsesFormat()
        ids = IdFactory(clock)
        super().__init__(
            router=Router(upstreams, aliases or {}),
            format=self._responses,
            sessions=Sessions(store, ids=ids, clock=clock, retention_days=retention_days)
            if store is not None
            else None,
            ids=ids,
            clock=clock,
            log=log or Log("warning"),
            policy=policy or TurnPolicy(cancel_on_disconnect=on_disconnect == "cancel"),
            background=background,
            webhooks=webhooks,
        )

    def with_session_store(self, store: SessionStore) -> Gateway:
        """The same gateway with state. Use the one that is returned."""
        return Gateway(self.router.upstreams, store=store, **self._built_from)

    def asgi(
        self,
        *,
        guard: Guard | None = None,
        body_limits: BodyLimits | None = None,
        stream_limits: StreamLimits | None = None,
        socket_limits: SocketLimits | None = None,
        drain_timeout_s: float = 30.0,
    ) -> Edge:
        """The gateway as an ASGI application, to be served or mounted. Its lifespan, if run, is the gateway's life."""

        async def shutdown() -> None:
            await self.shutdown(drain_timeout_s)

        return Edge(
            self,
            self._responses,
            guard=guard,
            body_limits=body_limits,
            stream_limits=stream_limits,
            socket_limits=socket_limits,
            on_startup=self.startup,
            on_shutdown=shutdown,
        )

    async def __aenter__(self) -> Self:
        await self.startup()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.shutdown()


def upstream(
    base_url: str,
    *,
    name: str = "upstream",
    api_key: str | None = None,
    provider: str | Provider = "openai_chat",
    models: Sequence[str] | None = None,
    timeouts: TimeoutSettings | None = None,
    context_window: int | None = None,
    **quirks: Any,
) -> Upstream:
    """
    An upstream that is reached over HTTP.

    Args:
        base_url: Up to and including the version, such as ``http://127.0.0.1:9000/v1``.
        name: Shown in headers, logs and errors.
        api_key: Sent as a bearer token.
        provider: A dialect's name, or a provider of your own.
        models: What it serves; None asks it.
        context_window: How many tokens its models take; None for what it lists.
        quirks: Its deviations from the dialect, as the dialect names them.

    Raises:
        ValueError: An unknown dialect or quirk.
    """
    credential = Secret(api_key) if api_key else None
    return Upstream(
        name,
        _provider(provider, quirks) if isinstance(provider, str) else provider,
        HttpTransport(name, base_url, credential=credential, timeouts=timeouts),
        base_url=base_url,
        models=models,
        context_window=context_window,
        clock=time.monotonic,
    )


def dialects() -> list[str]:
    """The dialects that there are: the modules of :mod:`antiphon.providers`."""
    return sorted(module.name for module in pkgutil.iter_modules(providers.__path__))


def check_quirks(dialect: str, quirks: Mapping[str, object]) -> None:
    """
    See whether a dialect has these quirks.

    Raises:
        ValueError: It has not, or there is no such dialect.
    """
    _provider(dialect, quirks)


def _provider(dialect: str, quirks: Mapping[str, object]) -> Provider:
    if dialect not in dialects():
        raise ValueError(f"unknown provider '{dialect}'; known: {', '.join(dialects())}")
    module = importlib.import_module(f"{providers.__name__}.{dialect}")
    return cast(Provider, module.provider(quirks))


def open_store(url: str) -> SessionStore:
    """
    The session store that a URL names, not opened yet: ``memory:`` or ``sqlite:///path``.

    Raises:
        ValueError: It names none.
    """
    if url == "memory:":
        return InMemorySessionStore()
    scheme, _, path = url.partition(":///")
    if scheme == "sqlite" and path:
        return SQLiteSessionStore(Path(path).expanduser())
    raise ValueError(f"unknown store '{url}'; known: memory: and sqlite:///path")


class Application:
    """What ``antiphon serve`` serves."""

    def __init__(self, gateway: Gateway, edge: Edge) -> None:
        self.gateway = gateway
        self.asgi = edge

    @property
    def upstreams(self) -> tuple[Upstream, ...]:
        """In the order of the settings."""
        return self.gateway.router.upstreams

    async def startup(self) -> None:
        """Open the store."""
        await self.gateway.startup()

    async def shutdown(self) -> None:
        """Let running turns end, close the store."""
        await self.gateway.shutdown()


def build_application(settings: Settings) -> Application:
    """
    The application that settings describe. Nothing is opened or asked yet.

    Raises:
        ValueError: A provider, a quirk or a store that there is not.
    """
    responses = settings.responses
    upstreams = {section.name: _upstream(section) for section in settings.upstreams}
    gateway = Gateway(
        list(upstreams.values()),
        aliases={
            alias.name: [Target(upstreams[target.upstream], target.model) for target in alias.targets]
            for alias in settings.models
        },
        store=open_store(settings.store),
        retention_days=responses.retention_days,
        policy=TurnPolicy(
            max_response_bytes=responses.max_response_bytes,
            cancel_on_disconnect=responses.on_disconnect == "cancel",
            lease_ttl_s=settings.background.lease_ttl_s,
        ),
        background=BackgroundPolicy(
            max_running=settings.background.max_running,
            max_queued=settings.background.max_queued,
            max_queued_per_tenant=settings.background.max_queued_per_tenant,
        ),
        webhooks=_webhooks(settings.webhooks),
        format=ResponsesFormat(max_items=responses.max_items, unknown_parameters=responses.unknown_parameters),
        log=Log(settings.log_level),
    )
    server = settings.server
    edge = gateway.asgi(
        guard=Guard(allowed_hosts=server.allowed_hosts, cors_origins=server.cors_origins),
        body_limits=BodyLimits(max_body_bytes=server.max_body_bytes, max_json_depth=server.max_json_depth),
        stream_limits=StreamLimits(done_sentinel=responses.done_sentinel),
        drain_timeout_s=server.drain_timeout_s,
    )
    return Application(gateway, edge)


def _webhooks(sections: Sequence[WebhookSettings]) -> WebhookPolicy | None:
    if not sections:
        return None
    receivers = tuple(
        Receiver(url=section.url, secret=webhook_key(section.secret.reveal()), events=frozenset(section.events))
        for section in sections
    )
    return WebhookPolicy(receivers=receivers, post=HttpPost(user_agent=f"antiphon/{VERSION}"))


def _upstream(section: UpstreamSettings) -> Upstream:
    return upstream(
        section.base_url,
        name=section.name,
        api_key=section.api_key.reveal() if section.api_key else None,
        provider=section.provider,
        models=section.models,
        timeouts=section.timeouts,
        context_window=section.context_window,
        **section.quirks,
    )
