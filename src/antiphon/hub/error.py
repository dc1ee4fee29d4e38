"""The root of all errors; the tree is :mod:`antiphon.hub.errors`."""

from __future__ import annotations

from typing import ClassVar, Literal

__all__ = [
    "AntiphonError",
    "Fault",
]

Fault = Literal["client", "upstream", "gateway"]


class AntiphonError(Exception):
    """
    The root of the tree.

    Attributes:
        message: In one or two sentences; for the caller, unless :attr:`told` says something else.
        param: The request field at fault, as a path such as ``input[2].content``.
        code: OpenAI's machine-readable code, where there is one.
        retry_after_s: When trying again makes sense, where that is known.
    """

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    default_code: ClassVar[str | None] = None
    fault: ClassVar[Fault] = "gateway"
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code if code is not None else self.default_code
        self.retry_after_s = retry_after_s

    @property
    def http_status(self) -> int:
        """The status of the HTTP answer."""
        return self.status

    @property
    def error_type(self) -> str:
        """The ``type`` of OpenAI's envelope."""
        return self.type

    @property
    def told(self) -> str:
        """What callers read over the wire."""
        return self.message

    def envelope(self) -> dict[str, dict[str, str | None]]:
        """OpenAI's error body: ``{"error": {"message", "type", "param", "code"}}``."""
        return {"error": {"message": self.told, "type": self.error_type, "param": self.param, "code": self.code}}
