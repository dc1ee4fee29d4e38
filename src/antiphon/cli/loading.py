"""Settings for a command: what is configured, or what is found if nothing is."""

from __future__ import annotations

from collections.abc import Mapping

from antiphon.app import check_quirks, complete, provider_names
from antiphon.cli.arguments import Command
from antiphon.cli.discovery import discover
from antiphon.cli.errors import ConfigurationError
from antiphon.settings import Settings

__all__ = ["load_settings", "load_settings_with_upstreams"]

_NOTHING_FOUND = """\
there is no model server to put a gateway in front of. One of these helps:
  antiphon serve --upstream http://127.0.0.1:9000/v1      any OpenAI-compatible server
  export OPENAI_API_KEY=...                               OpenAI itself; other vendors likewise
  start Ollama, LM Studio, llama.cpp, vLLM or SGLang      found on their usual ports
  antiphon demo                                           a small model on this machine, nothing else needed"""


def load_settings(command: Command) -> Settings:
    """
    The settings that a command line, the environment and the file say.

    Raises:
        SettingsError: With every problem.
    """
    return _load(command, command.overrides)


async def load_settings_with_upstreams(command: Command) -> Settings:
    """
    The same, with at least one upstream: discovered ones if none is configured.

    Raises:
        SettingsError: With every problem.
        ConfigurationError: No upstream is configured and none was found.
    """
    settings = load_settings(command)
    if settings.upstreams:
        return settings
    found = await discover(command.environment)
    if not found:
        raise ConfigurationError(_NOTHING_FOUND)
    return _load(command, {**command.overrides, "upstreams": found})


def _load(command: Command, overrides: Mapping[str, object]) -> Settings:
    return Settings.load(
        command.config,
        command.environment,
        overrides,
        dialects=provider_names(),
        check_quirks=check_quirks,
        complete=complete,
    )
