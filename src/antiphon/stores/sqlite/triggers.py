"""
What the database itself keeps true: the sums of payloads, and that nothing in an audit trail changes.

A tenant's row exists before its first payload does, and its ``stored_bytes`` follows every statement that touches one.
A trigger costs 6 µs each time, so the two tables that every turn adds to and every deletion takes from have none for
that: whoever writes there adds up what came and went (:mod:`antiphon.stores.sqlite.writing`), which costs nothing, as
the row is written anyway. The store's check compares both with the truth.
"""

from __future__ import annotations

from typing import Final

__all__ = ["TRIGGERS"]

TRIGGERS: Final = """
CREATE TRIGGER items_changed AFTER UPDATE OF payload ON items BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes + coalesce(length(new.payload), 0) - coalesce(length(old.payload), 0)
    WHERE tenant = new.tenant;
END;
CREATE TRIGGER responses_changed AFTER UPDATE OF payload, trace ON responses BEGIN
    UPDATE tenants
    SET stored_bytes = stored_bytes + length(new.payload) + length(new.trace) - length(old.payload) - length(old.trace)
    WHERE tenant = new.tenant;
END;
CREATE TRIGGER conversations_added AFTER INSERT ON conversations BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes + length(new.payload) WHERE tenant = new.tenant;
END;
CREATE TRIGGER conversations_changed AFTER UPDATE OF payload ON conversations BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes + length(new.payload) - length(old.payload)
    WHERE tenant = new.tenant;
END;
CREATE TRIGGER conversations_erased AFTER DELETE ON conversations BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes - length(old.payload) WHERE tenant = old.tenant;
END;
CREATE TRIGGER prompts_added AFTER INSERT ON prompts BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes + length(new.payload) WHERE tenant = new.tenant;
END;
CREATE TRIGGER prompts_changed AFTER UPDATE OF payload ON prompts BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes + length(new.payload) - length(old.payload)
    WHERE tenant = new.tenant;
END;
CREATE TRIGGER prompts_erased AFTER DELETE ON prompts BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes - length(old.payload) WHERE tenant = old.tenant;
END;
CREATE TRIGGER pending_requests_added AFTER INSERT ON pending_requests BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes + length(new.payload) WHERE tenant = new.tenant;
END;
CREATE TRIGGER pending_requests_changed AFTER UPDATE OF payload ON pending_requests BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes + length(new.payload) - length(old.payload)
    WHERE tenant = new.tenant;
END;
CREATE TRIGGER pending_requests_erased AFTER DELETE ON pending_requests BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes - length(old.payload) WHERE tenant = old.tenant;
END;
CREATE TRIGGER stream_events_added AFTER INSERT ON stream_events BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes + length(new.payload) WHERE tenant = new.tenant;
END;
CREATE TRIGGER stream_events_changed AFTER UPDATE OF payload ON stream_events BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes + length(new.payload) - length(old.payload)
    WHERE tenant = new.tenant;
END;
CREATE TRIGGER stream_events_erased AFTER DELETE ON stream_events BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes - length(old.payload) WHERE tenant = old.tenant;
END;
CREATE TRIGGER idempotency_added AFTER INSERT ON idempotency WHEN new.answer IS NOT NULL BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes + length(new.answer) WHERE tenant = new.tenant;
END;
CREATE TRIGGER idempotency_changed AFTER UPDATE OF answer ON idempotency BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes + coalesce(length(new.answer), 0) - coalesce(length(old.answer), 0)
    WHERE tenant = new.tenant;
END;
CREATE TRIGGER idempotency_erased AFTER DELETE ON idempotency WHEN old.answer IS NOT NULL BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes - length(old.answer) WHERE tenant = old.tenant;
END;
CREATE TRIGGER deliveries_added AFTER INSERT ON deliveries BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes + length(new.payload) WHERE tenant = new.tenant;
END;
CREATE TRIGGER deliveries_changed AFTER UPDATE OF payload ON deliveries BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes + length(new.payload) - length(old.payload)
    WHERE tenant = new.tenant;
END;
CREATE TRIGGER deliveries_erased AFTER DELETE ON deliveries BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes - length(old.payload) WHERE tenant = old.tenant;
END;
CREATE TRIGGER secret_changed AFTER UPDATE OF secret ON tenants BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes + coalesce(length(new.secret), 0) - coalesce(length(old.secret), 0)
    WHERE tenant = new.tenant;
END;
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN
    SELECT raise(ABORT, 'an entry of the audit trail is never changed');
END;
CREATE TRIGGER audit_is_not_erased BEFORE DELETE ON audit BEGIN
    SELECT raise(ABORT, 'an entry of the audit trail is never erased');
END;
"""
