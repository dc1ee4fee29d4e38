"""Who is let in: one parser of credentials, and one answer to all that is wrong with a key."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any

import pytest

from antiphon.hub.api_key import ApiKey, mint, shown
from antiphon.hub.errors import AuthenticationRequired, InvalidRequest, StoreUnavailable
from antiphon.hub.principal import ADMIN_SCOPES, LOCAL, TENANT_SCOPES, Limits, Principal
from antiphon.server.auth import ApiKeys, KeylessUntilFirstKey, NoKeys, credential_of, subprotocol_of
from tests.server.keyring import PEPPER, Keyring

Headers = list[tuple[bytes, bytes]]


def bearing(text: str, scheme: str = "Bearer") -> Headers:
    return [(b"authorization", f"{scheme} {text}".encode("latin-1", "replace"))]


@pytest.fixture
def ring() -> Keyring:
    return Keyring()


# The credential.


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], None),
        ([(b"authorization", b"Bearer k")], "k"),
        ([(b"authorization", b"bearer   k ")], "k"),
        ([(b"authorization", b"BEARER k")], "k"),
        ([(b"x-api-key", b" k ")], "k"),
        ([(b"x-api-key", b"")], None),
        ([(b"authorization", b"")], None),
        ([(b"authorization", b"Bearer")], None),
        ([(b"authorization", b"Bearer ")], None),
        ([(b"authorization", b"k")], None),
        ([(b"authorization", b"Basic k")], None),
        ([(b"authorization", b"Bearerk")], None),
        (
            [(b"cookie", b"authorization=k; x-api-key=k"), (b"api-key", b"k"), (b"proxy-authorization", b"Bearer k")],
            None,
        ),
        ([(b"authorization", b"Bearer \xff")], "ÿ"),
    ],
    ids=str,
)
def test_there_are_two_places_for_a_credential(headers: Headers, expected: str | None) -> None:
    """A bearer token, or x-api-key; other schemes and headers are no credential."""
    assert credential_of(headers) == expected


@pytest.mark.parametrize(
    ("headers", "subprotocols"),
    [
        ([*bearing("a"), *bearing("b")], ()),
        ([*bearing("a"), *bearing("a")], ()),
        ([*bearing("a"), (b"x-api-key", b"a")], ()),
        ([(b"x-api-key", b"a"), (b"x-api-key", b"a")], ()),
        ([(b"authorization", b""), (b"x-api-key", b"a")], ()),
        ([*bearing("u:p", "Basic"), (b"x-api-key", b"a")], ()),
        (bearing("a"), ("openai-insecure-api-key.a",)),
        ([], ("openai-insecure-api-key.a", "openai-insecure-api-key.b")),
    ],
    ids=str,
)
def test_two_credentials_are_refused(headers: Headers, subprotocols: tuple[str, ...]) -> None:
    """Whoever is in front of us may have looked at the other one, even if that is empty or the same."""
    with pytest.raises(InvalidRequest, match="one credential"):
        credential_of(headers, subprotocols)


@pytest.mark.parametrize(
    ("offered", "credential", "answered"),
    [
        ((), None, None),
        (("realtime",), None, None),
        (("realtime", "openai-insecure-api-key.k"), "k", "realtime"),
        (("openai-insecure-api-key.k", "realtime", "other"), "k", "realtime"),
        (("openai-insecure-api-key.k",), "k", "openai-insecure-api-key.k"),
    ],
)
def test_a_browser_can_say_its_key_as_a_subprotocol(
    offered: tuple[str, ...], credential: str | None, answered: str | None
) -> None:
    """Then it is answered one that it offered, and its key only if it offered nothing else; other clients none."""
    assert (credential_of([], offered), subprotocol_of(offered)) == (credential, answered)


# Keys.


async def test_a_key_is_its_principal(ring: Keyring) -> None:
    """Tenant, scopes, models and limits are those of the record; the actor is the key's id."""
    key = await ring.make(scopes=("responses:read",), models=("m",), limits=Limits(requests_per_minute=3))
    assert await ring.keys().authenticate(bearing(key.text)) == Principal(
        tenant="acme",  # type: ignore[arg-type]  # a NewType of str
        actor=key.key_id,
        scopes=frozenset({"responses:read"}),
        models=frozenset({"m"}),
        limits=Limits(requests_per_minute=3),
    )
    assert await ring.keys().authenticate([(b"x-api-key", key.text.encode())]) is not None


async def test_an_administrators_scope_is_no_tenants(ring: Keyring) -> None:
    """Whatever a tenant's record says, it makes no administrator; nor is an administrator's key more than that."""
    key = await ring.make(scopes=("admin", "responses:read", "of a later version"))
    assert (await ring.keys().authenticate(bearing(key.text))).scopes == {"responses:read"}
    admin = await ring.make("_system", environment="admin", scopes=("admin", "responses:read"))
    principal = await ring.keys("admin").authenticate(bearing(admin.text))
    assert (principal.tenant, principal.scopes) == ("_system", ADMIN_SCOPES)


# What is wrong with a text, made of a good one.
TEXTS: dict[str, Callable[[ApiKey], str]] = {
    "unknown": lambda _: mint("live").text,
    "another secret": lambda key: mint("live", key_id=key.key_id).text,
    "an administrator's": lambda key: mint("admin", key_id=key.key_id).text,
    "mistyped": lambda key: key.text[:-1] + ("0" if key.text[-1] != "0" else "1"),
    "cut": lambda key: key.text[:-1],
    "longer": lambda key: key.text + "0",
    "no key at all": lambda _: "sk-proj-" + "a" * 50,
    "another provider's token": lambda _: "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlc2lnbmF0dXJl",
    "the hash itself": lambda key: key.mac(PEPPER).hex(),
    "not ASCII": lambda key: "sk-antiphon-live-\xff" + key.text[18:],
    "no id": lambda _: f"sk-antiphon-live--{'0' * 55}",
}
# What is wrong with a record, as of the time *now*.
RECORDS: dict[str, Callable[[ApiKey, int], dict[str, Any]]] = {
    "expired": lambda _, now: {"expires_at": now},
    "revoked": lambda _, now: {"revoked_at": now},
    "revoked, and was rotated": lambda key, now: {
        "revoked_at": now,
        "previous_mac": key.mac(PEPPER),
        "previous_until": now + 60,
    },
    "rotated": lambda key, now: {"mac": b"x" * 32, "previous_mac": key.mac(PEPPER), "previous_until": now},
    "rotated without grace": lambda key, _: {"mac": b"x" * 32, "previous_mac": key.mac(PEPPER)},
    "rotated and forgotten": lambda _, __: {"mac": b"x" * 32},
    "without a hash": lambda _, __: {"mac": b""},
}
WRONG = [*TEXTS, *RECORDS, "suspended", "erasing", "a real administrator's"]


async def wrong(ring: Keyring, how: str) -> str:
    """A credential that is wrong in one way."""
    key = await ring.make()
    if how in TEXTS:
        return TEXTS[how](key)
    if how == "a real administrator's":
        return (await ring.make("_system", environment="admin", scopes=("admin",))).text
    if how in RECORDS:
        await ring.change(key, **RECORDS[how](key, int(ring.now_s)))
    else:
        await ring.put_tenant("acme", state=how)
    return key.text


@pytest.mark.parametrize("how", WRONG)
async def test_whatever_is_wrong_the_answer_is_the_same(ring: Keyring, how: str) -> None:
    """Nothing tells whether there is such a key, or what became of it; only what was sent is shown, shortened."""
    text = await wrong(ring, how)
    with pytest.raises(AuthenticationRequired) as raised:
        await ring.keys().authenticate(bearing(text))
    assert raised.value.envelope() == {
        "error": {
            "message": f"Incorrect API key provided: {shown(text)}.",
            "type": "invalid_request_error",
            "param": None,
            "code": "invalid_api_key",
        }
    }


async def test_without_a_key_one_is_asked_for_in_openais_words(ring: Keyring) -> None:
    """As is whoever sends a credential of another kind."""
    for headers in ([], bearing("dTpw", "Basic")):
        with pytest.raises(AuthenticationRequired, match="You didn't provide an API key"):
            await ring.keys().authenticate(headers)


async def test_an_unknown_key_costs_the_same_hash(ring: Keyring, monkeypatch: pytest.MonkeyPatch) -> None:
    """An id that there is not costs as many hashes and comparisons as a wrong secret, so time tells nothing."""
    known = await ring.make()
    counts = []
    for key in (mint("live", key_id=known.key_id), mint("live"), known):
        calls = {"digest": 0, "compare_digest": 0}
        with monkeypatch.context() as patched:
            for name in calls:
                patched.setattr(hmac, name, _counted(getattr(hmac, name), calls, name))
            await _outcome(ring.keys(), key)
        counts.append(calls)
    assert counts == [{"digest": 1, "compare_digest": 2}] * 3


def _counted(function: Any, calls: dict[str, int], name: str) -> Any:
    def counted(*args: Any) -> Any:
        calls[name] += 1
        return function(*args)

    return counted


async def _outcome(keys: ApiKeys, key: ApiKey) -> bool:
    try:
        await keys.authenticate(bearing(key.text))
    except AuthenticationRequired:
        return False
    return True


async def test_both_secrets_work_for_as_long_as_the_grace(ring: Keyring) -> None:
    """A rotated key's old secret works until its time is over, the new one from the start."""
    old = await ring.make()
    new = mint("live", key_id=old.key_id)
    until = int(ring.now_s) + 60
    await ring.change(old, mac=new.mac(PEPPER), previous_mac=old.mac(PEPPER), previous_until=until)
    assert [await _outcome(ring.keys(), key) for key in (old, new)] == [True, True]
    ring.now_s = until
    assert [await _outcome(ring.keys(), key) for key in (old, new)] == [False, True]


@pytest.mark.parametrize("change", ["revoked_at", "expires_at", "suspended"])
async def test_what_was_let_in_is_looked_at_again(ring: Keyring, change: str) -> None:
    """A key that worked works no more half a second after it was revoked, or its tenant suspended."""
    key = await ring.make()
    keys = ring.keys()
    assert await _outcome(keys, key)
    if change == "suspended":
        await ring.put_tenant("acme", state="suspended")
    else:
        await ring.change(key, **{change: int(ring.now_s)})
    ring.now_s += 0.5
    assert not await _outcome(keys, key)
    if change == "suspended":
        await ring.put_tenant("acme", state="active")
        ring.now_s += 0.5
        assert await _outcome(keys, key)


async def test_a_key_without_a_pepper_lets_nobody_in(ring: Keyring) -> None:
    """Where the pepper cannot be read, that is said, and it is asked for again the next time."""
    answers: list[Exception | bytes] = [StoreUnavailable("down"), PEPPER]

    async def pepper() -> bytes:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    key = await ring.make()
    keys = ApiKeys(ring.directory, pepper=pepper, clock=lambda: ring.now_s)
    with pytest.raises(StoreUnavailable):
        await keys.authenticate(bearing(key.text))
    assert await _outcome(keys, key)
    assert await _outcome(keys, key)


async def test_the_use_of_a_key_is_noted(ring: Keyring) -> None:
    """Of a key that was let in; not of one that was only guessed at."""
    key, other = await ring.make(), await ring.make()
    await _outcome(ring.keys(), key)
    await _outcome(ring.keys(), mint("live", key_id=other.key_id))
    await ring.directory.close()
    records = {record.key_id: record.last_used_at for record in await ring.store.list_api_keys()}
    assert records == {key.key_id: int(ring.now_s), other.key_id: None}


# Without keys.


async def test_a_keyless_gateway_looks_at_nothing() -> None:
    """Whatever client libraries send, everybody is the local principal."""
    for headers in ([], bearing("x"), [*bearing("x"), *bearing("y")]):
        assert await NoKeys().authenticate(headers) is LOCAL
    assert LOCAL.scopes == TENANT_SCOPES


async def test_the_first_key_closes_the_door(ring: Keyring) -> None:
    """A gateway that is open until there is a key asks for one from half a second after it was made."""
    door = KeylessUntilFirstKey(ring.directory, ring.keys())
    assert await door.authenticate([]) is LOCAL
    key = await ring.make()
    ring.now_s += 0.5
    with pytest.raises(AuthenticationRequired):
        await door.authenticate([])
    assert (await door.authenticate(bearing(key.text))).actor == key.key_id
