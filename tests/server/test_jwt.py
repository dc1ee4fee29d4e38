"""Tokens of an identity provider: whoever has a good one is let in, and nobody who made one himself."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives import serialization

from antiphon.hub.errors import AuthenticationRequired, Forbidden, KeysUnavailable
from antiphon.hub.principal import Limits
from antiphon.server.jwks import KeySet, read_file
from antiphon.server.jwt import JwtTokens, TokenRules
from tests.server.issuer import AUDIENCE, ISSUER, Issuer, b64, private_key, public_jwk
from tests.server.keyring import Keyring

LOCATION = "https://id.example/keys"
ALL = frozenset(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"))


class Stage:
    """A gateway's side of tokens, and their issuer."""

    def __init__(self, **rules: Any) -> None:
        self.issuer = Issuer()
        self.ring = Keyring()
        given = {"algorithms": frozenset(("RS256", "ES256", "EdDSA")), "tenants": {"Acme Inc.": "acme"}, **rules}
        self.rules = TokenRules(issuer=ISSUER, audience=AUDIENCE, **given)
        self.tokens = self.fresh()

    def fresh(self) -> JwtTokens:
        """Tokens that nobody has shown before."""
        keys = KeySet(LOCATION, self.issuer.fetch, clock=lambda: self.ring.now_s)
        return JwtTokens(self.rules, keys, directory=self.ring.directory, clock=lambda: self.ring.now_s)

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Good claims, with changes; None leaves a claim out."""
        now = int(self.ring.now_s)
        good = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "user-1",
            "iat": now,
            "nbf": now,
            "exp": now + 300,
            "tenant": "Acme Inc.",
            "scope": "openid responses:read responses:write",
        }
        return {name: value for name, value in (good | changes).items() if value is not None}

    def good(self, **changes: Any) -> str:
        return self.issuer.token(self.claims(**changes))


@pytest.fixture
def stage() -> Stage:
    return Stage()


# Good ones.


async def test_a_good_token_is_its_principal() -> None:
    """Tenant by its claim, scopes that are ours, and an actor that tells subjects apart without naming them."""
    stage = Stage(limits=Limits(requests_per_minute=5))
    principal = await stage.tokens.principal(stage.good())
    assert principal.tenant == "acme"
    assert principal.scopes == {"responses:read", "responses:write"}
    assert (principal.limits, principal.models) == (Limits(requests_per_minute=5), None)
    assert (principal.actor[:4], len(principal.actor), "user" in principal.actor) == ("jwt:", 36, False)
    other = await stage.tokens.principal(stage.good(sub="user-2"))
    assert other.actor != principal.actor


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [
        *(("RSA", each) for each in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")),
        ("P-256", "ES256"),
        ("P-384", "ES384"),
        ("P-521", "ES512"),
        ("Ed25519", "EdDSA"),
        ("Ed448", "EdDSA"),
    ],
)
async def test_every_configured_algorithm_works(kind: str, algorithm: str) -> None:
    """With the key of its type, and no other."""
    stage = Stage(algorithms=ALL)
    stage.issuer.keys = [public_jwk(kind, kid="k"), public_jwk("RSA", kid="other")]
    token = stage.issuer.token(stage.claims(), algorithm=algorithm, key=kind, kid="k")
    assert (await stage.tokens.principal(token)).tenant == "acme"


GOOD: dict[str, Callable[[Stage], str]] = {
    "audiences": lambda stage: stage.good(aud=["other", AUDIENCE]),
    "without nbf and iat": lambda stage: stage.good(nbf=None, iat=None),
    "expired within the leeway": lambda stage: stage.good(exp=stage.ring.now_s - 59),
    "early within the leeway": lambda stage: stage.good(nbf=stage.ring.now_s + 59, iat=stage.ring.now_s + 59),
    "fractions": lambda stage: stage.good(exp=stage.ring.now_s + 1.5),
    "an access token": lambda stage: stage.issuer.token(stage.claims(), typ="at+JWT"),
    "without a type": lambda stage: stage.issuer.token(stage.claims(), header={"alg": "RS256", "kid": "r"}),
    "without a key's name": lambda stage: stage.issuer.token(stage.claims(), header={"alg": "RS256"}),
    "a header that names other places": lambda stage: stage.issuer.token(
        stage.claims(), jku="https://evil.example", x5u="https://evil.example", x5c=["AA=="], jwk={"kty": "oct"}
    ),
    "claims of its own": lambda stage: stage.good(**{"https://id.example/x": {"y": [1, None]}, "admin": True}),
}


@pytest.mark.parametrize("name", GOOD)
async def test_what_the_standards_allow_is_let_in(stage: Stage, name: str) -> None:
    """And whatever a header says of other keys, only the configured place is asked, once."""
    assert (await stage.tokens.principal(GOOD[name](stage))).tenant == "acme"
    assert stage.issuer.fetched == [LOCATION]


# Forged ones.


def pem(kind: str = "RSA") -> bytes:
    """A public key as text, which is what a confused verifier takes for a shared secret."""
    data: bytes = (
        private_key(kind)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return data


def parts(stage: Stage) -> list[str]:
    return stage.good().split(".")


def resigned(stage: Stage, **header: Any) -> str:
    """Signed by a stranger's key."""
    return stage.issuer.token(stage.claims(), key="stranger", **header)


def altered(stage: Stage, **changes: object) -> str:
    """Somebody else's claims under a good signature."""
    head, _, signature = parts(stage)
    return f"{head}.{b64(stage.claims(**changes))}.{signature}"


def raw(stage: Stage, claims: str) -> str:
    """Signed by the issuer, whatever it is."""
    return stage.issuer.token(claims)


def doubled(stage: Stage, name: str, value: object) -> str:
    """Claims in which a name stands twice, with the good value last."""
    return "{" + json.dumps({name: value})[1:-1] + ", " + json.dumps(stage.claims())[1:]


def nested(depth: int) -> str:
    return '{"sub": ' + "[" * depth + "]" * depth + "}"


FORGED: dict[str, Callable[[Stage], str]] = {
    # Not signed, or by somebody else.
    "alg none": lambda s: s.issuer.token(s.claims(), header={"alg": "none"}).rpartition(".")[0] + ".",
    "alg none with a signature": lambda s: s.issuer.token(s.claims(), header={"alg": "none", "kid": "r"}),
    "alg None": lambda s: s.issuer.token(s.claims(), header={"alg": "None", "kid": "r"}),
    "alg nOnE": lambda s: s.issuer.token(s.claims(), header={"alg": "nOnE", "kid": "r"}),
    "alg empty": lambda s: s.issuer.token(s.claims(), header={"alg": "", "kid": "r"}),
    "alg missing": lambda s: s.issuer.token(s.claims(), header={"kid": "r"}),
    "alg null": lambda s: s.issuer.token(s.claims(), header={"alg": None, "kid": "r"}),
    "alg a list": lambda s: s.issuer.token(s.claims(), header={"alg": ["RS256"], "kid": "r"}),
    "alg lower case": lambda s: s.issuer.token(s.claims(), header={"alg": "rs256", "kid": "r"}),
    "HS256 with the public key": lambda s: s.issuer.token(s.claims(), algorithm="HS256", secret=pem()),
    "HS256 with the public key's number": lambda s: s.issuer.token(
        s.claims(), algorithm="HS256", secret=public_jwk("RSA")["n"].encode()
    ),
    "HS256 with an empty secret": lambda s: s.issuer.token(s.claims(), algorithm="HS256", secret=b""),
    "HS256 under another name": lambda s: s.issuer.token(s.claims(), algorithm="RS256", secret=pem()),
    "an algorithm that is not configured": lambda s: s.issuer.token(s.claims(), algorithm="RS512"),
    "PSS where PKCS1 is configured": lambda s: s.issuer.token(s.claims(), algorithm="PS256"),
    "the other padding under a good name": lambda s: s.issuer.token(
        s.claims(), algorithm="PS256", header={"alg": "RS256", "kid": "r"}
    ),
    "an elliptic key's name with an RSA signature": lambda s: s.issuer.token(s.claims(), kid="e"),
    "an RSA key's name with an elliptic signature": lambda s: s.issuer.token(
        s.claims(), algorithm="ES256", key="P-256", kid="r"
    ),
    "a stranger's key": resigned,
    "a stranger's elliptic key": lambda s: s.issuer.token(s.claims(), algorithm="ES256", key="other P-256", kid="e"),
    "a stranger's key, brought along": lambda s: resigned(s, jwk=public_jwk("stranger", kid="r")),
    "a stranger's key, to be fetched": lambda s: resigned(s, jku="https://evil.example/keys", kid="k"),
    "a stranger's certificate": lambda s: resigned(s, x5u="https://evil.example/cert", x5c=["MIIB"], x5t="x"),
    "an unknown key": lambda s: s.issuer.token(s.claims(), kid="nobody's"),
    "a key's name that is a path": lambda s: s.issuer.token(s.claims(), kid="../../../dev/null"),
    "a key's name that is SQL": lambda s: s.issuer.token(s.claims(), kid="r' OR '1'='1"),
    "a key's name that is a command": lambda s: s.issuer.token(s.claims(), kid="|id"),
    "a key's name that is a URL": lambda s: s.issuer.token(s.claims(), kid="https://evil.example/r"),
    "a key's name that is a number": lambda s: s.issuer.token(s.claims(), kid=0),
    "a key's name that is a list": lambda s: s.issuer.token(s.claims(), kid=["r"]),
    "a key's name that is long": lambda s: s.issuer.token(s.claims(), kid="r" * 257),
    "a key's name that is empty": lambda s: s.issuer.token(s.claims(), kid=""),
    "an empty signature": lambda s: ".".join(parts(s)[:2]) + ".",
    "no signature": lambda s: ".".join(parts(s)[:2]),
    "a signature of zeros": lambda s: ".".join([*parts(s)[:2], b64(bytes(256))]),
    "an elliptic signature of zeros": lambda s: (
        s.issuer.token(s.claims(), algorithm="ES256", key="P-256", kid="e").rpartition(".")[0] + "." + b64(bytes(64))
    ),
    "half a signature": lambda s: s.good()[:-100],
    "a signature with more": lambda s: s.good() + "AA",
    "another token's signature": lambda s: ".".join([*parts(s)[:2], s.good(sub="x").split(".")[2]]),
    # Altered.
    "another subject": lambda s: altered(s, sub="admin"),
    "another tenant": lambda s: altered(s, tenant="other"),
    "a later end": lambda s: altered(s, exp=10**10),
    "another header": lambda s: ".".join([b64({"alg": "ES256", "typ": "JWT", "kid": "r"}), *parts(s)[1:]]),
    "padded": lambda s: s.good() + "=",
    "with whitespace": lambda s: s.good().replace(".", ". ", 1),
    "with a line's end": lambda s: s.good() + "\n",
    "in the other alphabet": lambda s: s.good() + "+/",
    "a last character with other spare bits": lambda s: s.good()[:-1] + chr(ord(s.good()[-1]) + 1),
    "four parts": lambda s: s.good() + ".e30",
    "five parts, as if encrypted": lambda s: ".".join([b64({"alg": "dir", "enc": "A256GCM"}), "", "AA", "AA", "AA"]),
    "JSON serialisation": lambda s: json.dumps(dict(zip(("protected", "payload", "signature"), parts(s), strict=True))),
    "a megabyte": lambda s: s.issuer.token(s.claims(padding="x" * 1_000_000)),
    "just too long": lambda s: s.issuer.token(s.claims(padding="x" * 12_000)),
    "not ASCII": lambda s: s.good()[:-1] + "é",
    "a lone surrogate": lambda s: s.good()[:-1] + "\ud800",
    # What its header demands.
    "a critical extension": lambda s: s.issuer.token(s.claims(), crit=["exp"]),
    "an unencoded payload": lambda s: s.issuer.token(s.claims(), b64=False, crit=["b64"]),
    "another type": lambda s: s.issuer.token(s.claims(), typ="logout+jwt"),
    "a type that is no text": lambda s: s.issuer.token(s.claims(), typ=["JWT"]),
    "a header with a name twice": lambda s: s.issuer.token(s.claims(), header='{"alg": "none", "alg": "RS256"}'),
    "a header that is a list": lambda s: s.issuer.token(s.claims(), header='["RS256"]'),
    "a header that is no JSON": lambda s: s.issuer.token(s.claims(), header="{alg: RS256}"),
    # Signed by the issuer, and not for us or not now.
    "another issuer": lambda s: s.good(iss="https://evil.example"),
    "an issuer with a slash": lambda s: s.good(iss=ISSUER + "/"),
    "issuers": lambda s: s.good(iss=[ISSUER]),
    "no issuer": lambda s: s.good(iss=None),
    "another audience": lambda s: s.good(aud="other"),
    "other audiences": lambda s: s.good(aud=["other", AUDIENCE + "x"]),
    "an audience in a text": lambda s: s.good(aud=f"other {AUDIENCE}"),
    "audiences that are no texts": lambda s: s.good(aud=[AUDIENCE, 1]),
    "audiences as an object": lambda s: s.good(aud={AUDIENCE: True}),
    "no audiences": lambda s: s.good(aud=[]),
    "no audience": lambda s: s.good(aud=None),
    "expired": lambda s: s.good(exp=s.ring.now_s - 60),
    "no end": lambda s: s.good(exp=None),
    "an end that is a text": lambda s: s.good(exp="9999999999"),
    "an end that is true": lambda s: s.good(exp=True),
    "an end that is null": lambda s: raw(s, json.dumps(s.claims() | {"exp": None})),
    "an end at infinity": lambda s: raw(s, json.dumps(s.claims() | {"exp": float("inf")})),
    "an end beyond numbers": lambda s: raw(s, json.dumps(s.claims()).replace('"exp": 1000300', '"exp": 1e999')),
    "an end of five thousand digits": lambda s: raw(
        s, json.dumps(s.claims()).replace('"exp": 1000300', '"exp": ' + "9" * 5000)
    ),
    "an end of four hundred digits": lambda s: raw(
        s, json.dumps(s.claims()).replace('"exp": 1000300', '"exp": ' + "9" * 400)
    ),
    "an end that is no number": lambda s: raw(s, json.dumps(s.claims() | {"exp": float("nan")})),
    "not yet": lambda s: s.good(nbf=s.ring.now_s + 61),
    "made in the future": lambda s: s.good(iat=s.ring.now_s + 61),
    "a beginning that is a text": lambda s: s.good(nbf="0"),
    "no subject": lambda s: s.good(sub=None),
    "an empty subject": lambda s: s.good(sub=""),
    "a subject that is a number": lambda s: s.good(sub=1),
    "a subject that is long": lambda s: s.good(sub="x" * 513),
    "scopes that are an object": lambda s: s.good(scope={"responses:read": True}),
    "scopes that are no texts": lambda s: s.good(scope=[["responses:read"]]),
    # Claims that two readers would read differently.
    "a subject twice": lambda s: raw(s, doubled(s, "sub", "admin")),
    "a tenant twice": lambda s: raw(s, doubled(s, "tenant", "other")),
    "an end twice": lambda s: raw(s, doubled(s, "exp", 1)),
    "a name twice further in": lambda s: raw(s, '{"x": {"a": 1, "a": 2}, ' + json.dumps(s.claims())[1:]),
    "claims that are a list": lambda s: raw(s, json.dumps([s.claims()])),
    "claims that are a text": lambda s: raw(s, json.dumps(json.dumps(s.claims()))),
    "claims that are no JSON": lambda s: raw(s, "sub=user-1"),
    "claims that are a token": lambda s: raw(s, s.good()),
    "claims that are not UTF-8": lambda s: s.issuer.token(
        json.dumps(s.claims(x="é"), ensure_ascii=False).encode("latin-1")
    ),
    "claims nested deep": lambda s: raw(s, nested(5000)),
    # No token at all.
    "nothing": lambda s: "",
    "dots": lambda s: "..",
    "many dots": lambda s: "." * 10_000,
    "empty objects": lambda s: "e30.e30.e30",
}


@pytest.mark.parametrize("name", FORGED)
async def test_a_forged_token_is_refused(stage: Stage, name: str) -> None:
    """Every one of them is the same 401, and nobody else was asked anything."""
    stage.issuer.keys += [public_jwk("P-384", kid="p"), {"kty": "oct", "kid": "o", "k": "AAAA"}]
    with pytest.raises(AuthenticationRequired) as raised:
        await stage.tokens.principal(FORGED[name](stage))
    assert raised.value.message.startswith("Incorrect API key provided: ")
    assert len(raised.value.message) < 60
    assert set(stage.issuer.fetched) <= {LOCATION}


def test_there_are_enough_forged_tokens() -> None:
    """The list is not to shrink, and no two of one name."""
    assert len(FORGED) >= 90


async def test_no_altered_character_goes_unnoticed(stage: Stage) -> None:
    """A good token that differs anywhere is refused, also while the good one is remembered."""
    token = stage.good()
    await stage.tokens.principal(token)
    for place in range(0, len(token), 7):
        other = "A" if token[place] != "A" else "B"
        with pytest.raises(AuthenticationRequired):
            await stage.tokens.principal(token[:place] + other + token[place + 1 :])


# Keys that verify nothing.


@pytest.mark.parametrize(
    "about",
    [
        {"use": "enc"},
        {"key_ops": ["encrypt"]},
        {"key_ops": 5},
        {"alg": "RS512"},
        {"alg": "HS256"},
        {"alg": ["RS256"]},
        {"kid": 1},
        {"d": "AAAA"},
        {"n": "!"},
        {"n": 5},
        {"e": None},
        {"kty": "oct", "k": "AAAA"},
        {"kty": "EC"},
        {"kty": None},
        {"kty": ["RSA"]},
    ],
    ids=str,
)
async def test_a_key_for_another_purpose_verifies_nothing(stage: Stage, about: dict[str, Any]) -> None:
    """A key that is for something else, private, symmetric or broken is skipped, and the others are used."""
    stage.issuer.keys = [{**public_jwk("RSA", kid="r"), **about}, public_jwk("P-256", kid="e"), None, "x"]
    with pytest.raises(AuthenticationRequired):
        await stage.tokens.principal(stage.good())
    token = stage.issuer.token(stage.claims(), algorithm="ES256", key="P-256", kid="e")
    assert (await stage.tokens.principal(token)).tenant == "acme"


async def test_a_weak_key_verifies_nothing(stage: Stage) -> None:
    """1024 bits of RSA are too few."""
    stage.issuer.keys = [public_jwk("RSA-1024", kid="r")]
    token = stage.issuer.token(stage.claims(), key="RSA-1024")
    with pytest.raises(AuthenticationRequired):
        await stage.tokens.principal(token)


async def test_a_name_that_two_keys_have_verifies_nothing(stage: Stage) -> None:
    """Which one is meant is not for us to guess."""
    stage.issuer.keys = [public_jwk("RSA", kid="r"), public_jwk("stranger", kid="r")]
    with pytest.raises(AuthenticationRequired):
        await stage.tokens.principal(stage.good())


# The key set.


async def test_a_new_key_is_found_at_once_and_strangers_cannot_ask_for_ever(stage: Stage) -> None:
    """An unknown name makes the set be fetched again, and not more often than once a minute."""
    await stage.tokens.principal(stage.good())
    stage.issuer.keys = [public_jwk("other", kid="new")]
    token = stage.issuer.token(stage.claims(), key="other", kid="new")
    stage.ring.now_s += 60
    assert (await stage.tokens.principal(token)).tenant == "acme"
    for number in range(100):
        with pytest.raises(AuthenticationRequired):
            await stage.tokens.principal(stage.issuer.token(stage.claims(), kid=f"guess {number}"))
    assert len(stage.issuer.fetched) == 2
    stage.ring.now_s += 60
    with pytest.raises(AuthenticationRequired):
        await stage.tokens.principal(stage.issuer.token(stage.claims(), kid="guess"))
    assert len(stage.issuer.fetched) == 3


async def test_a_key_that_was_withdrawn_works_no_more(stage: Stage) -> None:
    """The set is fetched again after ten minutes, even if nobody misses anything."""
    stage.issuer.token(stage.claims())
    await stage.tokens.principal(stage.good())
    stage.issuer.keys = []
    stage.ring.now_s += 601
    with pytest.raises(AuthenticationRequired):
        await stage.tokens.principal(stage.good())


@pytest.mark.parametrize("fault", [OSError("refused"), TimeoutError(), KeysUnavailable("no")], ids=repr)
async def test_without_the_keys_nobody_is_let_in(stage: Stage, fault: Exception) -> None:
    """A provider that cannot be reached is 503, asked again a few seconds later, and not by every request."""
    stage.issuer.fault = fault
    for _ in range(10):
        with pytest.raises(KeysUnavailable):
            await stage.tokens.principal(stage.good())
    assert len(stage.issuer.fetched) == 1
    stage.issuer.fault = None
    stage.ring.now_s += 5
    assert (await stage.tokens.principal(stage.good())).tenant == "acme"


async def test_keys_that_are_known_outlast_a_short_absence(stage: Stage) -> None:
    """For an hour; then one of them may have been withdrawn without our hearing of it."""
    await stage.tokens.principal(stage.good())
    stage.issuer.fault = OSError("refused")
    stage.ring.now_s += 3599
    assert (await stage.tokens.principal(stage.good())).tenant == "acme"
    stage.ring.now_s += 2
    with pytest.raises(KeysUnavailable):
        await stage.tokens.principal(stage.good())


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b'{"keys": {}}', b"{}", b'"keys"', b'{"keys": [' + b" " * 1024 * 1024 + b"]}"],
    ids=lambda body: str(body[:12]),
)
async def test_what_is_no_key_set_is_none(stage: Stage, body: bytes) -> None:
    """A login page, a list, or a megabyte is no key set; what was known before stays."""
    stage.issuer.body = body
    with pytest.raises(KeysUnavailable):
        await stage.tokens.principal(stage.good())


async def test_a_key_set_can_be_a_file(stage: Stage, tmp_path: Any) -> None:
    """For a provider that cannot be reached from here."""
    path = tmp_path / "keys.json"
    path.write_bytes(orjson.dumps({"keys": stage.issuer.keys}))
    keys = KeySet(str(path), read_file, clock=lambda: stage.ring.now_s)
    tokens = JwtTokens(stage.rules, keys, directory=stage.ring.directory, clock=lambda: stage.ring.now_s)
    assert (await tokens.principal(stage.good())).tenant == "acme"
    assert (await read_file(str(path))).startswith(b"{")


# Whose they are.


@pytest.mark.parametrize(
    "value", ["unknown", None, 1, ["Acme Inc."], {"Acme Inc.": 1}, "acme", "", "Acme Inc. "], ids=repr
)
async def test_a_token_of_no_tenant_of_ours_is_forbidden(stage: Stage, value: object) -> None:
    """A claim without a mapping is 403: the token is good, and nobody's here. A tenant's own name is no mapping."""
    with pytest.raises(Forbidden):
        await stage.tokens.principal(stage.good(tenant=value))


@pytest.mark.parametrize("value", ["_system", "ACME", "a/b", "../a", "", "a" * 64, "a\n", "é", None, 5], ids=repr)
async def test_a_claim_that_is_no_tenants_name_is_forbidden(value: object) -> None:
    """Where the claim is the tenant, it has to be a name that a tenant can have."""
    stage = Stage(tenants={}, tenant_from_claim=True)
    assert (await stage.tokens.principal(stage.good(tenant="any-tenant_1"))).tenant == "any-tenant_1"
    with pytest.raises(Forbidden):
        await stage.tokens.principal(stage.good(tenant=value))


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        (None, {"models:read"}),
        ("", set()),
        ("responses:read", {"responses:read"}),
        (["responses:read", "models:read"], {"responses:read", "models:read"}),
        ("admin responses:readx responses:*", set()),
        ([], set()),
    ],
    ids=lambda value: "granted" if isinstance(value, set) else repr(value),
)
async def test_scopes_are_those_of_the_claim(claim: object, expected: set[str]) -> None:
    """Without the claim those that are configured; never an administrator's."""
    stage = Stage(scopes=frozenset(("models:read",)))
    assert (await stage.tokens.principal(stage.good(scope=claim))).scopes == expected


@pytest.mark.parametrize(
    "rules",
    [
        {"tenants": {}},
        {"tenant_from_claim": True},
        {"tenants": {"x": "_system"}},
        {"tenants": {"x": "A"}},
        {"scopes": frozenset(("admin",))},
    ],
    ids=str,
)
def test_rules_that_cannot_be_are_refused(rules: dict[str, Any]) -> None:
    """Before anybody shows a token."""
    with pytest.raises(ValueError, match=r"token|tenant"):
        Stage(**rules)


async def test_a_suspended_tenants_tokens_are_refused(stage: Stage) -> None:
    """Within half a second, whatever is remembered of the token."""
    token = stage.good()
    await stage.tokens.principal(token)
    await stage.ring.put_tenant("acme", state="suspended")
    stage.ring.now_s += 0.5
    with pytest.raises(AuthenticationRequired):
        await stage.tokens.principal(token)


# What is remembered.


async def test_a_token_is_remembered_until_it_ends() -> None:
    """It is verified once a minute, and never believed after its end."""
    stage = Stage(leeway_s=0.0)
    token = stage.good(exp=stage.ring.now_s + 30)
    await stage.tokens.principal(token)
    stage.issuer.keys = []
    stage.issuer.fault = OSError("away")
    stage.ring.now_s += 29
    assert (await stage.tokens.principal(token)).tenant == "acme"
    stage.ring.now_s += 1
    with pytest.raises(AuthenticationRequired):
        await stage.tokens.principal(token)


async def test_what_is_remembered_takes_bounded_room(stage: Stage) -> None:
    """Of more tokens than fit, those that were shown longest ago are verified again."""
    stage.issuer.keys = [public_jwk("Ed25519", kid="r")]
    stage.tokens._believed.update({str(n).encode(): (0.0, None) for n in range(10_000)})  # type: ignore[misc]
    token = stage.issuer.token(stage.claims(), algorithm="EdDSA", key="Ed25519")
    await stage.tokens.principal(token)
    assert len(stage.tokens._believed) == 10_000


# Beside keys.


async def test_keys_and_tokens_are_taken_side_by_side(stage: Stage) -> None:
    """What begins like an API key is one; everything else is a token."""
    key = await stage.ring.make()
    both = stage.ring.keys(tokens=stage.tokens)
    for credential, actor in ((key.text, key.key_id), (stage.good(), "jwt:")):
        headers = [(b"authorization", b"Bearer " + credential.encode())]
        assert (await both.authenticate(headers)).actor.startswith(actor)
    for credential in ("sk-antiphon-live-nothing", "a.b.c", "x"):
        with pytest.raises(AuthenticationRequired):
            await both.authenticate([(b"authorization", b"Bearer " + credential.encode())])
