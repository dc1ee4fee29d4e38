"""One row of the table: a fault, and its only right outcome."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from antiphon.settings import TimeoutSettings
from tests.transport.servers import Handler

__all__ = ["Answered", "Broken", "Fault", "Outcome", "Refused"]

_PATIENT = TimeoutSettings(connect_s=10, first_byte_s=10, idle_s=10)


@dataclass(frozen=True)
class Refused:
    """
    The request ends in an HTTP error, with a stream or without, and nothing is stored.

    Attributes:
        tries: How often the upstream is asked, where each target may be tried twice.
        elsewhere: Whether the next target is asked then.
        retry_after: What the client is told of it, in seconds.
    """

    status: int
    code: str | None
    type: str = "server_error"
    tries: int = 1
    elsewhere: bool = True
    retry_after: str | None = None


@dataclass(frozen=True)
class Broken:
    """
    The answer has begun and fails: ``response.failed`` in a stream, an HTTP error without; stored as failed, beside
    the main line. Nobody else is asked, as the model may have been heard already.

    Attributes:
        said: What of the model's text had come.
        stream_code: The code in the response's ``error``.
    """

    status: int = 502
    code: str = "upstream_broken"
    type: str = "server_error"
    said: str = ""
    stream_code: str = "server_error"


@dataclass(frozen=True)
class Answered:
    """
    It can be understood, and is an answer like any other.

    Attributes:
        usage: Input and output tokens; None where the upstream gave none.
    """

    text: str = "Hello there."
    status: Literal["completed", "incomplete"] = "completed"
    output: tuple[str, ...] = ("message",)
    usage: tuple[int, int] | None = (7, 3)


Outcome = Refused | Broken | Answered


@dataclass(frozen=True)
class Fault:
    """
    A row.

    Attributes:
        name: Unique.
        does: What the server does with each request.
        at: Where the gateway looks for it, if that is not where it is.
        tls: With what certificate it is served.
        timeouts: Of the way to it. Patient by default, so that a slow machine is no fault.
    """

    name: str
    does: Handler
    outcome: Outcome
    at: Literal["http", "https", "nowhere", "no such name", "not a name"] = "http"
    tls: Literal["stranger", "other host"] | None = None
    timeouts: TimeoutSettings = field(default=_PATIENT)
