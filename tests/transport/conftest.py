"""What the transport's tests share."""

from __future__ import annotations

import ssl

import pytest
import trustme


@pytest.fixture(scope="session")
def untrusted_tls() -> ssl.SSLContext:
    """A server's TLS with a certificate of an authority that nobody knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context
