"""Sealed texts: who may open them, and what happens to everybody and everything else."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.crypto import Sealer
from antiphon.hub.errors import InvalidEncryptedContent

KEY = bytes(range(32))
AAD = ("compaction", "tenant-a")
VECTORS = json.loads((Path(__file__).parent / "seal_vectors.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["name"]))
def test_texts_of_every_earlier_version_can_be_opened(vector: dict[str, str]) -> None:
    """The form is frozen: what was handed out once is opened for ever."""
    opened = Sealer(bytes.fromhex(vector["key"])).open(vector["text"], vector["aad"])
    assert opened == bytes.fromhex(vector["plaintext"])


@settings(deadline=None)
@given(plaintext=st.binary(max_size=5000), aad=st.lists(st.text(max_size=20), max_size=4))
def test_what_was_sealed_can_be_opened(plaintext: bytes, aad: list[str]) -> None:
    """Opening gives back the bytes, whatever they are and whatever they are bound to."""
    sealer = Sealer(KEY)
    assert sealer.open(sealer.seal(plaintext, aad), aad) == plaintext


def test_a_text_says_nothing_twice() -> None:
    """The same content looks different each time, and is nowhere in the text."""
    sealer = Sealer(KEY)
    texts = {sealer.seal(b"the very same secret", AAD) for _ in range(100)}
    assert len(texts) == 100
    assert not any(b"secret" in base64.urlsafe_b64decode(text[5:] + "==") for text in texts)


@settings(deadline=None)
@given(first=st.lists(st.text(max_size=4), max_size=3), second=st.lists(st.text(max_size=4), max_size=3))
def test_a_text_is_bound_to_all_that_it_was_sealed_for(first: list[str], second: list[str]) -> None:
    """Another tenant or purpose, or the same letters cut elsewhere, does not open it."""
    sealer = Sealer(KEY)
    text = sealer.seal(b"content", first)
    if first == second:
        assert sealer.open(text, second) == b"content"
    else:
        with pytest.raises(InvalidEncryptedContent):
            sealer.open(text, second)


def test_another_key_does_not_open_it() -> None:
    """A text is its tenant's own."""
    text = Sealer(KEY).seal(b"content", AAD)
    with pytest.raises(InvalidEncryptedContent):
        Sealer(bytes(32)).open(text, AAD)


def test_every_flipped_bit_is_noticed() -> None:
    """Not one of all the bits of nonce, ciphertext and tag can be changed."""
    sealer = Sealer(KEY)
    text = sealer.seal(b"Ada's order is number 17.", AAD)
    sealed = base64.urlsafe_b64decode(text[5:] + "=" * (-len(text[5:]) % 4))
    for bit in range(len(sealed) * 8):
        altered = bytearray(sealed)
        altered[bit // 8] ^= 1 << bit % 8
        with pytest.raises(InvalidEncryptedContent):
            sealer.open("ags1_" + base64.urlsafe_b64encode(altered).rstrip(b"=").decode(), AAD)


def test_every_changed_character_is_noticed() -> None:
    """A text has one form only: not even the bits that base64 ignores can be changed."""
    sealer = Sealer(KEY)
    for size in (24, 25, 26):  # each way in which base64 can end
        text = sealer.seal(bytes(size), AAD)
        for place in range(len(text)):
            for other in set("AQgwBz9-_+/=.\n") - {text[place]}:
                with pytest.raises(InvalidEncryptedContent):
                    sealer.open(text[:place] + other + text[place + 1 :], AAD)


def test_a_text_that_was_cut_or_lengthened_is_refused() -> None:
    """No beginning of a text opens, and nothing may stand behind it."""
    sealer = Sealer(KEY)
    text = sealer.seal(b"content", AAD)
    for altered in [*(text[:length] for length in range(len(text))), text + "A", text + "=", text + "\n", " " + text]:
        with pytest.raises(InvalidEncryptedContent):
            sealer.open(altered, AAD)


@settings(deadline=None)
@given(text=st.one_of(st.text(max_size=200), st.text(max_size=200).map(lambda text: "ags1_" + text)))
def test_foreign_texts_are_refused(text: str) -> None:
    """Whatever a client sends, the answer is the same error."""
    with pytest.raises(InvalidEncryptedContent) as caught:
        Sealer(KEY).open(text, AAD)
    assert (caught.value.status, caught.value.code, caught.value.param) == (400, "invalid_encrypted_content", "input")
    assert caught.value.message == "The encrypted content could not be verified."


@pytest.mark.parametrize("size", [0, 16, 31, 33, 64])
def test_a_key_of_another_length_is_refused(size: int) -> None:
    """A short key is a mistake of whoever made it."""
    with pytest.raises(ValueError, match="32 bytes"):
        Sealer(bytes(size))
