"""
The links of an audit trail's chain: what ties an entry to all entries before it.

A link is HMAC-SHA-256 over the entry's index, the link before it and every field of the entry, with all their lengths
in front, so that no two entries have the same text. Its key is derived from the tenant's secret, which the store has
only sealed: who can write the database and has no keys can neither change an entry nor add one.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Sequence

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from antiphon.sessions.directory import AuditEntry, AuditRecord

__all__ = ["AuditLink"]

_INFO = b"antiphon/v1/audit"

# The index and the time, then the lengths of what follows in UTF-8; numbers are unsigned and big-endian.
_HEAD = struct.Struct(">QQ6I")


class AuditLink:
    """
    Computes the links of one tenant's trail.

    Args:
        secret: The tenant's.
    """

    def __init__(self, secret: bytes) -> None:
        key = HKDF(algorithm=SHA256(), length=32, salt=None, info=_INFO).derive(secret)
        self._begun = HMAC(key, SHA256())  # copied for each link: half the cost of beginning anew

    def __call__(self, previous: bytes, index: int, entry: AuditEntry) -> bytes:
        """The link of *entry*; *previous* is the link before it, empty for the first."""
        actor, action = entry.actor.encode(), entry.action.encode()
        object_id, outcome, request_id = entry.object_id.encode(), entry.outcome.encode(), entry.request_id.encode()
        head = _HEAD.pack(
            index, entry.at_ms, len(previous), len(actor), len(action), len(object_id), len(outcome), len(request_id)
        )
        mac = self._begun.copy()
        mac.update(b"".join((head, previous, actor, action, object_id, outcome, request_id)))
        return mac.finalize()

    def problems(self, records: Sequence[AuditRecord], *, after: int, previous: bytes) -> list[str]:
        """
        What is wrong with consecutive records of a trail.

        Args:
            after: The index of the record before them; 0 for none.
            previous: The link of that record; empty for none.

        Returns:
            One line for each record that is not where it belongs or was altered. What follows a fault is held against
            what the store says of the fault, so that one alteration is one line.
        """
        found = []
        for record in records:
            if record.index != after + 1:
                found.append(f"Entry {after + 1} is missing: the one after {after} is {record.index}.")
            elif not hmac.compare_digest(record.link, self(previous, record.index, record.entry)):
                found.append(f"Entry {record.index} was altered, or something before it was taken out.")
            after, previous = record.index, record.link
        return found
