"""
What translating costs: every client format in front of every upstream dialect, beside Responses in front of chat.

    python -m benchmarks.dialects                 about four minutes
    python -m benchmarks.dialects --quick         about half a minute

Two tables, of answers in one piece and of streams without pause. A figure is what a CPU-second of the gateway carries,
as a share of what it carries with a Responses client in front of a Chat Completions upstream, where everything is
translated that the other benchmarks measure. The upstream answers at once, with prebuilt bytes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import orjson
import uvloop

from benchmarks.bench import GATEWAY_COMMAND
from benchmarks.load import LoadFailed, Target, check_stream, closed_loop
from benchmarks.processes import Server, StartFailed, cores, pinned, start

__all__ = ["FORMATS", "PROVIDERS", "body_of", "gateway_before_all", "main", "measure", "table"]

# Below the server's root: where each dialect begins.
PROVIDERS: Mapping[str, str] = {
    "openai_chat": "/v1",
    "openai_responses": "/v1",
    "anthropic": "/v1",
    "gemini": "/v1beta",
    "bedrock": "",
}
# Turns of Responses and of chat are stored; Messages has no words for that.
FORMATS: Mapping[str, str] = {
    "responses": "/v1/responses",
    "chat": "/v1/chat/completions",
    "messages": "/v1/messages",
}
BASE = ("responses", "openai_chat")
CONNECTIONS = 16
TOKENS = 200
_QUESTION = "What should we take with us for a walk of three days along the river, and what can stay at home? " * 9

Pair = tuple[str, str]
Figures = Mapping[Pair, float]


def body_of(form: str, model: str, *, stream: bool) -> bytes:
    """A request of about 1 KB in the words of a format."""
    said = [{"role": "user", "content": _QUESTION}]
    body: dict[str, object] = {"model": model, "stream": stream}
    if form == "responses":
        body |= {"input": said, "max_output_tokens": TOKENS}
    elif form == "chat":
        body |= {"messages": said, "max_completion_tokens": TOKENS, "store": True}
        if stream:  # chunks without the padding that hides their size, as the others have it
            body |= {"stream_options": {"include_usage": True, "include_obfuscation": False}}
    else:
        body |= {"messages": said, "max_tokens": TOKENS}
    return orjson.dumps(body)


async def measure(
    gateway: Server, *, stream: bool, rounds: int, seconds: float, connections: int = CONNECTIONS
) -> Figures:
    """
    Answers, or tokens of streams, in a CPU-second of the gateway, for every pair; medians over the rounds.

    Raises:
        LoadFailed: An answer was not 200, or a stream did not hold what was asked for.
    """
    pairs = [(form, provider) for form in FORMATS for provider in PROVIDERS]
    found: dict[Pair, list[float]] = {pair: [] for pair in pairs}
    for number in range(rounds):
        for form, provider in pairs:
            target = Target(host=gateway.host, port=gateway.port, path=FORMATS[form])
            body = body_of(form, provider, stream=stream)
            try:
                if stream and number == 0:
                    await check_stream(target, body, TOKENS)
                before = gateway.cpu_s()
                result = await closed_loop(target, body, connections=connections, seconds=seconds)
            except LoadFailed as error:
                raise LoadFailed(f"{form} in front of {provider}: {error}") from error
            each = TOKENS if stream else 1
            found[form, provider].append(result.answers * each / max(gateway.cpu_s() - before, 1e-9))
    return {pair: median(figures) for pair, figures in found.items()}


def table(figures: Figures, unit: str) -> str:
    """Shares of the base as a Markdown table, under its figure."""
    base = figures[BASE]
    lines = [
        f"{unit}; 1 is {base:,.0f}",
        "",
        f"| client format | {' | '.join(PROVIDERS)} |",
        f"|---|{'---:|' * len(PROVIDERS)}",
    ]
    for form in FORMATS:
        shares = (f"{figures[form, provider] / base:.2f}" for provider in PROVIDERS)
        lines.append(f"| {form} | {' | '.join(shares)} |")
    return "\n".join(lines)


@contextmanager
def gateway_before_all(directory: Path, server_core: int | None, load_core: int | None) -> Iterator[Server]:
    """A gateway on a SQLite file, with one server as an upstream of each dialect; its models are named after these."""
    command = [sys.executable, "-m", "benchmarks.upstream"]
    upstream = start(command, directory=directory / "upstream", core=load_core)
    try:
        settings = {
            "store": f"sqlite:///{directory / 'antiphon.db'}",
            "upstreams": [
                {
                    "name": provider,
                    "provider": provider,
                    "base_url": upstream.url + path,
                    "models": ["instant"],
                    "signing": "key",
                    "api_key": "test-key",
                }
                for provider, path in PROVIDERS.items()
            ],
            "models": [
                {"name": provider, "targets": [{"upstream": provider, "model": "instant"}]} for provider in PROVIDERS
            ],
        }
        file = directory / "antiphon.yaml"
        file.write_bytes(orjson.dumps(settings))  # JSON is YAML
        command = [*GATEWAY_COMMAND, "--config", str(file), "--port", "0"]
        gateway = start(command, directory=directory / "gateway", core=server_core)
        try:
            yield gateway
        finally:
            gateway.stop()
    finally:
        upstream.stop()


async def _measure_all(rounds: int, seconds: float) -> list[str]:
    server_core, load_core = cores()
    shown: list[str] = []
    with (
        tempfile.TemporaryDirectory(prefix="antiphon-dialects-") as directory,
        pinned(load_core),
        gateway_before_all(Path(directory), server_core, load_core) as gateway,
    ):
        for stream, unit in ((False, "POST: answers per CPU-second"), (True, "streams: tokens per CPU-second")):
            print(f"{unit} …", file=sys.stderr)
            shown.append(table(await measure(gateway, stream=stream, rounds=rounds, seconds=seconds), unit))
    return shown


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the tables; 2 if something did not answer as it should."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.dialects", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="in about half a minute")
    options = parser.parse_args(arguments)
    rounds, seconds = (2, 0.3) if options.quick else (5, 1.5)
    try:
        shown = uvloop.run(_measure_all(rounds, seconds))
    except (StartFailed, LoadFailed) as error:
        print(error, file=sys.stderr)
        return 2
    print("\n\n".join(shown))
    return 0


if __name__ == "__main__":
    sys.exit(main())
