"""Key services: where root keys are, and the way to them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from antiphon.crypto.services.aws_kms import AwsKms
from antiphon.crypto.services.command import CommandKeys
from antiphon.crypto.services.environment import EnvironmentKeys
from antiphon.crypto.services.ephemeral import EphemeralKeys
from antiphon.crypto.services.key_file import KeyFile
from antiphon.crypto.services.root_keys import RootKey
from antiphon.crypto.services.service import KeyContext, KeyService, Wrapped
from antiphon.crypto.services.vault import VaultTransit

__all__ = [
    "AwsKms",
    "CommandKeys",
    "EnvironmentKeys",
    "EphemeralKeys",
    "KeyContext",
    "KeyFile",
    "KeyService",
    "RootKey",
    "VaultTransit",
    "Wrapped",
    "open_service",
]

_FORMS = "file:PATH, env:NAME, command:ARGV, aws-kms:ARN or vault:URL#MOUNT/KEY"


def open_service(
    url: str | None, store_path: str | Path | None, *, environ: Mapping[str, str] | None = None
) -> KeyService:
    """
    The key service that ``sealing.key`` names. It is not opened yet.

    Args:
        url: ``file:PATH``, ``env:NAME``, ``command:ARGV`` (words as in a shell, which it never sees), ``aws-kms:ARN``
            or ``vault:URL#MOUNT/KEY``. None is the file ``STORE.key`` beside the store's; for a store without one, a
            key that dies with the process.
        store_path: The store's file; None for a store in memory.
        environ: The process's environment by default.

    Raises:
        ValueError: It names none. The message does not repeat it, since it may be a key by mistake.
    """
    environ = os.environ if environ is None else environ
    if url is None:
        return EphemeralKeys() if store_path is None else KeyFile(Path(f"{store_path}.key"))
    scheme, _, rest = url.partition(":")
    rest = rest.strip()
    if not rest:
        raise ValueError(f"The key of a store is named by {_FORMS}.")
    match scheme:
        case "file":
            return KeyFile(Path(rest.removeprefix("//")).expanduser())
        case "env":
            return EnvironmentKeys(rest, environ)
        case "command":
            return CommandKeys(shlex.split(rest))
        case "aws-kms":
            return AwsKms(rest)
        case "vault":
            return VaultTransit(rest, environ)
        case _:
            raise ValueError(f"There is no such kind of key service. The key of a store is named by {_FORMS}.")
