"""One settings tree, from flags over environment over a file; every fault with its place."""

from antiphon.settings.access import Access, AccessRefused, access_of, check_administration, is_loopback
from antiphon.settings.problems import Place, Problem, SettingsError
from antiphon.settings.secret import Secret, webhook_key
from antiphon.settings.tree import (
    AdminSettings,
    AuthSettings,
    BackgroundSettings,
    JwtSettings,
    LimitSettings,
    ModelSettings,
    ResponsesSettings,
    SealingSettings,
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
    "Access",
    "AccessRefused",
    "AdminSettings",
    "AuthSettings",
    "BackgroundSettings",
    "JwtSettings",
    "LimitSettings",
    "ModelSettings",
    "Place",
    "Problem",
    "ResponsesSettings",
    "SealingSettings",
    "Secret",
    "ServerSettings",
    "Settings",
    "SettingsError",
    "TargetSettings",
    "TimeoutSettings",
    "UpstreamSettings",
    "WebhookSettings",
    "access_of",
    "check_administration",
    "flag_variable",
    "is_loopback",
    "unknown_variables",
    "webhook_key",
]
