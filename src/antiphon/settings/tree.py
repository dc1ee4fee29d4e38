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
    "AdminSettings",
    "AuthSettings",
    "BackgroundSettings",
    "CapacitySettings",
    "JwtSettings",
    "LimitSettings",
    "ModelSettings",
    "PriceSettings",
    "ResponsesSettings",
    "RoutingSettings",
    "SealingSettings",
    "ServerSettings",
    "Settings",
    "TargetSettings",
    "TargetTimeouts",
    "TimeoutSettings",
    "UpstreamSettings",
    "WebhookSettings",
]

Port = Annotated[int, Meta(ge=0, le=65535)]
Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]
Usd = Annotated[float, Meta(ge=0, le=1_000_000)]
JwtAlgorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
WebhookEvent = Literal["response.completed", "response.failed", "response.cancelled", "response.incomplete"]
Name = Annotated[str, Meta(min_length=1, max_length=200)]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The root of the sections below."""


class LimitSettings(Section, frozen=True, kw_only=True):
    """
    What a client may ask of the server's connections. Who exceeds one is told its name.

    Attributes:
        max_header_bytes: All header fields of a request together.
        max_headers: How many header fields a request has.
        max_url_bytes: Path and query together.
        max_json_members: How many members all objects, and elements all arrays, of a body have together.
        header_timeout_s: For a request's head.
        body_timeout_s: For a request's body, and as much longer as ``min_rate`` gives the bytes that have come.
        send_timeout_s: For a client that takes nothing of its answer.
        min_rate: Bytes per second that a body, or the reader of an answer, has to keep up in the long run.
        keep_alive_s: How long a connection may idle between two requests. Longer than clients keep one: they close it,
            and no request races that.
        max_connections: In one process.
        max_connections_per_address: Those from one address; all clients behind one proxy have the proxy's.
    """

    max_header_bytes: Annotated[int, Meta(ge=1024)] = 64 * 1024
    max_headers: Annotated[int, Meta(ge=10)] = 100
    max_url_bytes: Annotated[int, Meta(ge=256)] = 8 * 1024
    max_json_members: Annotated[int, Meta(ge=1000)] = 100_000
    header_timeout_s: Seconds = 10.0
    body_timeout_s: Seconds = 60.0
    send_timeout_s: Seconds = 120.0
    min_rate: Count = 4096
    keep_alive_s: Count = 75
    max_connections: Count = 8192
    max_connections_per_address: Count = 2048


class ServerSettings(Section, frozen=True, kw_only=True):
    """
    Where the gateway listens and what it lets in.

    Attributes:
        host: An address of this machine. One that other machines can reach needs API keys, or tokens.
        port: 0 picks a free one.
        allowed_hosts: Values of the ``Host`` header that are let in besides the loopback names, as ``name`` or
            ``name:port``. For a reverse proxy in front.
        cors_origins: Web pages that may call the gateway, as ``https://name[:port]``. None by default.
        max_body_bytes: The largest request. OpenAI's own limit is larger; 32 MiB hold any context as text.
        max_json_depth: Deeper nesting is refused.
        limits: What a client may ask of a connection.
        drain_timeout_s: How long running turns may take to end after SIGTERM.
        no_auth: Serve without keys, as ``auth.mode: none`` does; refused where other machines can reach the gateway.
    """

    host: Name = "127.0.0.1"
    port: Port = 8080
    allowed_hosts: tuple[Name, ...] = ()
    cors_origins: tuple[Name, ...] = ()
    max_body_bytes: Count = 32 * 1024 * 1024
    max_json_depth: Annotated[int, Meta(ge=8, le=500)] = 64
    limits: LimitSettings = LimitSettings()
    drain_timeout_s: Annotated[float, Meta(ge=0)] = 30.0
    no_auth: bool = False


class SealingSettings(Section, frozen=True, kw_only=True):
    """
    Under which root key everything that people and models wrote is sealed.

    Attributes:
        key: ``file:PATH``, ``env:NAME``, ``command:ARGV``, ``aws-kms:ARN``, ``vault:URL#transit/key``, or ``none`` to
            keep it in the clear. None takes the file beside a SQLite store, which is made on its first start, and for
            a store in memory a key that dies with the process.
    """

    key: str | None = None


class JwtSettings(Section, frozen=True, kw_only=True):
    """
    Tokens of an identity provider, taken besides API keys.

    Attributes:
        issuer, audience: What a token has to say in ``iss`` and ``aud``.
        jwks_url, jwks_file: Where the provider's public keys are; exactly one of them.
        algorithms: Which signatures are taken.
        tenant_claim: The claim that says whose token it is.
        tenants: The tenant of each value of that claim; other values are refused.
        tenant_from_claim: Take the claim's value for the tenant's name instead.
        scope_claim: The claim that lists scopes, as a list or as words with spaces between.
        scopes: What a token may do that has no such claim; empty for nothing.
    """

    issuer: Name
    audience: Name
    jwks_url: str | None = None
    jwks_file: str | None = None
    algorithms: Annotated[tuple[JwtAlgorithm, ...], Meta(min_length=1)] = ("RS256", "ES256", "EdDSA")
    tenant_claim: Name = "tenant"
    tenants: dict[str, str] = msgspec.field(default_factory=dict)
    tenant_from_claim: bool = False
    scope_claim: Name = "scope"
    scopes: tuple[Name, ...] = ()


class AuthSettings(Section, frozen=True, kw_only=True):
    """
    Who is let in.

    Attributes:
        mode: ``keys`` always asks for an API key or a token. ``auto`` does so too, but for a gateway that only its own
            machine can reach and whose store has no API key yet: that one serves everybody as the tenant ``default``,
            until the first key is made. ``none`` serves everybody, on this machine alone.
        jwt: Tokens that are taken besides keys.
    """

    mode: Literal["auto", "keys", "none"] = "auto"
    jwt: JwtSettings | None = None


class AdminSettings(Section, frozen=True, kw_only=True):
    """
    Where administrators manage tenants and keys over HTTP: a listener of its own, which always asks for their key.

    Attributes:
        port: None for no such listener; 0 picks a free one.
        allowed_hosts: As ``server.allowed_hosts``.
    """

    host: Name = "127.0.0.1"
    port: Port | None = None
    allowed_hosts: tuple[Name, ...] = ()


class TimeoutSettings(Section, frozen=True, kw_only=True):
    """
    How long an upstream may be silent.

    Attributes:
        connect_s: For the connection, name lookup and TLS included.
        first_byte_s: From the request's last byte to the answer's first. A reply that is not streamed begins when the
            model has finished, so this is long: OpenAI's own clients wait ten minutes.
        idle_s: Between two blocks of an answer that has begun. Some models think for minutes without a word.
        first_token_s: From the request to the first byte of a streamed answer's body. Where it is set, another target
            can be asked until that byte has come; many servers send the answer's head long before.
        total_s: From the request to the answer's end.
    """

    connect_s: Seconds = 10.0
    first_byte_s: Seconds = 600.0
    idle_s: Seconds = 300.0
    first_token_s: Seconds | None = None
    total_s: Seconds | None = None


class CapacitySettings(Section, frozen=True, kw_only=True):
    """
    How much is asked at a time, by each process.

    Attributes:
        max_parallel: Requests whose answers have not ended.
        max_queued: How many may wait for one of these to end; for the next one there is another target, or a 503.
        queue_s: The longest that one waits.
    """

    max_parallel: Count
    max_queued: Annotated[int, Meta(ge=0)] = 64
    queue_s: Seconds = 10.0


class PriceSettings(Section, frozen=True, kw_only=True):
    """
    What a million tokens cost, in USD.

    Attributes:
        cached_input: Of those read from the upstream's prefix cache; None for as much as ``input``.
        cache_write: Of those written to it; None likewise.
        output: None for models that generate nothing, such as those for embeddings.
    """

    input: Usd
    cached_input: Usd | None = None
    cache_write: Usd | None = None
    output: Usd | None = None


class UpstreamSettings(Section, frozen=True, kw_only=True):
    """
    A model server.

    Attributes:
        name: Unique; shown in headers, logs and errors.
        provider: The dialect that it speaks, or a preset of one.
        base_url: Up to and including the version, such as ``http://127.0.0.1:9000/v1``. Empty for the provider's own.
        api_key: Sent where the provider wants it. None takes it from the environment, if *base_url* is the provider's.
        key_variable: The environment variable that holds the key, instead of the provider's usual one.
        signing: ``sigv4`` signs requests with AWS credentials; None does what is usual for the provider.
        headers: Sent with every request.
        query: Added to every request's query.
        models: What it serves, for a server that cannot list its models; None asks it.
        context_window: How many tokens its models take, for a server that does not list it; None for what it lists.
        account: What its models wrote in private goes back to all upstreams of one account; None for itself alone.
        capacity: How much it is asked at a time, all of its models together; None for no limit.
        prices: What its models cost, all of them; None for what is published.
        may_drop: What may be left out of any request where its dialect cannot say it, as ``x-antiphon-drop`` names it.
        quirks: Its deviations from the dialect, as the provider names them.
    """

    name: Name
    provider: Name = "openai_chat"
    base_url: str = ""
    api_key: Secret | None = None
    key_variable: Name | None = None
    signing: Literal["key", "sigv4"] | None = None
    headers: dict[str, Secret] = msgspec.field(default_factory=dict)
    query: dict[str, str] = msgspec.field(default_factory=dict)
    models: tuple[Name, ...] | None = None
    timeouts: TimeoutSettings = TimeoutSettings()
    context_window: Count | None = None
    account: Name | None = None
    capacity: CapacitySettings | None = None
    prices: PriceSettings | None = None
    may_drop: tuple[Name, ...] = ()
    quirks: dict[str, Any] = msgspec.field(default_factory=dict)


class TargetTimeouts(Section, frozen=True, kw_only=True):
    """What a target has instead of its upstream's time-outs, as :class:`TimeoutSettings` says; None for the same."""

    connect_s: Seconds | None = None
    first_byte_s: Seconds | None = None
    idle_s: Seconds | None = None
    first_token_s: Seconds | None = None
    total_s: Seconds | None = None


class TargetSettings(Section, frozen=True, kw_only=True):
    """
    One upstream with one of its models.

    Attributes:
        order: Lower ones are tried first; equals share the turns. Either all targets of an alias say it, or none does:
            then they are tried in the order of the list.
        weight: How many of the turns it has among its equals.
        capacity: How much it is asked at a time, besides what its upstream as a whole is; None for no limit.
        prices: What its model costs; None for what is said of its upstream.
    """

    upstream: Name
    model: Name
    order: Annotated[int, Meta(ge=0)] | None = None
    weight: Annotated[float, Meta(gt=0, le=1_000_000)] | None = None
    capacity: CapacitySettings | None = None
    prices: PriceSettings | None = None
    timeouts: TargetTimeouts = TargetTimeouts()


class ModelSettings(Section, frozen=True, kw_only=True):
    """A name that clients ask for, and who answers."""

    name: Name
    targets: Annotated[tuple[TargetSettings, ...], Meta(min_length=1)]


class RoutingSettings(Section, frozen=True, kw_only=True):
    """
    How targets are asked.

    Attributes:
        retries: Further tries at one target, for faults that may pass.
        retry_share: Further requests, to the same target or another one, as a share of the turns: so an outage does
            not multiply the load.
        retry_reserve: How many further requests can be made at once after a quiet time.
        failures_to_eject: So many faults in a row, and a target is passed over where there is another one.
        ejection_s: For how long the first time; doubled each time that it fails again.
        longest_ejection_s: The longest time that it is passed over, and the longest pause that it can ask for.
    """

    retries: Annotated[int, Meta(ge=0, le=10)] = 2
    retry_share: Annotated[float, Meta(ge=0, le=1)] = 0.2
    retry_reserve: Count = 10
    failures_to_eject: Count = 5
    ejection_s: Seconds = 10.0
    longest_ejection_s: Seconds = 300.0


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
        max_history_items: The most items that a turn may stand on; a longer history has to be compacted or left.
        max_tools: The most tools in one request. OpenAI's own number.
        remote_content: What is done with URLs of images and files: ``pass`` leaves them to the upstream, ``refuse``
            takes none, ``fetch`` gets what is there, from public addresses alone, and gives it to the upstream as data.
        remote_http: Whether ``http://`` is fetched from as well as ``https://``.
        max_remote_items: The most different URLs that are fetched for one turn, those of its history included.
        max_remote_bytes: The most that is fetched for one turn.
    """

    retention_days: Annotated[float, Meta(gt=0)] = 30.0
    on_disconnect: Literal["cancel", "continue"] = "cancel"
    done_sentinel: bool = True
    unknown_parameters: Literal["reject", "ignore"] = "reject"
    max_response_bytes: Count = 32 * 1024 * 1024
    max_items: Count = 2000
    max_history_items: Count = 20_000
    max_tools: Count = 128
    remote_content: Literal["pass", "refuse", "fetch"] = "pass"
    remote_http: bool = False
    max_remote_items: Count = 16
    max_remote_bytes: Count = 20 * 1024 * 1024


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
        allow_private: Whether the URL may lead into a private network or to this machine. None goes by the URL: it may
            if it says so itself, as ``http://127.0.0.1:9000/hook`` does, and not because a name resolves to it.
    """

    url: str
    secret: Secret
    events: tuple[WebhookEvent, ...] = (
        "response.completed",
        "response.failed",
        "response.cancelled",
        "response.incomplete",
    )
    allow_private: bool | None = None


class Settings(Section, frozen=True, kw_only=True):
    """
    Everything that can be configured.

    Attributes:
        store: ``memory:`` or ``sqlite:///path``.
        upstreams: The first that has a model serves it.
        models: Aliases; an alias wins over a model of the same name.
        routing: How the targets of a model are asked.
        webhooks: Who is told when a background response has ended.
        audit: What goes into the tenants' audit trails: ``all``, only ``writes``, or nothing (``off``). What
            administrators do is always kept.
        log_level: The least important lines that are written.
    """

    server: ServerSettings = ServerSettings()
    store: str = "sqlite:///antiphon.db"
    sealing: SealingSettings = SealingSettings()
    auth: AuthSettings = AuthSettings()
    admin: AdminSettings = AdminSettings()
    upstreams: tuple[UpstreamSettings, ...] = ()
    models: tuple[ModelSettings, ...] = ()
    routing: RoutingSettings = RoutingSettings()
    responses: ResponsesSettings = ResponsesSettings()
    background: BackgroundSettings = BackgroundSettings()
    webhooks: tuple[WebhookSettings, ...] = ()
    audit: Literal["all", "writes", "off"] = "all"
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
        complete: Callable[[UpstreamSettings, Mapping[str, str]], UpstreamSettings] | None = None,
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
            complete: Fills in what is usual for an upstream's provider, given the environment. Raises SettingAtFault
                for what is missing. None leaves upstreams as they are.

        Raises:
            SettingsError: Lists every problem with the place where it stands.
        """
        from antiphon.settings.loading import load  # noqa: PLC0415 - the loader is made of this tree

        return load(
            cls, path, env or {}, overrides or {}, dialects=dialects, check_quirks=check_quirks, complete=complete
        )
