"""What ``antiphon serve`` serves, built from settings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from antiphon.app.aliases import aliases_of, budget_policy, capacity_of, health_policy
from antiphon.app.gateway import Gateway
from antiphon.app.prices import costs_of, price_of
from antiphon.app.sealing import key_service, open_store, seal_store
from antiphon.app.tokens import tokens_of
from antiphon.app.upstreams import upstream
from antiphon.crypto.codec import SealingCodec
from antiphon.engine.administration import SYSTEM
from antiphon.engine.attempts import Retries
from antiphon.engine.plan import BackgroundPolicy
from antiphon.engine.remote import RemoteContents
from antiphon.engine.turn import TurnPolicy
from antiphon.engine.upstreams import Upstream
from antiphon.engine.webhooks import Receiver, WebhookPolicy
from antiphon.formats.chat import ChatFormat
from antiphon.formats.chat.completions import CompletionsFormat
from antiphon.formats.messages import MessagesFormat
from antiphon.formats.responses import ResponsesFormat
from antiphon.hub.format import ClientDialects
from antiphon.server.admin import AdminEdge
from antiphon.server.asgi import Edge
from antiphon.server.auth import Authenticator, NoKeys
from antiphon.server.body import BodyLimits
from antiphon.server.guard import Guard
from antiphon.server.limits import head_limits
from antiphon.server.sse import StreamLimits
from antiphon.settings import (
    Access,
    ResponsesSettings,
    Settings,
    UpstreamSettings,
    WebhookSettings,
    access_of,
    check_administration,
    is_loopback,
    webhook_key,
)
from antiphon.telemetry import Log
from antiphon.transport.fetching import GuardedFetcher
from antiphon.transport.guard import GuardRules
from antiphon.transport.post import HttpPost
from antiphon.version import VERSION

__all__ = ["Application", "build_application"]


class Application:
    """
    What ``antiphon serve`` serves.

    Attributes:
        asgi: For tenants' programs.
        admin: For administrators; None if they are not served.
        access: How callers are let in; known when it has started.
        has_admin_keys: Whether any administrator can be let in; likewise.
    """

    def __init__(self, settings: Settings, gateway: Gateway, edge: Edge, admin: AdminEdge | None) -> None:
        assert gateway.store is not None
        self.gateway = gateway
        self.asgi = edge
        self.admin = admin
        self.access: Access = "credentials"
        self.has_admin_keys = False
        self._notice: str | None = None
        self._settings = settings
        self._store = gateway.store

    @property
    def upstreams(self) -> tuple[Upstream, ...]:
        """In the order of the settings."""
        return self.gateway.router.upstreams

    @property
    def notice(self) -> str | None:
        """What the operator has to know about a root key that was made at the start."""
        return self._notice or (None if self.gateway.codec is None else self.gateway.codec.notice)

    async def startup(self, *, progress: Callable[[str], None] | None = None) -> None:
        """
        Open the store, seal what is in the clear in it, and see that it is safe to serve.

        Args:
            progress: Told what is done, if that takes a while.

        Raises:
            AccessRefused: It is not safe.
            KeysUnavailable: What is in the store was sealed with other keys.
            StoreUnavailable: The store cannot be opened.
        """
        await self._store.open()  # held until the end: what follows opens and closes it more than once
        try:
            await self._seal_plain(progress or (lambda _: None))
            await self._check_access()
            await self.gateway.startup()
        except BaseException:
            await asyncio.shield(self._store.close())
            raise

    async def _seal_plain(self, progress: Callable[[str], None]) -> None:
        codec = self.gateway.codec
        if isinstance(codec, SealingCodec) and await self._store.has_plain_payloads():
            self._notice = await seal_store(self._store, codec.service, progress=progress)

    async def _check_access(self) -> None:
        keys = await self._store.list_api_keys()
        self.has_admin_keys = any(key.tenant == SYSTEM for key in keys)
        check_administration(self._settings, store_has_admin_keys=self.has_admin_keys)
        self.access = access_of(self._settings, store_has_keys=bool(keys))
        made = self.gateway.administration
        if self.access == "until_first_key" and made is not None and await made.has_made_keys():
            self.access = "credentials"

    async def shutdown(self) -> None:
        """Let running turns end, close the store."""
        await self.gateway.shutdown(0.0)
        await self._store.close()


def build_application(settings: Settings) -> Application:
    """
    The application that settings describe. Nothing is opened or asked yet.

    Raises:
        ValueError: A provider, a quirk or a store that there is not.
    """
    responses = settings.responses
    log = Log(settings.log_level)
    upstreams = {section.name: _upstream(section) for section in settings.upstreams}
    gateway = Gateway(
        list(upstreams.values()),
        aliases=aliases_of(settings, upstreams, _upstream),
        store=open_store(settings.store),
        sealing=key_service(settings),
        audit=settings.audit,
        retention_days=responses.retention_days,
        max_history_items=responses.max_history_items,
        policy=TurnPolicy(
            max_response_bytes=responses.max_response_bytes,
            cancel_on_disconnect=responses.on_disconnect == "cancel",
            lease_ttl_s=settings.background.lease_ttl_s,
            retries=Retries(per_target=settings.routing.retries),
            health=health_policy(settings.routing),
            budget=budget_policy(settings.routing),
            remote=_remote(responses),
            costs=costs_of(log),
        ),
        background=BackgroundPolicy(
            max_running=settings.background.max_running,
            max_queued=settings.background.max_queued,
            max_queued_per_tenant=settings.background.max_queued_per_tenant,
        ),
        webhooks=_webhooks(settings.webhooks),
        format=ResponsesFormat(
            max_items=responses.max_items,
            max_tools=responses.max_tools,
            unknown_parameters=responses.unknown_parameters,
        ),
        dialects=_dialects(responses),
        log=log,
    )
    server = settings.server
    edge = gateway.asgi(
        authenticator=_authenticator(settings, gateway),
        guard=Guard(
            allowed_hosts=server.allowed_hosts,
            cors_origins=server.cors_origins,
            limits=head_limits(server.limits),
        ),
        body_limits=BodyLimits(
            max_body_bytes=server.max_body_bytes,
            max_json_depth=server.max_json_depth,
            max_json_members=server.limits.max_json_members,
        ),
        stream_limits=StreamLimits(done_sentinel=responses.done_sentinel),
        drain_timeout_s=server.drain_timeout_s,
    )
    return Application(settings, gateway, edge, _admin(settings, gateway))


def _dialects(section: ResponsesSettings) -> ClientDialects:
    unknown = section.unknown_parameters
    return ClientDialects(
        chat=ChatFormat(max_items=section.max_items, max_tools=section.max_tools, unknown_parameters=unknown),
        completions=CompletionsFormat(unknown_parameters=unknown),
        messages=MessagesFormat(max_items=section.max_items, max_tools=section.max_tools, unknown_parameters=unknown),
    )


def _authenticator(settings: Settings, gateway: Gateway) -> Authenticator | None:
    """Who says who calls; None for the gateway's own way, which is keyless until the first key is made."""
    auth, server = settings.auth, settings.server
    if auth.mode == "none" or server.no_auth:
        return NoKeys()
    tokens = None if auth.jwt is None else tokens_of(auth.jwt, gateway)
    if auth.mode == "keys" or tokens is not None or not is_loopback(server.host):
        return gateway.api_keys(tokens=tokens)
    return None


def _admin(settings: Settings, gateway: Gateway) -> AdminEdge | None:
    if settings.admin.port is None:
        return None
    limits = head_limits(settings.server.limits)
    return gateway.admin_asgi(guard=Guard(allowed_hosts=settings.admin.allowed_hosts, limits=limits))


def _webhooks(sections: Sequence[WebhookSettings]) -> WebhookPolicy | None:
    if not sections:
        return None
    receivers = tuple(
        Receiver(url=section.url, secret=webhook_key(section.secret.reveal()), events=frozenset(section.events))
        for section in sections
    )
    said = {section.url: section.allow_private for section in sections if section.allow_private is not None}
    return WebhookPolicy(receivers=receivers, post=HttpPost(user_agent=f"antiphon/{VERSION}", allow_private=said))


def _remote(section: ResponsesSettings) -> RemoteContents | None:
    if section.remote_content == "pass":
        return None
    fetch = None
    if section.remote_content == "fetch":
        schemes = frozenset({"https", "http"} if section.remote_http else {"https"})
        fetch = GuardedFetcher(GuardRules(schemes=schemes), user_agent=f"antiphon/{VERSION}")
    return RemoteContents(fetch, max_count=section.max_remote_items, max_bytes=section.max_remote_bytes)


def _upstream(section: UpstreamSettings) -> Upstream:
    return upstream(
        section.base_url,
        name=section.name,
        api_key=section.api_key.reveal() if section.api_key else None,
        provider=section.provider,
        models=section.models,
        timeouts=section.timeouts,
        context_window=section.context_window,
        account=section.account,
        capacity=capacity_of(section.capacity),
        key_variable=section.key_variable,
        signing=section.signing,
        headers={name: value.reveal() for name, value in section.headers.items()},
        query=section.query,
        may_drop=section.may_drop,
        price=price_of(section.prices),
        **section.quirks,
    )
