"""What holds of pending turns, their streams, idempotency keys and deliveries in a sound file."""

from __future__ import annotations

from typing import Final

__all__ = ["WORK_CHECKS"]

# (what is wrong, what it is about), as in :mod:`antiphon.stores.sqlite.checking`.
WORK_CHECKS: Final[tuple[tuple[str, str], ...]] = (
    (
        "response {} is pending and stored",
        "SELECT p.response_id FROM pending p JOIN responses r ON r.tenant = p.tenant AND r.id = p.response_id",
    ),
    (
        "the pending turn {} has no place in lists and is in the background, or the other way round",
        "SELECT p.response_id FROM pending p WHERE (p.insertion_index IS NULL) <> (p.background = 0)",
    ),
    (
        "the pending turn {} has the place of another response",
        """
        SELECT p.response_id FROM pending p
        JOIN responses r ON r.tenant = p.tenant AND r.insertion_index = p.insertion_index
        """,
    ),
    (
        "the pending turn {} has lost its request",
        """
        SELECT p.response_id FROM pending p LEFT JOIN pending_requests q USING (tenant, response_id)
        WHERE q.payload IS NULL
        """,
    ),
    (
        "a request is kept for {}, which is not pending",
        """
        SELECT q.response_id FROM pending_requests q LEFT JOIN pending p USING (tenant, response_id)
        WHERE p.response_id IS NULL
        """,
    ),
    (
        "stream events are kept for {}, which is not pending",
        """
        SELECT DISTINCT e.response_id FROM stream_events e LEFT JOIN pending p USING (tenant, response_id)
        WHERE p.response_id IS NULL
        """,
    ),
    (
        "the stream of the pending turn {} has gaps, or is not as long as its row says",
        """
        SELECT p.response_id FROM pending p LEFT JOIN (
            SELECT tenant, response_id, min(first) AS low, max(first + count) AS high, sum(count) AS events
            FROM stream_events GROUP BY tenant, response_id
        ) s USING (tenant, response_id)
        WHERE s.events <> s.high - s.low OR p.next_event IS NOT s.high OR (s.high IS NULL) <> (p.status = 'queued')
        """,
    ),
    (
        "an idempotency key is bound to {}, which is not pending for it",
        """
        SELECT i.response_id FROM idempotency i
        WHERE i.response_id IS NOT NULL AND i.settled = 0 AND NOT EXISTS (
            SELECT 1 FROM pending p WHERE p.tenant = i.tenant AND p.response_id = i.response_id AND p.key = i.key
        )
        """,
    ),
    (
        "an idempotency key of tenant {} is claimed although it is bound or settled, or none of these",
        """
        SELECT DISTINCT i.tenant FROM idempotency i
        WHERE (i.holder IS NULL) <> (i.settled = 1 OR i.response_id IS NOT NULL)
        """,
    ),
    (
        "tenant {} has given a claim on a key that its counter has not reached",
        """
        SELECT DISTINCT i.tenant FROM idempotency i LEFT JOIN tenants t USING (tenant)
        WHERE t.tenant IS NULL OR i.epoch >= t.next_key_epoch
        """,
    ),
    (
        "delivery {} tells of a response that is not there",
        """
        SELECT d.id FROM deliveries d LEFT JOIN responses r ON r.tenant = d.tenant AND r.id = d.response_id
        WHERE r.id IS NULL
        """,
    ),
)
