"""Answering ``HEAD``: the head of what ``GET`` would be answered, and no byte of its body (RFC 9110, section 9.3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from antiphon.server.body import ClientDisconnected
from antiphon.server.reply import Send

__all__ = ["without_body"]


def without_body(send: Send) -> Send:
    """
    A *send* that lets an answer's head through and ends the answer there.

    Whoever goes on to send a body of unknown length, which may take for ever, is told that nobody listens any more.
    """

    async def send_head(message: Mapping[str, Any]) -> None:
        if message["type"] != "http.response.start":
            return
        await send(message)
        await send({"type": "http.response.body", "body": b""})
        if all(name != b"content-length" for name, _ in message["headers"]):
            raise ClientDisconnected

    return send_head
