"""``antiphon serve``: bind, build, serve, drain."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from types import FrameType

import uvicorn
import uvloop

from antiphon.app import Application, build_application
from antiphon.cli.arguments import Command
from antiphon.cli.errors import ConfigurationError
from antiphon.cli.loading import load_settings_with_upstreams
from antiphon.cli.terminal import Terminal
from antiphon.cli.tuning import tune_allocator, tune_collector
from antiphon.cli.websocket import websocket_options
from antiphon.cli.welcome import welcome
from antiphon.settings import ServerSettings, Settings
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
    with contextlib.closing(_bound_socket(settings.server)) as listening:
        gateway, drain_timeout_s = application.gateway, settings.server.drain_timeout_s
        server = _Server(
            _configuration(application, settings),
            announce=lambda: _announce(listening, application),
            drain=lambda: gateway.end_turns(drain_timeout_s),
        )
        await application.startup()
        try:
            await server.serve(sockets=[listening])
        finally:
            await gateway.shutdown(0.0)
    return 0


def _bound_socket(server: ServerSettings) -> socket.socket:
    """A socket of our own, so that a port that is taken is an error with a remedy, and port 0 is known."""
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((server.host.strip("[]"), server.port))
    except OSError as error:
        bound.close()
        raise ConfigurationError(
            f"cannot listen on {server.host}:{server.port}: {os.strerror(error.errno or 0).lower()}. "
            f"Choose another with --port, or let --port 0 find a free one."
        ) from error
    return bound


def _configuration(application: Application, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        application.asgi,
        http="httptools",
        lifespan="off",  # started and ended here, where an error can be told
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=75,  # longer than clients keep an idle connection: they close it, and no request races that
        proxy_headers=False,  # nobody in front of a loopback gateway is trusted to say who called
        # By then the turns have ended, and what is left is to tell it to those who follow them.
        timeout_graceful_shutdown=round(settings.server.drain_timeout_s) + _LAST_WORDS_S,
        **websocket_options(max_body_bytes=settings.server.max_body_bytes),
    )


async def _announce(listening: socket.socket, application: Application) -> None:
    host, port = listening.getsockname()[:2]
    base = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    terminal = Terminal(sys.stdout)
    terminal.line(f"listening on {base}")
    tune_collector()
    await welcome(terminal, base, application.upstreams)


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
    """Put the standard library's loggers behind our own log, as the one handler there is."""
    root = logging.getLogger()
    root.handlers[:] = [StandardLogHandler(Log(settings.log_level))]
    root.setLevel(logging.DEBUG if settings.log_level == "debug" else logging.WARNING)
