"""
What can be written on the command line.

Every flag has an environment variable, which ``--help`` names, and flags win over the environment, which wins over the
file. So a flag that was not given must leave no trace here: its value comes from the settings.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from antiphon import __version__
from antiphon.settings import flag_variable

__all__ = ["Command", "parse"]

Name = Literal["serve", "demo", "check", "store check"]

_DESCRIPTION = """\
Gives any language model a memory: OpenAI's Responses and Conversations APIs with their state, in front of any upstream.
"""

_SERVE = """\
Serve the API. Without a configuration file and without --upstream it looks for an OpenAI key (OPENAI_API_KEY,
OPENAI_BASE_URL) and for model servers on this machine (Ollama, LM Studio, llama.cpp, vLLM on their usual ports).

The first line on stdout is 'listening on http://HOST:PORT'. SIGTERM and Ctrl-C let running turns end, then exit 0.
"""

_DEMO = """\
See the memory at work, without any key: a small real model on this machine, a gateway in front of it, two turns with a
restart of the gateway between them. Then the gateway keeps running, to be tried. The model (98 MB) is fetched once.
Needs the engine: pip install 'antiphon[local]'
"""

_CHECK = """\
Validate the configuration and try each upstream. Prints every mistake with its line, and what each upstream serves.
Exit code 0: all is well; 1: an upstream does not answer; 2: the configuration is wrong.
"""

_STORE_CHECK = """\
Verify a whole session store: histories without gaps, forks and references that lead somewhere, whole turns. Prints one
line for each problem. May run while a server uses the store. Exit code 0: sound; 1: problems.
"""


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """
    A parsed command line.

    Attributes:
        overrides: Settings by dotted key, of the flags that were given.
        config: The configuration file, if there is one.
        environment: The process's variables.
        once: Of ``demo``: do not keep serving.
        port: Of ``demo``.
    """

    name: Name
    environment: Mapping[str, str]
    overrides: Mapping[str, object] = msgspec.field(default_factory=dict)
    config: Path | None = None
    once: bool = False
    port: int | None = None


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Command:
    """
    Read a command line.

    Raises:
        SystemExit: With code 2 after telling what is wrong, or with 0 after ``--help`` and ``--version``.
    """
    options = vars(_parser().parse_args(arguments))
    config = options.get("config") or environment.get(flag_variable("--config")) or None
    return Command(
        name=options["command"],
        environment=environment,
        overrides={key: value for key, value in options.items() if key in _KEYS and value is not None},
        config=Path(config) if config else None,
        once=_once(options, environment),
        port=_demo_port(options, environment),
    )


_KEYS = {"server.host", "server.port", "server.no_auth", "store", "upstreams", "log_level"}


def _once(options: Mapping[str, object], environment: Mapping[str, str]) -> bool:
    return bool(options.get("once")) or environment.get(flag_variable("--once"), "").lower() in {"1", "true", "yes"}


def _demo_port(options: Mapping[str, object], environment: Mapping[str, str]) -> int | None:
    if options.get("port") is not None:
        return int(str(options["port"]))
    written = environment.get(flag_variable("--port"), "")
    return int(written) if written.isdigit() else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="antiphon",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # a new flag must not make an old script ambiguous
    )
    parser.add_argument("--version", action="version", version=f"antiphon {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_serve(commands)
    _add_demo(commands)
    _add_check(commands)
    _add_store(commands)
    return parser


def _add(commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, short: str, long: str,
    command: Name) -> argparse.ArgumentParser:  # fmt: skip
    parser = commands.add_parser(
        name,
        help=short,
        description=long,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(command=command)
    return parser


def _add_serve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(commands, "serve", "serve the API", _SERVE, "serve")
    _flag(parser, "--config", "FILE", "configuration file (YAML)")
    _flag(parser, "--host", "HOST", "loopback address to listen on (default 127.0.0.1)", dest="server.host")
    _flag(parser, "--port", "PORT", "port to listen on; 0 picks a free one (default 8080)", dest="server.port")
    _store_flag(parser)
    _upstream_flag(parser)
    parser.add_argument(
        "--no-auth", dest="server.no_auth", action="store_true", default=None,
        help=f"serve without keys: the default on loopback, refused elsewhere [{flag_variable('--no-auth')}]",
    )  # fmt: skip
    _flag(parser, "--log-level", "LEVEL", "debug, info, warning or error (default info)", dest="log_level")


def _add_demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(commands, "demo", "see it work on this machine, without any key", _DEMO, "demo")
    parser.add_argument(
        "--once", action="store_true", help=f"exit after the two turns: 0 if it remembered [{flag_variable('--once')}]"
    )
    parser.add_argument(
        "--port", type=_port, metavar="PORT", help=f"of the gateway (default: a free one) [{flag_variable('--port')}]"
    )


def _add_check(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(commands, "check", "validate the configuration and try each upstream", _CHECK, "check")
    _flag(parser, "--config", "FILE", "configuration file (YAML)")
    _store_flag(parser)
    _upstream_flag(parser)


def _add_store(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    store = commands.add_parser("store", help="look after a session store", description="Look after a session store.")
    actions = store.add_subparsers(title="commands", metavar="COMMAND", required=True)
    parser = _add(actions, "check", "verify a whole store", _STORE_CHECK, "store check")
    _flag(parser, "--config", "FILE", "configuration file (YAML)")
    _store_flag(parser)


def _store_flag(parser: argparse.ArgumentParser) -> None:
    _flag(parser, "--store", "URL", "memory: or sqlite:///path (default sqlite:///antiphon.db)")


def _upstream_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--upstream", metavar="URL[#DIALECT]", action="append", dest="upstreams",
        help="model server, such as http://127.0.0.1:9000/v1; the dialect is openai_chat if none is named; may be "
        f"given several times [{flag_variable('--upstream')}]",
    )  # fmt: skip


def _flag(parser: argparse.ArgumentParser, flag: str, metavar: str, text: str, *, dest: str | None = None) -> None:
    parser.add_argument(
        flag, metavar=metavar, dest=dest or flag.removeprefix("--"), help=f"{text} [{flag_variable(flag)}]"
    )


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"'{text}' is not a port: 0 to 65535")
    return int(text)
