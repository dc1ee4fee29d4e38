"""
What can be written on the command line.

Every flag has an environment variable, which ``--help`` names, and flags win over the environment, which wins over the
file. So a flag that was not given must leave no trace here: its value comes from the settings.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from antiphon import __version__
from antiphon.cli.admin_arguments import add_audit, add_keys, add_store, add_tenants
from antiphon.cli.flags import Commands, add_command, add_flag, config_flag, key_flag, store_flag
from antiphon.settings import FLAGS, flag_variable

__all__ = ["Command", "parse"]

_DESCRIPTION = """\
Gives any language model a memory: OpenAI's Responses and Conversations APIs with their state, in front of any upstream.
"""

_SERVE = """\
Serve the API. Without a configuration file and without --upstream it serves every vendor whose key is in its usual
variable (OPENAI_API_KEY, ANTHROPIC_API_KEY, DEEPSEEK_API_KEY, ...), and the model servers of this machine (Ollama,
LM Studio, llama.cpp, vLLM, SGLang on their usual ports).

The first line on stdout is 'listening on http://HOST:PORT'. SIGTERM and Ctrl-C let running turns end, then exit 0.

What is stored is sealed: with the key in the file beside the store (STORE.key, made on the first start), or with what
--key says. Where other machines can reach it, it asks for API keys: see 'antiphon keys'.
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


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """
    A parsed command line.

    Attributes:
        name: The command with its action: ``serve``, ``keys create``.
        overrides: Settings by dotted key, of the flags that were given.
        config: The configuration file, if there is one.
        environment: The process's variables.
        options: What the command has besides settings, by name; what was not given is absent.
    """

    name: str
    environment: Mapping[str, str]
    overrides: Mapping[str, object] = msgspec.field(default_factory=dict)
    config: Path | None = None
    options: Mapping[str, Any] = msgspec.field(default_factory=dict)

    @property
    def once(self) -> bool:
        """Of ``demo``: do not keep serving."""
        return bool(self.options.get("once")) or _is_set(self.environment, "--once")

    @property
    def port(self) -> int | None:
        """Of ``demo``: the port that was asked for."""
        if "port" in self.options:
            return int(self.options["port"])
        written = self.environment.get(flag_variable("--port"), "")
        return int(written) if written.isdigit() else None


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Command:
    """
    Read a command line.

    Raises:
        SystemExit: With code 2 after telling what is wrong, or with 0 after ``--help`` and ``--version``.
    """
    given = {key: value for key, value in vars(_parser().parse_args(arguments)).items() if value is not None}
    config = given.pop("config", None) or environment.get(flag_variable("--config")) or None
    return Command(
        name=given.pop("command"),
        environment=environment,
        overrides={key: value for key, value in given.items() if key in _KEYS},
        config=Path(config) if config else None,
        options={key: value for key, value in given.items() if key not in _KEYS},
    )


_KEYS = {".".join(key) for key in FLAGS}


def _is_set(environment: Mapping[str, str], flag: str) -> bool:
    return environment.get(flag_variable(flag), "").lower() in {"1", "true", "yes"}


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
    add_tenants(commands)
    add_keys(commands)
    add_store(commands)
    add_audit(commands)
    return parser


def _add_serve(commands: Commands) -> None:
    parser = add_command(commands, "serve", "serve the API", _SERVE)
    config_flag(parser)
    add_flag(parser, "--host", "HOST", "address to listen on (default 127.0.0.1)", dest="server.host")
    add_flag(parser, "--port", "PORT", "port to listen on; 0 picks a free one (default 8080)", dest="server.port")
    store_flag(parser)
    key_flag(parser)
    _upstream_flag(parser)
    parser.add_argument(
        "--no-auth", dest="server.no_auth", action="store_true", default=None,
        help=f"let everybody in, even if there are keys; refused where other machines reach it "
        f"[{flag_variable('--no-auth')}]",
    )  # fmt: skip
    admin = "where administrators are served: never without a key"
    add_flag(parser, "--admin-port", "PORT", f"{admin} (default: nowhere)", dest="admin.port")
    add_flag(parser, "--admin-host", "HOST", "the address of that (default 127.0.0.1)", dest="admin.host")
    add_flag(parser, "--log-level", "LEVEL", "debug, info, warning or error (default info)", dest="log_level")


def _add_demo(commands: Commands) -> None:
    parser = add_command(commands, "demo", "see it work on this machine, without any key", _DEMO)
    parser.add_argument(
        "--once", action="store_true", default=None,
        help=f"exit after the two turns: 0 if it remembered [{flag_variable('--once')}]",
    )  # fmt: skip
    parser.add_argument(
        "--port", type=_port, metavar="PORT", help=f"of the gateway (default: a free one) [{flag_variable('--port')}]"
    )


def _add_check(commands: Commands) -> None:
    parser = add_command(commands, "check", "validate the configuration and try each upstream", _CHECK)
    config_flag(parser)
    store_flag(parser)
    key_flag(parser)
    _upstream_flag(parser)


def _upstream_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--upstream", metavar="URL[#PROVIDER]", action="append", dest="upstreams",
        help="model server, such as http://127.0.0.1:9000/v1; it speaks openai_chat if no provider is named; or the "
        f"name of a provider alone, such as deepseek; may be given several times [{flag_variable('--upstream')}]",
    )  # fmt: skip


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"'{text}' is not a port: 0 to 65535")
    return int(text)
