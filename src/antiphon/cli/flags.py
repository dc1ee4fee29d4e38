"""What commands share: how they are declared, and the flags that many of them have."""

from __future__ import annotations

import argparse
from typing import TypeAlias

from antiphon.settings import flag_variable

__all__ = ["Commands", "add_command", "add_flag", "add_group", "config_flag", "key_flag", "store_flag"]

# What add_subparsers() returns; argparse has no public name for it.
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 - see above


def add_command(commands: Commands, name: str, short: str, long: str, *, group: str = "") -> argparse.ArgumentParser:
    """
    Declare a command.

    Args:
        short: For the list of commands.
        long: For its own ``--help``.
        group: The command that it is an action of.
    """
    parser = commands.add_parser(
        name,
        help=short,
        description=long,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # a new flag must not make an old script ambiguous
    )
    parser.set_defaults(command=f"{group} {name}".lstrip())
    return parser


def add_group(commands: Commands, name: str, short: str, long: str) -> Commands:
    """Declare a command that has actions; returns what these are declared in."""
    parser = commands.add_parser(
        name, help=short, description=long, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    return parser.add_subparsers(title="commands", metavar="COMMAND", required=True)


def add_flag(parser: argparse.ArgumentParser, flag: str, metavar: str, text: str, *, dest: str) -> None:
    """Declare a flag of a setting, which has an environment variable as well."""
    parser.add_argument(flag, metavar=metavar, dest=dest, help=f"{text} [{flag_variable(flag)}]")


def config_flag(parser: argparse.ArgumentParser) -> None:
    """``--config``."""
    add_flag(parser, "--config", "FILE", "configuration file (YAML)", dest="config")


def store_flag(parser: argparse.ArgumentParser) -> None:
    """``--store``."""
    add_flag(parser, "--store", "URL", "memory: or sqlite:///path (default sqlite:///antiphon.db)", dest="store")


def key_flag(parser: argparse.ArgumentParser) -> None:
    """``--key``."""
    text = "where the root key is: file:PATH, env:NAME, command:ARGV, aws-kms:ARN, vault:URL#transit/key, or none"
    add_flag(parser, "--key", "WHERE", f"{text} (default: STORE.key beside the store)", dest="sealing.key")
