"""
The statements of erasing a tenant in batches, by name; see :mod:`antiphon.stores.sqlite.queries`. ``?1`` is the tenant,
``?2`` how many are taken.
"""

from __future__ import annotations

from typing import Final

# From here on nothing is stored for it, and what is stored cannot be opened.
BEGIN_ERASING: Final = "UPDATE tenants SET state = 'erasing', secret = NULL WHERE tenant = ?1"

DROP_TENANT_KEYS: Final = "DELETE FROM tenant_keys WHERE tenant = ?1"

READ_SOME_PENDING: Final = "SELECT p.response_id FROM pending p WHERE p.tenant = ?1 LIMIT ?2"

READ_SOME_KEYS: Final = "SELECT i.key FROM idempotency i WHERE i.tenant = ?1 LIMIT ?2"

READ_SOME_PROMPTS: Final = "SELECT DISTINCT p.id FROM prompts p WHERE p.tenant = ?1 LIMIT ?2"

READ_SOME_CONVERSATIONS: Final = "SELECT c.id FROM conversations c WHERE c.tenant = ?1 LIMIT ?2"

# The newest first: what nothing stands on lets go of its items at once.
READ_SOME_RESPONSES: Final = """
SELECT r.id FROM responses r WHERE r.tenant = ?1 ORDER BY r.insertion_index DESC LIMIT ?2
"""

# Last of all, so that whoever asks meanwhile hears that it is being erased.
DROP_TENANT: Final = "DELETE FROM tenants WHERE tenant = ?1"
