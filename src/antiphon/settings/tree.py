"""
The settings tree: every key that can be configured, with its type, its bounds and its default.

The tree is the same whether a value comes from a flag, the environment or the file. Adding a key here is all it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import msgspec
from msgspec import Meta

from antiphon.settings.secret import Secret

__all__ = [
    "BackgroundSettings",
    "ModelSettings",
    "ResponsesSettings",
    "ServerSettings",
    "Settings",
    "TargetSettings",
    "TimeoutSettings",
    "UpstreamSettings",
    "WebhookSettings",
]

Port = Annotated[int, Meta(ge=0, le=65535)]
Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]
WebhookEvent = Literal["response.completed", "response.failed", "response.cancelled", "response.incomplete"]
Name = Annotated[str, Meta(min_length=1, max_length=200)]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The root of the sections below."""


class ServerSettings(Section, frozen=True, kw_only=True):
    """
    Where the gateway listens and what it lets in.

    Attributes:
        host: An address of this machine that other machines cannot reach: this version has no keys yet.
        port: 0 picks a free one.
        allowed_hosts: Values of the ``Host`` header that are let in besides the loopback names, as ``name`` or
            ``name:port``. For a reverse proxy in front.
        cors_origins: Web pages that may call the gateway, as ``https://name[:port]``. None by default.
        max_body_bytes: The largest request. OpenAI's own limit is larger; 32 MiB hold any context as text.
        max_json_depth: Deeper nesting is refused.
        drain_timeout_s: How long running turns may take to end after SIGTERM.
        no_auth: Serve without keys. Has no effect on loopback, where that is the default; elsewhere it is refused.
    """

    host: Name = "127.0.0.1"
    port: Port = 8080
    allowed_hosts: tuple[Name, ...] = ()
    cors_origins: tuple[Name, ...] = ()
    max_body_bytes: Count = 32 * 1024 * 1024
    max_json_depth: Annotated[int, Meta(ge=8, le=500)] = 64
    drain_timeout_s: Annotated[float, Meta(ge=0)] = 30.0
    no_auth: bool = False


class TimeoutSettings(Section, frozen=True, kw_only=True):
    """
    How long an upstream may be silent.

    Attributes:
        connect_s: For the connection, name lookup and TLS included.
        first_byte_s: From the request's last byte to the answer's first. A reply that is not streamed begins when the
            model has finished, so this is long: OpenAI's own clients wait ten minutes.
        idle_s: Between two blocks of an answer that has begun. Some models think for minutes without a word.
    """

    connect_s: Seconds = 10.0
    first_byte_s: Seconds = 600.0
    idle_s: Seconds = 300.0


class UpstreamSettings(Section, frozen=True, kw_only=True):
    """
    A model server.

    Attributes:
        name: Unique; shown in headers, logs and errors.
        provider: The dialect that it speaks.
        base_url: Up to and including the version, such as ``http://127.0.0.1:9000/v1``.
        api_key: Sent as a bearer token.
        models: What it serves, for a server that cannot list its models; None asks it.
        context_window: How many tokens its models take, for a server that does not list it; None for what it lists.
        quirks: Its deviations from the dialect, as the provider names them.
    """

    name: Name
    provider: Name = "openai_chat"
    base_url: str = ""
    api_key: Secret | None = None
    models: tuple[Name, ...] | None = None
    timeouts: TimeoutSettings = TimeoutSettings()
    context_window: Count | None = None
    quirks: dict[str, Any] = msgspec.field(default_factory=dict)


class TargetSettings(Section, frozen=True, kw_only=True):
    """One upstream with one of its models."""

    upstream: Name
    model: Name


class ModelSettings(Section, frozen=True, kw_only=True):
    """A name that clients ask for, and who answers, tried in this order."""

    name: Name
    targets: Annotated[tuple[TargetSettings, ...], Meta(min_length=1)]


class ResponsesSettings(Section, frozen=True, kw_only=True):
    """
    How responses are made and kept.

    Attributes:
        retention_days: How long a stored response lives, as with OpenAI.
        on_disconnect: What becomes of a streamed turn whose reader has gone.
        done_sentinel: Whether a stream ends with ``data: [DONE]``.
        unknown_parameters: What to do with a field of a request that the API does not know.
        max_response_bytes: The largest answer; bounds what a running turn keeps in memory.
        max_items: The most input items in one request.
    """

    retention_days: Annotated[float, Meta(gt=0)] = 30.0
    on_disconnect: Literal["cancel", "continue"] = "cancel"
    done_sentinel: bool = True
    unknown_parameters: Literal["reject", "ignore"] = "reject"
    max_response_bytes: Count = 32 * 1024 * 1024
    max_items: Count = 2000


class BackgroundSettings(Section, frozen=True, kw_only=True):
    """
    How background responses are carried out.

    Attributes:
        max_running: At once in one process; the others wait, tenants by turns.
        max_queued: How many may wait; more are refused with 429.
        max_queued_per_tenant: How many of one tenant may wait.
        lease_ttl_s: How long after a crash another process, or the next one, goes on with what was left behind.
    """

    max_running: Count = 64
    max_queued: Count = 10_000
    max_queued_per_tenant: Count = 1_000
    lease_ttl_s: Seconds = 20.0


class WebhookSettings(Section, frozen=True, kw_only=True):
    """
    Who is told when a background response has ended.

    Attributes:
        url: Where it is posted to.
        secret: Signs it (Standard Webhooks): ``whsec_`` and at least 16 random bytes in base64.
        events: Which ends are told.
    """

    url: str
    secret: Secret
    events: tuple[WebhookEvent, ...] = (
        "response.completed",
        "response.failed",
        "response.cancelled",
        "response.incomplete",
    )


class Settings(Section, frozen=True, kw_only=True):
    """
    Everything that can be configured.

    Attributes:
        store: ``memory:`` or ``sqlite:///path``.
        upstreams: The first that has a model serves it.
        models: Aliases; an alias wins over a model of the same name.
        webhooks: Who is told when a background response has ended.
        log_level: The least important lines that are written.
    """

    server: ServerSettings = ServerSettings()
    store: str = "sqlite:///antiphon.db"
    upstreams: tuple[UpstreamSettings, ...] = ()
    models: tuple[ModelSettings, ...] = ()
    responses: ResponsesSettings = ResponsesSettings()
    background: BackgroundSettings = BackgroundSettings()
    webhooks: tuple[WebhookSettings, ...] = ()
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @classmethod
    def load(
        cls,
        path: Path | None = None,
        env: Mapping[str, str] | None = None,
        overrides: Mapping[str, object] | None = None,
        *,
        dialects: Collection[str] | None = None,
        check_quirks: Callable[[str, Mapping[str, object]], None] | None = None,
    ) -> Self:
        """
        Settings from a file, the environment and the command line, the later ones winning.

        Args:
            path: A YAML file; None for none.
            env: Environment variables: ``ANTIPHON_…`` keys, and those that the file mentions as ``${NAME}``.
            overrides: Values by dotted key, such as ``{"server.port": 8081}``. Errors call them by their flag.
            dialects: The providers that there are, so that another name is told with its line. None leaves that to
                whoever builds the upstreams.
            check_quirks: Raises ValueError for a provider and quirks that it does not have. None likewise.

        Raises:
            SettingsError: Lists every problem with the place where it stands.
        """
        from antiphon.settings.loading import load  # noqa: PLC0415 - the loader is made of this tree

        return load(cls, path, env or {}, overrides or {}, dialects=dialects, check_quirks=check_quirks)
