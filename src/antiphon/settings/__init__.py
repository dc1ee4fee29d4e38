"""One settings tree, from flags over environment over a file; every fault with its place."""

from antiphon.settings.problems import Place, Problem, SettingsError
from antiphon.settings.rules import is_loopback
from antiphon.settings.secret import Secret, webhook_key
from antiphon.settings.tree import (
    BackgroundSettings,
    ModelSettings,
    ResponsesSettings,
    ServerSettings,
    Settings,
    TargetSettings,
    TimeoutSettings,
    UpstreamSettings,
    WebhookSettings,
)
from antiphon.settings.variables import FLAGS, flag_variable, unknown_variables

__all__ = [
    "FLAGS",
    "BackgroundSettings",
    "ModelSettings",
    "Place",
    "Problem",
    "ResponsesSettings",
    "Secret",
    "ServerSettings",
    "Settings",
    "SettingsError",
    "TargetSettings",
    "TimeoutSettings",
    "UpstreamSettings",
    "WebhookSettings",
    "flag_variable",
    "is_loopback",
    "unknown_variables",
    "webhook_key",
]
