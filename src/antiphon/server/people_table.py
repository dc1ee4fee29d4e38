"""
The table of the operations about people and about what was done: end users and the audit trail. A part of the table of
all.

See :mod:`antiphon.server.table` for what a row is.
"""

from __future__ import annotations

from antiphon.hub.errors import ConversationLocked
from antiphon.server.audit import AuditEndpoints
from antiphon.server.end_users import EndUsersEndpoints
from antiphon.server.routes import Route

__all__ = ["people_operations"]


def people_operations(end_users: EndUsersEndpoints, audit: AuditEndpoints) -> list[Route]:
    """Every operation about people, in the order of the published document."""
    return [
        Route(
            "GET",
            "/v1/end_users/{end_user}/export",
            end_users.export,
            "Export an end user's data",
            name="exportEndUser",
            tag="End users",
            scope="end_users:export",
            answer="EndUserLines",
            media_type="application/jsonl",
            extension=True,
            details="An end user is whom requests name in 'safety_identifier', or else in 'user'. Written while it is "
            "read; a file that ends well is whole. Of one who is unknown, it is only the line that says what it is.",
        ),
        Route(
            "DELETE",
            "/v1/end_users/{end_user}",
            end_users.erase,
            "Erase an end user's data",
            name="eraseEndUser",
            tag="End users",
            scope="end_users:erase",
            query="ErasureQuery",
            answer="DeletedEndUser",
            extension=True,
            errors=(ConversationLocked,),
            details="His responses go, the conversations that they were made in, and all that stands on either. Of one "
            "who is unknown, the receipt is empty.",
        ),
        Route(
            "GET",
            "/v1/audit",
            audit.list,
            "Read the audit trail",
            name="listAuditEntries",
            tag="Audit",
            scope="audit:read",
            query="AuditQuery",
            answer="AuditTrail",
            extension=True,
            details="Who did what to which id, when, and how it went; oldest first. No content is in it.",
        ),
    ]
