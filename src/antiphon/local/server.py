"""
The local model's server: runs in a child process of its own, because a CPU without AVX2 kills the process that loads
the engine, and because it must die with the gateway that started it.

It speaks to its parent through three pipes: one line of JSON on stdout once it serves, the engine's own complaints on
stderr, and the end of stdin, which means that the parent is gone.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, TextIO

from antiphon.local.template import CHAT_TEMPLATE

if TYPE_CHECKING:
    import xllamacpp

__all__ = ["EXIT_NO_ENGINE", "EXIT_REFUSED", "main"]

EXIT_NO_ENGINE = 3
EXIT_REFUSED = 4

_HEALTH_EVERY_S = 0.02
_MAX_OUTPUT_TOKENS = 512


def main(arguments: list[str] | None = None) -> int:
    """Serve until stdin ends. Returns the exit code."""
    options = _parse(arguments)
    # The terminal's Ctrl-C reaches the whole process group: the parent decides when this server goes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    announce = _keep_stdout_for_us()
    threading.Thread(target=_die_with_parent, daemon=True).start()
    try:
        import xllamacpp  # noqa: PLC0415 - an optional extra; and the import itself can kill the process
    except ImportError:
        return EXIT_NO_ENGINE
    try:
        server = xllamacpp.Server(_parameters(xllamacpp, options))
    except RuntimeError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_REFUSED
    base_url = server.listening_address
    _wait_until_healthy(base_url)
    announce.write(json.dumps({"base_url": base_url}) + "\n")
    announce.flush()
    threading.Event().wait()
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m antiphon.local", description=__doc__)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--slots", type=int, required=True)
    parser.add_argument("--context-tokens", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--prefix-cache", action="store_true")
    return parser.parse_args(arguments)


def _keep_stdout_for_us() -> TextIO:
    """Our own stdout; whatever the engine prints goes to stderr."""
    ours = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return ours


def _die_with_parent() -> None:
    while os.read(0, 1024):
        pass
    os._exit(0)  # the engine's threads would keep an orderly exit waiting for running generations


def _parameters(engine: xllamacpp, options: argparse.Namespace) -> xllamacpp.CommonParams:
    params = engine.CommonParams()
    params.model.path = options.weights
    params.model_alias = {options.name}
    params.chat_template = CHAT_TEMPLATE
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_ctx = options.context_tokens
    params.n_parallel = options.slots
    for cores in (params.cpuparams, params.cpuparams_batch):
        cores.n_threads = options.threads
        cores.poll = 0  # threads that spin while they wait take the cores from whoever they wait for
    params.n_predict = _MAX_OUTPUT_TOKENS  # the engine's own default is unlimited
    # Off by default: with the prefix cache, temperature 0 gives different texts for the same request.
    params.cache_prompt = options.prefix_cache
    params.slot_prompt_similarity = 0.5  # with less, conversations that begin alike take the slots of one another
    params.cache_ram_mib = 0
    params.sampling.temp = 0.0
    params.sampling.seed = 42
    params.embedding = True
    # The mean would be that of a part of the text: of texts that are read side by side, the engine reads the end of the
    # longest by itself, and pools only that. The last token has seen all of its text, in whatever parts it was read.
    params.pooling_type = engine.llama_pooling_type.LLAMA_POOLING_TYPE_LAST
    params.ui = False
    params.verbosity = 1
    return params


def _wait_until_healthy(base_url: str) -> None:
    """Return when ``/health`` says so. No limit here: the parent has one, and ends this process."""
    while True:
        try:
            with urllib.request.urlopen(f"{base_url}/health", timeout=5):  # noqa: S310 - our own loopback server
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(_HEALTH_EVERY_S)
