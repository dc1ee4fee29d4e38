"""
AWS KMS and Vault, as far as they can be tested without either: the real boto3 against an endpoint of this test that
does what KMS documents, and a small server that does the two transit operations. Neither was run against the real one.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from antiphon.crypto.services import AwsKms, KeyContext, KeyService, VaultTransit
from antiphon.hub.errors import KeysUnavailable, StoreCorrupt
from antiphon.hub.ids import TenantId

CONTEXT = KeyContext(TenantId("acme"), 3)
TENANT_KEY = os.urandom(32)
ARN = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
TOKEN = "s.token-of-this-test"


class Remote:
    """A server with one key, which can be told to fail."""

    def __init__(self) -> None:
        self._cipher = AESGCM(AESGCM.generate_key(256))
        self.status = 200
        self.code = ""
        self.seen: list[dict[str, Any]] = []
        self.url = ""

    def seal(self, plaintext: bytes, context: bytes) -> bytes:
        nonce = os.urandom(12)
        return nonce + self._cipher.encrypt(nonce, plaintext, context)

    def open(self, sealed: bytes, context: bytes) -> bytes | None:
        try:
            return self._cipher.decrypt(sealed[:12], sealed[12:], context)
        except (InvalidTag, ValueError):
            return None

    async def kms(self, request: web.Request) -> web.Response:
        """https://docs.aws.amazon.com/kms/latest/APIReference/: Encrypt and Decrypt."""
        body = json.loads(await request.text())
        self.seen.append(body)
        if self.status != 200:
            return self._kms_error(self.status, self.code)
        context = json.dumps(body.get("EncryptionContext"), sort_keys=True).encode()
        if request.headers["X-Amz-Target"] == "TrentService.Encrypt":
            blob = self.seal(base64.b64decode(body["Plaintext"]), context)
            return web.json_response({"CiphertextBlob": base64.b64encode(blob).decode(), "KeyId": ARN})
        plaintext = self.open(base64.b64decode(body["CiphertextBlob"]), context)
        if plaintext is None:
            return self._kms_error(400, "InvalidCiphertextException")
        return web.json_response({"Plaintext": base64.b64encode(plaintext).decode(), "KeyId": ARN})

    def _kms_error(self, status: int, code: str) -> web.Response:
        return web.json_response({"__type": code, "message": "no"}, status=status)

    async def transit(self, request: web.Request) -> web.Response:
        """https://developer.hashicorp.com/vault/api-docs/secret/transit: encrypt and decrypt data."""
        body = await request.json()
        self.seen.append({"path": request.path, "namespace": request.headers.get("X-Vault-Namespace"), **body})
        if request.headers.get("X-Vault-Token") != TOKEN:
            return web.json_response({"errors": ["permission denied"]}, status=403)
        if self.status != 200:
            return web.json_response({"errors": [TOKEN]}, status=self.status)
        context = base64.b64decode(body["context"])
        if request.match_info["verb"] == "encrypt":
            sealed = self.seal(base64.b64decode(body["plaintext"]), context)
            return web.json_response({"data": {"ciphertext": "vault:v1:" + base64.b64encode(sealed).decode()}})
        plaintext = self.open(base64.b64decode(body["ciphertext"].removeprefix("vault:v1:")), context)
        if plaintext is None:
            return web.json_response({"errors": ["cipher: message authentication failed"]}, status=400)
        return web.json_response({"data": {"plaintext": base64.b64encode(plaintext).decode()}})


@pytest.fixture
async def remote() -> AsyncIterator[Remote]:
    found = Remote()
    application = web.Application()
    application.router.add_post("/", found.kms)
    application.router.add_post("/v1/team/transit/{verb}/antiphon", found.transit)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield found
    await runner.cleanup()


@pytest.fixture
def aws(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> KeyService:
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", remote.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return AwsKms(ARN)


@pytest.fixture
def vault(remote: Remote) -> KeyService:
    return VaultTransit(f"{remote.url}#team/transit/antiphon", {"VAULT_TOKEN": TOKEN, "VAULT_NAMESPACE": "ns"})


@pytest.fixture(params=["aws", "vault"])
def service(request: pytest.FixtureRequest) -> KeyService:
    found: KeyService = request.getfixturevalue(request.param)
    return found


async def test_what_is_wrapped_is_unwrapped(service: KeyService) -> None:
    """The key comes back, and is not in what is stored."""
    assert await service.open(create=True) is None
    wrapped = await service.wrap(TENANT_KEY, CONTEXT)
    assert wrapped.ref == service.ref
    assert TENANT_KEY not in wrapped.blob
    assert await service.unwrap(wrapped.ref, wrapped.blob, CONTEXT) == TENANT_KEY
    assert await service.has(service.ref)
    assert await service.refs() == (service.ref,)
    await service.health()


@pytest.mark.parametrize("context", [KeyContext(TenantId("other"), 3), KeyContext(TenantId("acme"), 4)])
async def test_a_wrapped_key_is_bound_to_its_tenant_and_version(service: KeyService, context: KeyContext) -> None:
    """The service itself refuses to unwrap it for another."""
    wrapped = await service.wrap(TENANT_KEY, CONTEXT)
    with pytest.raises(StoreCorrupt):
        await service.unwrap(wrapped.ref, wrapped.blob, context)


@pytest.mark.parametrize(("status", "code"), [(400, "ThrottlingException"), (400, "AccessDeniedException"), (500, "X")])
async def test_a_service_that_refuses_is_an_outage(service: KeyService, remote: Remote, status: int, code: str) -> None:
    """Nothing is wrapped, and the error repeats nothing that was sent."""
    remote.status, remote.code = status, code
    with pytest.raises(KeysUnavailable) as raised:
        await service.wrap(TENANT_KEY, CONTEXT)
    assert TOKEN not in str(raised.value)
    assert base64.b64encode(TENANT_KEY).decode() not in str(raised.value)


async def test_a_service_that_is_not_there_is_an_outage(service: KeyService, remote: Remote) -> None:
    """A refused connection is told as one, within seconds."""
    wrapped = await service.wrap(TENANT_KEY, CONTEXT)
    gone: KeyService = (
        AwsKms(ARN, connect=_nowhere)
        if isinstance(service, AwsKms)
        else VaultTransit("http://127.0.0.1:9#team/transit/antiphon", {"VAULT_TOKEN": TOKEN})
    )
    with pytest.raises(KeysUnavailable):
        await gone.unwrap(gone.ref, wrapped.blob, CONTEXT)


def _nowhere(region: str) -> Any:
    import boto3
    from botocore.config import Config

    limits = Config(connect_timeout=1, retries={"total_max_attempts": 1})
    return boto3.client("kms", region_name=region, endpoint_url="http://127.0.0.1:9", config=limits)


async def test_a_service_is_not_asked_for_keys_of_others(service: KeyService, remote: Remote) -> None:
    """What another key service wrapped is not sent to it."""
    with pytest.raises(KeysUnavailable, match="is needed"):
        await service.unwrap("local:abc", b"x", CONTEXT)
    assert remote.seen == []


async def test_aws_is_told_what_a_key_is_for(aws: KeyService, remote: Remote) -> None:
    """The encryption context names tenant and version, for AWS's audit trail too."""
    await aws.wrap(TENANT_KEY, CONTEXT)
    assert remote.seen[0]["KeyId"] == ARN
    assert remote.seen[0]["EncryptionContext"] == {"antiphon-tenant": "acme", "antiphon-key-version": "3"}


async def test_vault_is_asked_with_namespace_and_context(vault: KeyService, remote: Remote) -> None:
    """A derived transit key binds what it wraps to the context."""
    await vault.wrap(TENANT_KEY, CONTEXT)
    assert remote.seen[0]["namespace"] == "ns"
    assert base64.b64decode(remote.seen[0]["context"]) == CONTEXT.encode()


async def test_vaults_token_may_be_in_a_file_that_changes(remote: Remote, tmp_path: Any) -> None:
    """It is read for each call, so that it can be renewed."""
    path = tmp_path / "token"
    path.write_text("old\n", encoding="ascii")
    service = VaultTransit(f"{remote.url}#team/transit/antiphon", {"VAULT_TOKEN_FILE": str(path)})
    with pytest.raises(KeysUnavailable, match="status 403"):
        await service.wrap(TENANT_KEY, CONTEXT)
    path.write_text(TOKEN + "\n", encoding="ascii")
    await service.health()


async def test_vault_without_a_token_is_refused_at_the_start() -> None:
    """Before anything is asked."""
    service = VaultTransit("http://127.0.0.1:9#transit/antiphon", {})
    with pytest.raises(KeysUnavailable, match="VAULT_TOKEN"):
        await service.open(create=True)
