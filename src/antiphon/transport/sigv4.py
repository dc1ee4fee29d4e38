"""
AWS Signature Version 4: the headers that show AWS who asks, and that nobody has changed what was asked.

Specification: "Create a signed AWS API request" in the IAM User Guide. :func:`sign` is pure; :class:`SigV4Signer`
brings it the credentials and the time.
"""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import SplitResult, quote, unquote, urlsplit

import msgspec

from antiphon.transport.aws_credentials import AwsCredentials, AwsCredentialSource

__all__ = ["Scope", "SigV4Signer", "canonical_request", "region_of", "sign", "string_to_sign"]

_ALGORITHM = "AWS4-HMAC-SHA256"
_DEFAULT_PORTS = {"http": 80, "https": 443}
# What a proxy or the client library may still change is not signed; AWS asks for its own headers and the type.
_SIGNED_HEADERS = re.compile(r"content-type|x-amz-.*")
_REGIONAL_HOST = re.compile(r"(?:^|\.)[a-z0-9-]+\.([a-z]{2}(?:-[a-z]+)+-\d+)\.(?:vpce\.)?(?:amazonaws\.|api\.aws)")


class Scope(msgspec.Struct, frozen=True):
    """What a signature is good for, on its day."""

    region: str
    service: str

    def on(self, moment: datetime) -> str:
        """The scope's name on a day."""
        return f"{moment:%Y%m%d}/{self.region}/{self.service}/aws4_request"


class SigV4Signer:
    """
    The :class:`~antiphon.hub.upstream.Signer` for AWS.

    Args:
        credentials: Asked for each request; see there how they are kept.
        clock: Seconds since the epoch. AWS refuses what is five minutes off.
    """

    def __init__(
        self, credentials: AwsCredentialSource, scope: Scope, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._credentials = credentials
        self._scope = scope
        self._clock = clock

    async def sign(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Mapping[str, str]:
        """See :class:`antiphon.hub.upstream.Signer`."""
        credentials = await self._credentials.credentials()
        signed = {name: value for name, value in headers.items() if _SIGNED_HEADERS.fullmatch(name)}
        moment = datetime.fromtimestamp(self._clock(), UTC)
        return sign(method, url, signed, body, credentials=credentials, scope=self._scope, moment=moment)


def sign(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    credentials: AwsCredentials,
    scope: Scope,
    moment: datetime,
    normalize_path: bool = True,
) -> dict[str, str]:
    """
    The headers to add to a request: ``x-amz-date``, ``authorization``, and the session's token if there is one.

    Args:
        url: Absolute, encoded as it is sent; its path is encoded once more for the signature, as every service but S3
            has it.
        headers: All of them are signed, and the host besides; names in lower case.
        moment: Now, in UTC.
        normalize_path: Whether ``.``, ``..`` and doubled slashes are taken out of the path that is signed.
    """
    added = {"x-amz-date": f"{moment:%Y%m%dT%H%M%SZ}"}
    if credentials.session_token is not None:
        added["x-amz-security-token"] = credentials.session_token.reveal()
    request = canonical_request(method, url, {**headers, **added}, body, normalize_path=normalize_path)
    key = _signing_key(credentials.secret_access_key.reveal(), scope, moment)
    signature = _hmac(key, string_to_sign(request, scope, moment)).hex()
    names = request.rsplit("\n", 2)[1]
    added["authorization"] = (
        f"{_ALGORITHM} Credential={credentials.access_key_id}/{scope.on(moment)}, "
        f"SignedHeaders={names}, Signature={signature}"
    )
    return added


def canonical_request(
    method: str, url: str, headers: Mapping[str, str], body: bytes, *, normalize_path: bool = True
) -> str:
    """The request in the one form in which both sides sign it."""
    parts = urlsplit(url)
    lines = {name: " ".join(value.split()) for name, value in headers.items()}
    lines["host"] = _host(parts)
    names = sorted(lines)
    return "\n".join(
        (
            method,
            _canonical_path(parts.path, normalize=normalize_path),
            "&".join(f"{name}={value}" for name, value in sorted(_query(parts.query))),
            *(f"{name}:{lines[name]}" for name in names),
            "",
            ";".join(names),
            sha256(body).hexdigest(),
        )
    )


def string_to_sign(request: str, scope: Scope, moment: datetime) -> str:
    """What is signed: a canonical request's digest, with its time and scope."""
    digest = sha256(request.encode()).hexdigest()
    return f"{_ALGORITHM}\n{moment:%Y%m%dT%H%M%SZ}\n{scope.on(moment)}\n{digest}"


def region_of(url: str) -> str | None:
    """The region that a regional endpoint of AWS has in its host's name; None for any other host."""
    match = _REGIONAL_HOST.search(urlsplit(url).hostname or "")
    return match.group(1) if match else None


def _host(parts: SplitResult) -> str:
    """The host header, which leaves out the scheme's own port."""
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    return host if parts.port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f"{host}:{parts.port}"


def _canonical_path(path: str, *, normalize: bool) -> str:
    return quote(_normalized(path) if normalize else path, safe="/-_.~") or "/"


def _normalized(path: str) -> str:
    """A path without dots and empty segments (RFC 3986, section 5.2.4)."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    tail = "/" if kept and path.endswith("/") else ""
    return "/" + "/".join(kept) + tail


def _query(query: str) -> Iterator[tuple[str, str]]:
    for field in query.split("&"):
        if field:
            name, _, value = field.partition("=")
            yield _encoded(name), _encoded(value)


def _encoded(text: str) -> str:
    return quote(unquote(text), safe="-_.~")


def _signing_key(secret: str, scope: Scope, moment: datetime) -> bytes:
    key = _hmac(f"AWS4{secret}".encode(), f"{moment:%Y%m%d}")
    for step in (scope.region, scope.service, "aws4_request"):
        key = _hmac(key, step)
    return key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
