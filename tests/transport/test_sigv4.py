"""Signatures of AWS: the published vectors, and Amazon's own signer as an oracle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.hub.errors import UpstreamAuthentication
from antiphon.hub.upstream import Signer, UpstreamRequest
from antiphon.settings import Secret
from antiphon.transport import HttpTransport
from antiphon.transport.aws_credentials import AwsCredentials
from antiphon.transport.sigv4 import Scope, SigV4Signer, canonical_request, region_of, sign, string_to_sign

from .servers import reply, saying, serving

SUITE = json.loads((Path(__file__).parent / "sigv4_vectors.json").read_text())
VECTORS = {vector["name"]: vector for vector in SUITE["vectors"]}
SCOPE = Scope(SUITE["region"], SUITE["service"])
MOMENT = datetime.fromisoformat(SUITE["moment"])
OWN = AwsCredentials(access_key_id="AKIDEXAMPLE", secret_access_key=Secret(SUITE["secret_access_key"]))
BEDROCK = Scope("eu-central-1", "bedrock")


class Kept:
    """Credentials that never change, or that cannot be had."""

    def __init__(self, credentials: AwsCredentials | None) -> None:
        self._credentials = credentials

    async def credentials(self) -> AwsCredentials:
        if self._credentials is None:
            raise UpstreamAuthentication("There are none.")
        return self._credentials


def request_of(vector: Mapping[str, Any]) -> tuple[str, str, dict[str, str], bytes]:
    """A vector's request: method, URL, headers with those that came twice joined, body."""
    head, _, body = vector["request"].partition("\n\n")
    start, *lines = head.rstrip("\n").split("\n")
    method, target = start.removesuffix(" HTTP/1.1").split(" ", 1)
    headers: dict[str, str] = {}
    name = ""
    for line in lines:
        if line.startswith(" "):
            headers[name] += f" {line}"
            continue
        raw_name, _, value = line.partition(":")
        name = raw_name.lower()
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    if vector["sign_body"]:
        headers["x-amz-content-sha256"] = vector["canonical_request"].rsplit("\n", 1)[1]
    return method, f"https://{headers.pop('host')}{target}", headers, body.encode()


@pytest.mark.parametrize("name", VECTORS)
def test_vector(name: str) -> None:
    """Every step of every vector of Amazon's suite: the canonical request, what is signed, and the signature."""
    vector = VECTORS[name]
    method, url, headers, body = request_of(vector)
    token = vector.get("session_token")
    credentials = AwsCredentials(
        access_key_id="AKIDEXAMPLE",
        secret_access_key=Secret(SUITE["secret_access_key"]),
        session_token=Secret(token) if token else None,
    )
    normalize = vector["normalize"]

    added = sign(
        method, url, headers, body, credentials=credentials, scope=SCOPE, moment=MOMENT, normalize_path=normalize
    )
    signed = {name: value for name, value in {**headers, **added}.items() if name != "authorization"}
    canonical = canonical_request(method, url, signed, body, normalize_path=normalize)

    assert canonical == vector["canonical_request"]
    assert string_to_sign(canonical, SCOPE, MOMENT) == vector["string_to_sign"]
    assert added["authorization"].rpartition("Signature=")[2] == vector["signature"]
    assert added["authorization"].startswith(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders="
    )
    assert added["x-amz-date"] == "20150830T123600Z"


_MODELS = st.text("abz.:/-_~ %+é", min_size=1, max_size=30)
_QUERIES = st.lists(st.tuples(st.text("ab=é ", min_size=1, max_size=3), st.text("xy%/", max_size=3)), max_size=3)


@settings(max_examples=60, deadline=None)
@given(model=_MODELS, query=_QUERIES, body=st.binary(max_size=30), token=st.none() | st.text("AZ09+/=", min_size=1))
def test_amazons_own_signer_agrees(model: str, query: list[tuple[str, str]], body: bytes, token: str | None) -> None:
    """Amazon's botocore gives the same signature for a request to a model, whatever the model is called."""
    fields = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query)
    url = f"https://bedrock-runtime.eu-central-1.amazonaws.com/model/{quote(model, safe='')}/converse"
    url += f"?{fields}" if fields else ""
    headers = {"content-type": "application/json"}
    credentials = AwsCredentials(
        access_key_id="AKIDEXAMPLE",
        secret_access_key=Secret("secret/key+test"),
        session_token=None if token is None else Secret(token),
    )

    ours = sign("POST", url, headers, body, credentials=credentials, scope=BEDROCK, moment=MOMENT)

    assert ours["authorization"] == _oracle(url, headers, body, token)


def _oracle(url: str, headers: Mapping[str, str], body: bytes, token: str | None) -> str:
    """What botocore puts into the authorization header of the same request."""
    request = AWSRequest(method="POST", url=url, data=body, headers=headers)
    request.context["timestamp"] = f"{MOMENT:%Y%m%dT%H%M%SZ}"
    signer = botocore.auth.SigV4Auth(Credentials("AKIDEXAMPLE", "secret/key+test", token), "bedrock", "eu-central-1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.auth, "get_current_datetime", lambda: MOMENT.replace(tzinfo=None))
        signer.add_auth(request)
    authorization: str = request.headers["Authorization"]
    return authorization


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Bedrock.Example/x", "bedrock.example"),
        ("https://bedrock.example:443/x", "bedrock.example"),
        ("http://bedrock.example:80/x", "bedrock.example"),
        ("https://bedrock.example:8443/x", "bedrock.example:8443"),
        ("http://[::1]:4566/x", "[::1]:4566"),
    ],
)
def test_host(url: str, host: str) -> None:
    """The host is signed as it is sent: in lower case, without the scheme's own port."""
    assert f"\nhost:{host}\n" in canonical_request("GET", url, {}, b"")


async def test_signer() -> None:
    """A signer signs what AWS looks at and leaves alone what others on the way may change."""
    signer: Signer = SigV4Signer(Kept(OWN), BEDROCK, clock=MOMENT.timestamp)
    headers = {"content-type": "application/json", "user-agent": "antiphon", "accept-encoding": "identity"}
    url = "https://bedrock-runtime.eu-central-1.amazonaws.com/model/m/converse"

    added = await signer.sign("POST", url, headers, b"{}")

    expected = sign(
        "POST",
        url,
        {"content-type": "application/json"},
        b"{}",
        credentials=OWN,
        scope=BEDROCK,
        moment=datetime.fromtimestamp(MOMENT.timestamp(), UTC),
    )
    assert added == expected
    assert "SignedHeaders=content-type;host;x-amz-date," in added["authorization"]


@pytest.mark.parametrize("model", ["amazon.nova-lite-v1:0", "arn:aws:bedrock:eu-west-1::inference-profile/x y+z~é"])
async def test_what_arrives_is_what_was_signed(model: str) -> None:
    """A request arrives with the path, the host and the headers that were signed: Amazon's signer agrees with it."""
    credentials = AwsCredentials(access_key_id="AKIDEXAMPLE", secret_access_key=Secret("secret/key+test"))
    signer = SigV4Signer(Kept(credentials), BEDROCK, clock=MOMENT.timestamp)
    request = UpstreamRequest(path=f"/model/{quote(model, safe='')}/converse", body=b'{"messages":[]}')
    async with serving(saying(reply(b"{}"))) as server:
        transport = HttpTransport("vendor", f"http://127.0.0.1:{server.port}", signer=signer)
        try:
            answer = await transport.send(request)
            await answer.close()
        finally:
            await transport.close()

    start, *lines = server.requests[0].strip().split("\r\n")
    arrived = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    url = f"http://{arrived['host']}{start.split()[1]}"

    assert start.split()[1] == request.path
    assert arrived["x-amz-date"] == "20150830T123600Z"
    assert arrived["authorization"] == _oracle(url, {"content-type": arrived["content-type"]}, server.bodies[0], None)


async def test_signer_without_credentials() -> None:
    """Without credentials nothing is signed; the operator is told."""
    with pytest.raises(UpstreamAuthentication):
        await SigV4Signer(Kept(None), BEDROCK).sign("GET", "https://h.example/", {}, b"")


async def test_the_secret_is_not_in_what_is_sent() -> None:
    """A secret key only ever goes into a hash."""
    added = await SigV4Signer(Kept(OWN), BEDROCK).sign("GET", "https://h.example/", {}, b"")

    assert SUITE["secret_access_key"] not in repr(added)
    assert SUITE["secret_access_key"] not in repr(OWN)


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://bedrock-runtime.us-east-1.amazonaws.com", "us-east-1"),
        ("https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("https://bedrock-runtime.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("https://vpce-0a1b-2c.bedrock-runtime.eu-west-3.vpce.amazonaws.com", "eu-west-3"),
        ("https://bedrock-runtime.ap-southeast-2.api.aws", "ap-southeast-2"),
        ("https://gateway.example/eu-west-1.amazonaws.com", None),
        ("http://127.0.0.1:4566", None),
    ],
)
def test_region_of(url: str, region: str | None) -> None:
    """A regional endpoint says its region; any other address does not."""
    assert region_of(url) == region
