"""The command line: it reads settings, builds the application and tells people what happens."""

from antiphon.cli.main import main

__all__ = ["main"]
