"""
``antiphon demo``: the memory at work, with a real model, in a minute.

Two turns through the public API, with the gateway stopped and started between them, so that what the second turn knows
can have come from the store only. Then the same question without the memory, for comparison.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from antiphon.cli.api import Answer, respond
from antiphon.cli.arguments import Command
from antiphon.cli.child import GatewayProcess
from antiphon.cli.errors import CommandFailed
from antiphon.cli.terminal import Terminal
from antiphon.local import MODEL_NAME, LocalModel, LocalModelError

__all__ = ["demo", "remembered"]

FIRST = "Hi, my name is Ada."
SECOND = "Complete the sentence: The user's name is"
NAME = "Ada"

_EXPECTED_ITEMS = 2  # the first question and its answer


def demo(command: Command) -> int:
    """Show it. Returns 0 if the second turn remembered the first."""
    try:
        return asyncio.run(_demo(command, Terminal(sys.stdout)))
    except LocalModelError as error:
        raise CommandFailed(str(error)) from error


def remembered(answer: Answer) -> bool:
    """Whether an answer shows that the model was given the first turn: by its words, and by the gateway's header."""
    return NAME in answer.text and answer.replayed == _EXPECTED_ITEMS


async def _demo(command: Command, terminal: Terminal) -> int:
    with tempfile.TemporaryDirectory(prefix="antiphon-demo-") as folder:
        store = f"sqlite:///{Path(folder) / 'antiphon.db'}"
        async with _interruptible() as interrupted, _model(terminal) as model:
            story = _Story(terminal, upstream=model.base_url, store=store, port=command.port or 0)
            told = asyncio.create_task(story.tell(once=command.once), name="demo")
            await asyncio.wait({told, interrupted}, return_when=asyncio.FIRST_COMPLETED)
            if not told.done():
                told.cancel()
                await asyncio.wait({told})
                terminal.line("\nbye")
                return 0
            return 0 if told.result() else 1


@asynccontextmanager
async def _interruptible() -> AsyncIterator[asyncio.Task[bool]]:
    """A task that ends with Ctrl-C or SIGTERM, so that everything is stopped in order."""
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked.set)
    waiting = asyncio.create_task(asked.wait(), name="interruption")
    try:
        yield waiting
    finally:
        waiting.cancel()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


@asynccontextmanager
async def _model(terminal: Terminal) -> AsyncIterator[LocalModel]:
    def show(arrived_bytes: int, expected_bytes: int) -> None:
        done = arrived_bytes / expected_bytes
        bar = "━" * round(24 * done) + " " * (24 - round(24 * done))
        terminal.progress(f"  fetching the model, once  {bar} {done:4.0%} of {expected_bytes / 1e6:.0f} MB")

    terminal.line()
    terminal.progress("  starting a small real model on this machine ...")
    async with LocalModel(progress=show) as model:
        yield model


class _Story:
    """What is shown, in its order."""

    def __init__(self, terminal: Terminal, *, upstream: str, store: str, port: int) -> None:
        self._terminal = terminal
        self._upstream = upstream
        self._store = store
        self._port = port

    async def tell(self, *, once: bool) -> bool:
        """Play the turns. Returns whether it remembered; with *once* false, serves until it is cancelled."""
        self._fact("model", f"{MODEL_NAME}, running on this machine")
        async with self._gateway() as gateway:
            self._fact("gateway", f"{gateway.base_url}  {self._dim(self._store)}")
            first = await self._turn(1, gateway, FIRST)
        self._heading("the gateway has been stopped, and is started again on the same file")
        async with self._gateway() as gateway:
            second = await self._turn(2, gateway, SECOND, previous=first.id)
            await self._control(gateway)
            self._judge(second)
            if not once:
                await self._keep_serving(gateway, second)
        return remembered(second)

    def _gateway(self) -> GatewayProcess:
        return GatewayProcess(upstream=self._upstream, store=self._store, port=self._port)

    async def _turn(self, number: int, gateway: GatewayProcess, text: str, *, previous: str | None = None) -> Answer:
        self._heading(f"turn {number}")
        body: dict[str, object] = {"model": MODEL_NAME, "input": text}
        self._fact("sent", f'"{text}"')
        if previous is not None:
            body["previous_response_id"] = previous
            self._fact("", self._dim(f"previous_response_id {previous}"))
        answer = await self._streamed(gateway, body)
        self._fact("", self._dim(f"{answer.id}  history replayed: {answer.replayed} items"))
        return answer

    async def _control(self, gateway: GatewayProcess) -> None:
        self._heading("the same question without memory")
        self._fact("sent", f'"{SECOND}"')
        await self._streamed(gateway, {"model": MODEL_NAME, "input": SECOND, "store": False})

    async def _streamed(self, gateway: GatewayProcess, body: dict[str, object]) -> Answer:
        terminal = self._terminal
        terminal.write(f"  {self._dim('answer'.ljust(9))}")
        try:
            return await respond(
                gateway.base_url, body, on_delta=lambda piece: terminal.write(terminal.styled(piece, "cyan"))
            )
        finally:
            terminal.line()

    def _judge(self, second: Answer) -> None:
        terminal = self._terminal
        terminal.line()
        if remembered(second):
            terminal.line(terminal.styled(f"  It remembered {NAME}, across a restart.", "green", "bold"))
        else:
            terminal.line(
                terminal.styled("  It did not remember: ", "red", "bold")
                + f"the answer should name {NAME} and stand on {_EXPECTED_ITEMS} items of history."
            )

    async def _keep_serving(self, gateway: GatewayProcess, last: Answer) -> None:
        line = self._terminal.line
        self._heading("go on yourself")
        self._fact("base URL", gateway.base_url)
        line()
        line(f"  curl {gateway.base_url}/responses -H 'content-type: application/json' \\")
        line(f"""    -d '{{"model":"{MODEL_NAME}","input":"What is my name?","previous_response_id":"{last.id}"}}'""")
        line()
        line(self._dim("  Ctrl-C ends the gateway and the model, and removes the store."))
        code = await gateway.wait()
        raise CommandFailed(f"the gateway ended by itself with exit code {code}")

    def _heading(self, text: str) -> None:
        self._terminal.line()
        self._terminal.line(f"{self._terminal.styled('──', 'dim')} {self._terminal.styled(text, 'bold')}")

    def _fact(self, label: str, text: str) -> None:
        self._terminal.line(f"  {self._dim(label.ljust(9))}{text}")

    def _dim(self, text: str) -> str:
        return self._terminal.styled(text, "dim")
