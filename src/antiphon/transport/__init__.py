"""Ways to an upstream: over HTTP, and from prepared replies."""

from antiphon.transport.http import HttpTransport, new_session
from antiphon.transport.replay import PreparedReply, ReplayTransport

__all__ = ["HttpTransport", "PreparedReply", "ReplayTransport", "new_session"]
