"""
The AWS credentials that requests are signed with, from where Amazon's own tools look for them.

Environment variables are read here. Everything else (profiles of the shared files, single sign-on, the roles of
containers and machines) is botocore's business, an optional dependency; it blocks, so it is asked in a thread.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from antiphon.hub.errors import UpstreamAuthentication
from antiphon.settings import Secret

__all__ = ["AwsCredentialChain", "AwsCredentialSource", "AwsCredentials"]

_INSTALL = "pip install 'antiphon[bedrock]'"
# botocore renews credentials a quarter of an hour before they expire and hands out none that last less than ten
# minutes. So one that it gave is asked about again after a minute, and is good for five whatever happens.
_ASK_AGAIN_S = 60.0
_GOOD_FOR_S = 300.0
# Single sign-on and assumed roles are a call or two to AWS; a machine's metadata service answers at once or never.
_LONGEST_WAIT_S = 30.0


class AwsCredentials(msgspec.Struct, frozen=True, kw_only=True):
    """
    One set of credentials.

    Attributes:
        session_token: Of temporary credentials; None for a user's own.
    """

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret | None = None


class AwsCredentialSource(Protocol):
    """Where a signer has its credentials from."""

    async def credentials(self) -> AwsCredentials:
        """
        Credentials that are valid now.

        Raises:
            UpstreamAuthentication: There are none, or they cannot be had; says what to do.
        """
        ...


class _Frozen(Protocol):
    """Credentials as botocore hands them out."""

    access_key: str
    secret_key: str
    token: str | None


class _Refreshed(Protocol):
    """Credentials that botocore keeps valid."""

    def get_frozen_credentials(self) -> _Frozen: ...


_Find = Callable[[str | None], _Refreshed | None]


class AwsCredentialChain:
    """
    The :class:`AwsCredentialSource` that looks where Amazon's tools look: environment, shared files, roles.

    Args:
        profile: Of the shared files, in preference to the environment's keys; None for ``AWS_PROFILE`` or the default.
        environ: ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY`` and ``AWS_SESSION_TOKEN`` are read from it at every
            call; botocore reads the process's own.
        find: Finds the credentials of a profile, or None; blocks. botocore by default.
        clock: Monotonic seconds.

    Note:
        Whoever asks while somebody else is renewing has what there was before, as long as that is good.
    """

    def __init__(
        self,
        *,
        profile: str | None = None,
        environ: Mapping[str, str] = os.environ,
        find: _Find | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._profile = profile
        self._environ = environ
        self._find = find or _find_with_botocore
        self._clock = clock
        self._found: _Refreshed | None = None
        self._kept: AwsCredentials | None = None
        self._kept_at = 0.0
        self._asking = asyncio.Lock()

    async def credentials(self) -> AwsCredentials:
        """See :class:`AwsCredentialSource`."""
        if self._profile is None and (given := _from_environment(self._environ)) is not None:
            return given
        kept = self._younger_than(_GOOD_FOR_S if self._asking.locked() else _ASK_AGAIN_S)
        return kept if kept is not None else await self._renewed()

    def _younger_than(self, age_s: float) -> AwsCredentials | None:
        return self._kept if self._clock() - self._kept_at < age_s else None

    async def _renewed(self) -> AwsCredentials:
        async with self._asking:
            kept = self._younger_than(_ASK_AGAIN_S)  # those who waited here have what the first one got
            if kept is None:
                kept = self._kept = await self._ask()
                self._kept_at = self._clock()
            return kept

    async def _ask(self) -> AwsCredentials:
        try:
            async with asyncio.timeout(_LONGEST_WAIT_S):
                # A thread: botocore reads files and asks services, and blocks while it does.
                return await asyncio.to_thread(self._look)
        except TimeoutError:
            raise UpstreamAuthentication(
                f"AWS credentials could not be had within {_LONGEST_WAIT_S:.0f} seconds."
            ) from None

    def _look(self) -> AwsCredentials:
        try:
            self._found = self._found or self._find(self._profile)
            frozen = None if self._found is None else self._found.get_frozen_credentials()
        except ImportError:
            raise UpstreamAuthentication(
                "There are no AWS credentials in the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY). Profiles "
                f"and roles need botocore. Install it: {_INSTALL}"
            ) from None
        except Exception as error:
            # botocore is not at hand to name its errors, and their texts may hold what a service answered.
            raise UpstreamAuthentication(f"AWS credentials could not be had: {type(error).__name__}.") from error
        if frozen is None:
            raise UpstreamAuthentication(
                "There are no AWS credentials: none in the environment, in the shared files or of a role. Set "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the upstream an API key."
            )
        return _credentials(frozen.access_key, frozen.secret_key, frozen.token)


def _from_environment(environ: Mapping[str, str]) -> AwsCredentials | None:
    """
    The credentials in the environment; None if there are none.

    Raises:
        UpstreamAuthentication: A half of them is missing.
    """
    key_id, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    if not key_id and not secret:
        return None
    if not key_id or not secret:
        missing = "AWS_SECRET_ACCESS_KEY" if key_id else "AWS_ACCESS_KEY_ID"
        raise UpstreamAuthentication(f"The AWS credentials in the environment are not whole: {missing} is missing.")
    return _credentials(key_id, secret, environ.get("AWS_SESSION_TOKEN"))


def _credentials(key_id: str, secret: str, token: str | None) -> AwsCredentials:
    return AwsCredentials(
        access_key_id=key_id,
        secret_access_key=Secret(secret),
        session_token=Secret(token) if token else None,
    )


def _find_with_botocore(profile: str | None) -> _Refreshed | None:
    from botocore.session import Session  # noqa: PLC0415 - an extra, and slow to import

    found: _Refreshed | None = Session(profile=profile).get_credentials()
    return found
