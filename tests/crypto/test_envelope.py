"""The bytes of sealed content: frozen, bound to their place, and refused as soon as one bit is another one."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.crypto.envelope import (
    FamilySeal,
    InvalidEnvelope,
    PayloadCipher,
    WrappedTenantKey,
    associated_data,
    derive_family,
    derive_tenant_family,
    found_seal,
    parse_seal,
    parse_wrapped,
    place_head,
    place_tail,
    tenant_key_commitment,
)
from antiphon.crypto.services import KeyContext, RootKey
from antiphon.hub.ids import Family, TenantId
from tests.crypto import independent
from tests.crypto.salamander import one_ciphertext_for

VECTORS: dict[str, list[dict[str, Any]]] = json.loads(
    (Path(__file__).parent / "vectors.json").read_text(encoding="utf-8")
)
KEY, SALT, NONCE, AAD = bytes(range(32)), bytes(range(32, 64)), bytes(range(12)), b"where it stands"
PAYLOAD = PayloadCipher(7, KEY).seal(b"what somebody said", AAD, NONCE)


# The frozen form.


@pytest.mark.parametrize("vector", VECTORS["payloads"], ids=itertools.count())
def test_payloads_of_every_earlier_version_are_opened_and_made(vector: dict[str, Any]) -> None:
    """What was sealed once is opened for ever, and with the same nonce the same bytes are made."""
    key, family = bytes.fromhex(vector["tenant_key"]), Family(vector["family"])
    used = derive_family(key, bytes.fromhex(vector["salt"]))[0] if family else derive_tenant_family(key)
    row_id = associated_data(vector["row_id"].encode())
    aad = place_head(TenantId(vector["tenant"]), vector["table"]) + row_id + place_tail(family)
    cipher = PayloadCipher(vector["version"], used)
    sealed, plaintext = bytes.fromhex(vector["payload"]), bytes.fromhex(vector["plaintext"])
    assert cipher.open(sealed, aad) == plaintext
    assert cipher.seal(plaintext, aad, bytes.fromhex(vector["nonce"])) == sealed


@pytest.mark.parametrize("vector", VECTORS["seals"], ids=itertools.count())
def test_seals_of_every_earlier_version_give_the_same_keys(vector: dict[str, Any]) -> None:
    """A family's keys follow from its seal and the tenant's keys for ever."""
    seal = parse_seal(bytes.fromhex(vector["seal"]))
    made = FamilySeal(bytes.fromhex(vector["salt"]), {})
    for version, key in vector["tenant_keys"].items():
        assert seal.key(int(version), bytes.fromhex(key)).hex() == vector["family_keys"][version]
        made = made.with_key(int(version), bytes.fromhex(key))
    assert made.encode().hex() == vector["seal"]


@pytest.mark.parametrize("vector", VECTORS["wrapped_keys"], ids=itertools.count())
def test_wrapped_keys_of_every_earlier_version_are_unwrapped(vector: dict[str, Any]) -> None:
    """A tenant's key can be got at with the root key that wrapped it, for ever."""
    root, key = RootKey(bytes.fromhex(vector["root_key"])), bytes.fromhex(vector["tenant_key"])
    tenant, version = TenantId(vector["tenant"]), vector["version"]
    wrapped = parse_wrapped(bytes.fromhex(vector["wrapped"]))
    assert root.ref == vector["root_ref"]
    assert root.unwrap(wrapped.blob, KeyContext(tenant, version)) == key
    wrapped.check(key, tenant, version)
    blob = root.wrap(key, KeyContext(tenant, version), bytes.fromhex(vector["nonce"]))
    made = WrappedTenantKey(tenant_key_commitment(key, tenant, version), blob)
    assert made.encode().hex() == vector["wrapped"]


def test_there_are_vectors_of_every_part_of_the_form() -> None:
    """At least three hundred, of payloads, seals and wrapped keys, and of every table."""
    assert sum(map(len, VECTORS.values())) >= 300
    assert {vector["table"] for vector in VECTORS["payloads"]} >= {"items", "responses", "secrets", "stream_events"}


@settings(deadline=None, max_examples=50)
@given(key=st.binary(min_size=32, max_size=32), salt=st.binary(min_size=32, max_size=32), text=st.binary(max_size=2000))
def test_what_is_sealed_is_what_the_description_says(key: bytes, salt: bytes, text: bytes) -> None:
    """A second implementation of the description makes the same bytes."""
    assert derive_family(key, salt) == independent.family_key(key, salt)
    assert derive_tenant_family(key) == independent.tenant_key(key)
    assert PayloadCipher(3, key).seal(text, AAD, NONCE) == independent.payload(key, 3, NONCE, text, AAD)
    assert found_seal(salt, 9, key).encode() == independent.seal(salt, {9: key})


# What is refused.


def test_every_flipped_bit_is_noticed() -> None:
    """Ten thousand payloads with one bit flipped somewhere: none is opened."""
    rng = random.Random(7)  # noqa: S311 - chooses what is tested
    cipher = PayloadCipher(7, KEY)
    opened = 0
    for number in range(10_000):
        altered = bytearray(PAYLOAD)
        bit = number if number < len(PAYLOAD) * 8 else rng.randrange(len(PAYLOAD) * 8)
        altered[bit // 8] ^= 1 << bit % 8
        try:
            cipher.open(bytes(altered), AAD)
            opened += 1
        except InvalidEnvelope:
            continue
    assert opened == 0


def test_every_cut_and_every_addition_is_noticed() -> None:
    """Ten thousand payloads that are shorter at an end, or longer: none is opened."""
    cipher = PayloadCipher(7, KEY)
    rng = random.Random(8)  # noqa: S311 - chooses what is tested
    opened = 0
    for number in range(10_000):
        size = number % len(PAYLOAD)
        altered = (PAYLOAD[:size], PAYLOAD[size + 1 :], PAYLOAD + rng.randbytes(1 + size))[number % 3]
        try:
            cipher.open(altered, AAD)
            opened += 1
        except InvalidEnvelope:
            continue
    assert opened == 0


@pytest.mark.parametrize(
    "payload",
    [b"", b"\x01", b"\x00" + PAYLOAD[1:], b"\x02" + PAYLOAD[1:], PAYLOAD[:32], b'\x00{"plain":true}' + bytes(40)],
    ids=["empty", "one byte", "plain", "later format", "without a tag", "plain JSON"],
)
def test_what_is_no_sealed_payload_is_refused(payload: bytes) -> None:
    """Nothing is opened that does not say what it is."""
    with pytest.raises(InvalidEnvelope):
        PayloadCipher(7, KEY).open(payload, AAD)


@pytest.mark.parametrize("nonce", [b"", bytes(11), bytes(13)], ids=len)
def test_a_nonce_of_another_length_is_refused(nonce: bytes) -> None:
    """A short nonce would be a weak one."""
    with pytest.raises(ValueError, match="12 bytes"):
        PayloadCipher(7, KEY).seal(b"", AAD, nonce)


@settings(deadline=None)
@given(first=st.lists(st.binary(max_size=4), max_size=4), second=st.lists(st.binary(max_size=4), max_size=4))
def test_parts_of_associated_data_do_not_run_into_each_other(first: list[bytes], second: list[bytes]) -> None:
    """Two places have the same associated data only if they are the same place."""
    assert (associated_data(*first) == associated_data(*second)) == (first == second)


@pytest.mark.parametrize(
    "seal",
    [b"", SALT, SALT + bytes(35), SALT + bytes(37), found_seal(SALT, 2, KEY).encode() * 2],
    ids=["empty", "only a salt", "too short", "too long", "twice"],
)
def test_a_seal_of_another_form_is_refused(seal: bytes) -> None:
    """What is kept with a family is read whole or not at all."""
    with pytest.raises(InvalidEnvelope):
        parse_seal(seal)


def test_a_seal_does_not_give_a_key_that_it_does_not_commit_to() -> None:
    """Another key, another version, another salt and every flipped bit of the commitment are refused."""
    seal = found_seal(SALT, 1, KEY)
    with pytest.raises(InvalidEnvelope):
        seal.key(1, bytes(32))
    with pytest.raises(InvalidEnvelope):
        seal.key(2, KEY)
    for bit in range(36 * 8, len(seal.encode()) * 8):
        altered = bytearray(seal.encode())
        altered[bit // 8] ^= 1 << bit % 8
        with pytest.raises(InvalidEnvelope):
            parse_seal(bytes(altered)).key(1, KEY)


def test_one_ciphertext_that_opens_under_two_keys_is_refused_under_one_of_them() -> None:
    """
    AES-GCM by itself opens it under both (an invisible salamander); the commitment in the seal allows one of the keys.
    """
    other = bytes(reversed(KEY))
    mine, theirs = derive_family(KEY, SALT)[0], derive_family(other, SALT)[0]
    sealed = one_ciphertext_for(mine, theirs, NONCE, AAD)
    assert AESGCM(mine).decrypt(NONCE, sealed, AAD) != AESGCM(theirs).decrypt(NONCE, sealed, AAD)
    seal = found_seal(SALT, 1, KEY)
    payload = PayloadCipher(1, mine).header + NONCE + sealed
    assert PayloadCipher(1, seal.key(1, KEY)).open(payload, AAD)
    with pytest.raises(InvalidEnvelope):
        seal.key(1, other)


@pytest.mark.parametrize(
    ("tenant", "version", "key"),
    [("other", 1, KEY), ("acme", 2, KEY), ("acme", 1, SALT), ("acme", 1, KEY[:31])],
    ids=["another tenant", "another version", "another key", "a short key"],
)
def test_a_wrapped_key_is_of_one_tenant_and_version(tenant: str, version: int, key: bytes) -> None:
    """Whatever a key service answers, only the key that was wrapped here is taken."""
    wrapped = WrappedTenantKey(tenant_key_commitment(KEY, TenantId("acme"), 1), b"blob")
    wrapped.check(KEY, TenantId("acme"), 1)
    with pytest.raises(InvalidEnvelope):
        wrapped.check(key, TenantId(tenant), version)


@pytest.mark.parametrize("wrapped", [b"", b"\x01", b"\x01" + bytes(32), b"\x02" + bytes(64)], ids=len)
def test_a_wrapped_key_of_another_form_is_refused(wrapped: bytes) -> None:
    """What is kept of a tenant's key is read whole or not at all."""
    with pytest.raises(InvalidEnvelope):
        parse_wrapped(wrapped)
