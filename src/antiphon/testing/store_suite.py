"""
The conformance suite of session stores: what :mod:`antiphon.sessions.store` says in words, in code.

A backend passes all of it, with nothing skipped. Run it from any test runner::

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
    async def test_conformance(check, fixture):
        await check.run(fixture)

Each check needs a fixture of its own: an empty, opened store made with the fixture's clock.
"""

from __future__ import annotations

from antiphon.testing.store_audit import checks as audit_checks
from antiphon.testing.store_cascade import checks as cascade_checks
from antiphon.testing.store_conversations import checks as conversation_checks
from antiphon.testing.store_deliveries import checks as delivery_checks
from antiphon.testing.store_directory import checks as directory_checks
from antiphon.testing.store_end_users import checks as end_user_checks
from antiphon.testing.store_erasing import checks as erasing_checks
from antiphon.testing.store_families import checks as family_checks
from antiphon.testing.store_fixture import Check, FixedClock, StoreFixture
from antiphon.testing.store_forks import checks as fork_checks
from antiphon.testing.store_keys import checks as key_checks
from antiphon.testing.store_leases import checks as lease_checks
from antiphon.testing.store_library import checks as library_checks
from antiphon.testing.store_pages import checks as page_checks
from antiphon.testing.store_pending import checks as pending_checks
from antiphon.testing.store_receipts import checks as receipt_checks
from antiphon.testing.store_sessions import checks as session_checks
from antiphon.testing.store_tenant_erasing import checks as tenant_erasing_checks
from antiphon.testing.store_turns import checks as turn_checks
from antiphon.testing.store_updates import checks as update_checks
from antiphon.testing.store_vault import checks as vault_checks

__all__ = ["CHECKS", "Check", "FixedClock", "StoreFixture"]

CHECKS: tuple[Check, ...] = (
    *turn_checks.checks,
    *session_checks.checks,
    *conversation_checks.checks,
    *page_checks.checks,
    *lease_checks.checks,
    *erasing_checks.checks,
    *fork_checks.checks,
    *cascade_checks.checks,
    *library_checks.checks,
    *update_checks.checks,
    *pending_checks.checks,
    *key_checks.checks,
    *delivery_checks.checks,
    *vault_checks.checks,
    *family_checks.checks,
    *directory_checks.checks,
    *audit_checks.checks,
    *receipt_checks.checks,
    *end_user_checks.checks,
    *tenant_erasing_checks.checks,
)
