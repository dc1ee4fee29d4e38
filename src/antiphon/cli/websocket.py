"""How uvicorn serves WebSockets here: with which options, and with which changes to its own way."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from antiphon.server.ws_connection import DRAIN

__all__ = ["DrainingWebSocket", "websocket_options"]

_NO_HANDSHAKE = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


def websocket_options(*, max_body_bytes: int) -> dict[str, Any]:
    """
    Arguments of :class:`uvicorn.Config`.

    Args:
        max_body_bytes: The longest frame that is taken. The application refuses a longer one by an error frame; from
            twice as long on, uvicorn does not take it in and closes the connection with 1009.
    """
    return {
        "ws": DrainingWebSocket,
        "ws_max_size": 2 * max_body_bytes,
        # A ping after so much silence keeps proxies from giving up; who does not answer one has gone.
        "ws_ping_interval": 20.0,
        "ws_ping_timeout": 20.0,
        # Compression would undo the padding of deltas: their sizes would tell their content again.
        "ws_per_message_deflate": False,
    }


class DrainingWebSocket(WebSocketsSansIOProtocol):
    """
    uvicorn's WebSocket, which lets the application end a connection when the server drains.

    uvicorn itself closes it at once, in the middle of whatever is being told. Our application closes it when its turns
    have ended; uvicorn's own limit of a drain holds for it as for every request.
    """

    def data_received(self, data: bytes) -> None:
        """Called with what the client has sent."""
        super().data_received(data)
        # uvicorn looks away from an upgrade that is no request of a WebSocket's (a POST): the client would wait for
        # ever, and the drain would fail on the connection. To be dropped when uvicorn answers it.
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.close_sent = True
            self.transport.write(_NO_HANDSHAKE)
            self.transport.close()

    def shutdown(self) -> None:
        """Called by uvicorn for every connection when it drains."""
        if self.handshake_complete and not self.close_sent:
            drain: Any = {"type": DRAIN}  # ASGI has no word for it
            self.queue.put_nowait(drain)
        else:
            super().shutdown()
