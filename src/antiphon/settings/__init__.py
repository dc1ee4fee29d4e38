"""One settings tree, from flags over environment over a file; every fault with its place."""

from antiphon.settings.access import Access, AccessRefused, access_of, check_administration, is_loopback
from antiphon.settings.problems import Place, Problem, SettingAtFault, SettingsError
from antiphon.settings.secret import Secret, webhook_key
from antiphon.settings.tree import (
    AdminSettings,
    AuthSettings,
    BackgroundSettings,
    CapacitySettings,
    JwtSettings,
    LimitSettings,
    ModelSettings,
    ResponsesSettings,
    RoutingSettings,
    SealingSettings,
    ServerSettings,
    Settings,
    TargetSettings,
    TargetTimeouts,
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
    "CapacitySettings",
    "JwtSettings",
    "LimitSettings",
    "ModelSettings",
    "Place",
    "Problem",
    "ResponsesSettings",
    "RoutingSettings",
    "SealingSettings",
    "Secret",
    "ServerSettings",
    "SettingAtFault",
    "Settings",
    "SettingsError",
    "TargetSettings",
    "TargetTimeouts",
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
