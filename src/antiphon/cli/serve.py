"""``antiphon serve``: bind, build, serve, drain."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from types import FrameType

import uvicorn
import uvloop

from antiphon.app import Application, build_application
from antiphon.cli.arguments import Command
from antiphon.cli.errors import ConfigurationError
from antiphon.cli.http import http_options
from antiphon.cli.loading import load_settings_with_upstreams
from antiphon.cli.terminal import Terminal
from antiphon.cli.tuning import tune_allocator, tune_collector
from antiphon.cli.websocket import websocket_options
from antiphon.cli.welcome import welcome
from antiphon.server.admin import AdminEdge
from antiphon.server.asgi import Edge
from antiphon.settings import Settings
from antiphon.telemetry import Log, StandardLogHandler

__all__ = ["serve"]

_LAST_WORDS_S = 5


def serve(command: Command) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit code."""
    tune_allocator()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(command))


async def _serve(command: Command) -> int:
    settings = await load_settings_with_upstreams(command)
    _carry_library_logs(settings)
    try:
        application = build_application(settings)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    with contextlib.ExitStack() as sockets:
        listening = sockets.enter_context(_bound_socket(settings.server.host, settings.server.port, "--port"))
        administered = _admin_socket(settings, sockets)
        await application.startup(progress=_say_sealing)
        try:
            await _serve_until_asked(application, settings, listening, administered)
        finally:
            await application.shutdown()
    return 0


def _say_sealing(line: str) -> None:
    Terminal(sys.stderr).line(f"sealing what is stored: {line}")


async def _serve_until_asked(
    application: Application, settings: Settings, listening: socket.socket, administered: socket.socket | None
) -> None:
    drain_timeout_s = settings.server.drain_timeout_s
    admin_url = None if administered is None else _url(administered)
    server = _Server(
        _configuration(application.asgi, application, settings),
        announce=lambda: _announce(_url(listening), admin_url, application),
        drain=lambda: application.gateway.end_turns(drain_timeout_s),
    )
    async with _administrators(application, settings, administered):
        await server.serve(sockets=[listening])


@contextlib.asynccontextmanager
async def _administrators(
    application: Application, settings: Settings, listening: socket.socket | None
) -> AsyncIterator[None]:
    """Serves administrators, if they are to be served, for as long as the block runs."""
    if listening is None or application.admin is None:
        yield
        return
    server = _SideServer(_configuration(application.admin, application, settings))
    serving = asyncio.create_task(server.serve(sockets=[listening]), name="administrators")
    try:
        yield
    finally:
        server.should_exit = True
        await serving


def _admin_socket(settings: Settings, sockets: contextlib.ExitStack) -> socket.socket | None:
    if settings.admin.port is None:
        return None
    return sockets.enter_context(_bound_socket(settings.admin.host, settings.admin.port, "--admin-port"))


def _bound_socket(host: str, port: int, flag: str) -> socket.socket:
    """A socket of our own, so that a port that is taken is an error with a remedy, and port 0 is known."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol's number, so that every event loop knows it for TCP and switches Nagle's algorithm off.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host.strip("[]"), port))
    except OSError as error:
        bound.close()
        raise ConfigurationError(
            f"cannot listen on {host}:{port}: {os.strerror(error.errno or 0).lower()}. "
            f"Choose another with {flag}, or let {flag} 0 find a free one."
        ) from error
    return bound


def _configuration(asgi: Edge | AdminEdge, application: Application, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        asgi,
        lifespan="off",  # started and ended here, where an error can be told
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,  # nobody in front of a loopback gateway is trusted to say who called
        # By then the turns have ended, and what is left is to tell it to those who follow them.
        timeout_graceful_shutdown=round(settings.server.drain_timeout_s) + _LAST_WORDS_S,
        **http_options(settings.server.limits, next_request_id=application.gateway.ids.request),
        **websocket_options(max_body_bytes=settings.server.max_body_bytes),
    )


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _announce(url: str, admin_url: str | None, application: Application) -> None:
    terminal = Terminal(sys.stdout)
    terminal.line(f"listening on {url}")
    tune_collector()
    await welcome(
        terminal,
        url,
        application.upstreams,
        access=application.access,
        notice=application.notice,
        admin_url=admin_url,
        has_admin_keys=application.has_admin_keys,
    )


class _SideServer(uvicorn.Server):
    """uvicorn's server beside another one, which gets the signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Server(uvicorn.Server):
    """
    uvicorn's server, which tells when it serves, and ends with 0 on the signals that ask it to end.

    uvicorn raises a signal again after the drain, so that the process would die of it.

    Args:
        drain: Ends what is under way. It runs while uvicorn waits for open connections: a stream ends by its turn's
            end, told to whoever follows it, and not by a cancelled connection.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        announce: Callable[[], Awaitable[None]],
        drain: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(config)
        self._announce = announce
        self._drain = drain
        self._announcing: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announcing = asyncio.create_task(self._announced(), name="announce")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._announcing is not None:
            self._announcing.cancel()
        await asyncio.gather(super().shutdown(sockets), self._drain())

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._ask_to_end) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _ask_to_end(self, number: int, frame: FrameType | None) -> None:
        # A second Ctrl-C means now; a second SIGTERM is what supervisors send, and changes nothing.
        self.force_exit = self.should_exit and number == signal.SIGINT
        self.should_exit = True

    async def _announced(self) -> None:
        with contextlib.suppress(BrokenPipeError):  # whoever started us does not read; the service goes on
            await self._announce()


def _carry_library_logs(settings: Settings) -> None:
    """
    Put the standard library's loggers behind our own log, as the one handler there is.

    Warnings and errors alone, whatever our level is: below that, libraries quote what they carry. `websockets` writes
    every header of a handshake, the credential too, and the beginning of every frame.
    """
    root = logging.getLogger()
    root.handlers[:] = [StandardLogHandler(Log(settings.log_level))]
    root.setLevel(logging.WARNING)
