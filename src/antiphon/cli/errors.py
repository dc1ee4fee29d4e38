"""What ends a command before it has done its work."""

from __future__ import annotations

__all__ = ["CommandFailed", "ConfigurationError"]


class CommandFailed(Exception):
    """It could not be done. Exit code 1."""


class ConfigurationError(Exception):
    """
    It could not be tried: the operator has to write something else. Exit code 2.

    The settings are well-formed, and cannot be served: a quirk that there is not, a port that is taken.
    """
