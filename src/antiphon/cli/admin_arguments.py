"""What can be written behind ``antiphon tenants``, ``keys``, ``store`` and ``audit``."""

from __future__ import annotations

import argparse
import re

from antiphon.cli.flags import Commands, add_command, add_group, config_flag, key_flag, store_flag

__all__ = ["add_audit", "add_keys", "add_store", "add_tenants"]

_TENANTS = """\
Tenants share a gateway, each with state of its own that no other can reach. These commands may run while a server does,
which follows within a second.
"""
_KEYS = """\
API keys let a tenant's programs in. A key is shown once, when it is made; the store has only a keyed hash of it. These
commands may run while a server does, which follows within a second.
"""
_STORE = "Look after a session store."
_AUDIT = "Audit trails: who did what to which id, and when. '_system' is the trail of administrators."

_EXPORT = """\
Everything that a tenant has stored, or what was made on behalf of one of its end users, as JSON lines on stdout.
"""
_ERASE = """\
Erase a tenant: its keys first, so that nothing of it can be opened any more, then everything but its audit trail. Or
erase what was made on behalf of one of its end users. Prints a receipt. Asks before it begins, unless --yes is given.
"""
_ROTATE = """\
Give an API key a new secret, and print the new key. The one before works on for the grace time.
"""
_STORE_CHECK = """\
Verify a whole session store: histories without gaps, forks and references that lead somewhere, whole turns. Prints one
line for each problem. May run while a server uses the store. Exit code 0: sound; 1: problems.
"""
_BACKUP = """\
Write a whole and consistent copy while a server runs. What is sealed stays sealed in it: the key is not in it.
"""
_SEAL = """\
Seal what is stored in the clear, and rewrite the file so that nothing of it is left. Stop the server first.
"""
_ROTATE_ROOT = """\
Wrap every tenant's key with a new root key: in a key file, one that is added to it; elsewhere, the newest one there is.
Nothing that is stored changes, so it takes seconds, and a server goes on meanwhile.
"""
_ROTATE_TENANT = """\
Give a tenant a new key, and seal everything that it has anew, while a server goes on. Can be cut off and started again.
"""
_VERIFY = """\
Open every sealed payload of the store. Prints one line for each that cannot be opened. Exit code 0: all; 1: problems.
"""
_SWEEP = """\
Erase what has expired, and print a receipt. A server does that by itself, every minute.
"""

_SPAN = re.compile(r"(\d+)([smhd]?)\Z")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def add_tenants(commands: Commands) -> None:
    """``antiphon tenants …``."""
    actions = add_group(commands, "tenants", "who shares this gateway", _TENANTS)
    create = _action(actions, "tenants", "create", "add a tenant, and print its name")
    create.add_argument("tenant", metavar="NAME", help="lower-case letters, digits, '_' and '-'; at most 63")
    _tenant_options(create)
    _json_flag(_action(actions, "tenants", "list", "all tenants"))
    show = _action(actions, "tenants", "show", "a tenant with its keys")
    show.add_argument("tenant", metavar="NAME")
    _json_flag(show)
    for name, text in (
        ("suspend", "refuse a tenant everything, from within a second on"),
        ("resume", "let a suspended tenant in again"),
    ):
        _action(actions, "tenants", name, text).add_argument("tenant", metavar="NAME")
    change = _action(actions, "tenants", "set", "change how much a tenant may store, and for how long")
    change.add_argument("tenant", metavar="NAME")
    _tenant_options(change)
    export = _action(actions, "tenants", "export", "take out what a tenant has stored", _EXPORT)
    export.add_argument("tenant", metavar="NAME")
    _end_user(export)
    _erase(actions)


def _erase(actions: Commands) -> None:
    erase = _action(actions, "tenants", "erase", "erase a tenant, or one of its end users", _ERASE)
    erase.add_argument("tenant", metavar="NAME")
    _end_user(erase)
    _dry_run(erase)
    _json_flag(erase)
    erase.add_argument("--yes", action="store_true", default=None, help="do not ask")


def add_keys(commands: Commands) -> None:
    """``antiphon keys …``."""
    actions = add_group(commands, "keys", "what tenants' programs are let in with", _KEYS)
    _create_key(actions)
    listed = _action(actions, "keys", "list", "all API keys, without the keys")
    listed.add_argument("--tenant", metavar="NAME", help="of this tenant only")
    _json_flag(listed)
    rotate = _action(actions, "keys", "rotate", "give an API key a new secret, and print it", _ROTATE)
    rotate.add_argument("key_id", metavar="ID")
    rotate.add_argument(
        "--grace", type=_span, metavar="TIME", dest="grace_s",
        help="how long the secret before works on, such as 24h, 30m or 0 (default 24h)",
    )  # fmt: skip
    rotate.add_argument(
        "--again", action="store_true", default=None,
        help="while an earlier rotation's grace lasts: replace the secret that it made, which got lost",
    )  # fmt: skip
    _action(actions, "keys", "revoke", "end an API key, within a second").add_argument("key_id", metavar="ID")


def _create_key(actions: Commands) -> None:
    create = _action(actions, "keys", "create", "make an API key, and print it")
    whose = create.add_mutually_exclusive_group(required=True)
    whose.add_argument("--tenant", metavar="NAME", help="whose key it is")
    whose.add_argument(
        "--admin", action="store_true", default=None, help="an administrator's key, for the listener of --admin-port"
    )
    create.add_argument("--name", metavar="TEXT", help="for people")
    create.add_argument(
        "--scopes", type=_words, metavar="A,B", help="what it may do, such as responses:read (default: everything)"
    )
    create.add_argument("--models", type=_words, metavar="A,B", help="which models it may ask for (default: all)")
    create.add_argument("--expires-days", metavar="DAYS", help="how long it works (default: for ever)")
    for flag, field, text in (
        ("--rpm", "requests_per_minute", "requests a minute"),
        ("--tpm", "tokens_per_minute", "tokens a minute"),
        ("--parallel", "parallel_turns", "turns at once"),
    ):
        create.add_argument(flag, metavar="N", dest=field, help=f"at most so many {text}")


def add_store(commands: Commands) -> None:
    """``antiphon store …``."""
    actions = add_group(commands, "store", "look after a session store", _STORE)
    _action(actions, "store", "check", "verify a whole store", _STORE_CHECK)
    backup = _action(actions, "store", "backup", "copy a store while a server runs", _BACKUP)
    backup.add_argument("file", metavar="FILE", help="must not be there yet")
    _action(actions, "store", "seal", "seal what is stored in the clear", _SEAL)
    _action(actions, "store", "rotate-root", "wrap all keys with a new root key", _ROTATE_ROOT)
    rotate = _action(actions, "store", "rotate-tenant", "give a tenant a new key", _ROTATE_TENANT)
    rotate.add_argument("tenant", metavar="NAME")
    _action(actions, "store", "verify", "open every sealed payload", _VERIFY)
    _dry_run(_action(actions, "store", "sweep", "erase what has expired", _SWEEP))


def add_audit(commands: Commands) -> None:
    """``antiphon audit …``."""
    actions = add_group(commands, "audit", "who did what, and when", _AUDIT)
    listed = _action(actions, "audit", "list", "a trail's entries, oldest first")
    listed.add_argument("--tenant", metavar="NAME", required=True, help="or _system")
    listed.add_argument("--after", metavar="INDEX", help="begin behind this entry")
    listed.add_argument("--limit", metavar="N", help="at most so many (default: all)")
    listed.add_argument("--object", metavar="ID", dest="object_id", help="of what was done to this id")
    listed.add_argument("--actor", metavar="ID", help="of what this actor did")
    _json_flag(listed)
    verify = _action(actions, "audit", "verify", "see whether a trail is whole; exit code 1 if it is not")
    verify.add_argument("--tenant", metavar="NAME", required=True, help="or _system")


def _action(actions: Commands, group: str, name: str, short: str, long: str = "") -> argparse.ArgumentParser:
    described = long or f"{short[:1].upper()}{short[1:]}."
    parser = add_command(actions, name, short, described, group=group)
    config_flag(parser)
    store_flag(parser)
    key_flag(parser)
    return parser


def _tenant_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--retention-days", metavar="DAYS",
        help="how long its responses live from now on; 'default' for what the gateway is configured with",
    )  # fmt: skip
    parser.add_argument("--max-stored-bytes", metavar="BYTES", help="how much it may store; 'none' for no limit")


def _end_user(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--end-user", metavar="ID", help="only what was made for this end user (safety_identifier, else user)"
    )


def _dry_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", default=None, help="change nothing; print what would go")


def _json_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", default=None, help="print JSON")


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _span(text: str) -> int:
    match = _SPAN.match(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"'{text}' is not a time such as 24h, 30m, 90s or 0")
    return int(match[1]) * _SECONDS[match[2]]
