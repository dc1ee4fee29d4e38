"""API keys as text: they can be told from noise, and what is shown of them is no secret."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import string
from zlib import crc32

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from antiphon.hub.api_key import ApiKey, mint, parse, shown

# A digit, and what keys of nothing else begin with.
VECTORS = [
    (0, "live", f"sk-antiphon-live-{'0' * 12}-{'0' * 43}-"),
    (61, "live", f"sk-antiphon-live-{'z' * 12}-{'z' * 43}-"),
    (10, "admin", f"sk-antiphon-admin-{'A' * 12}-{'A' * 43}-"),
]
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase


def checksum(text: str) -> str:
    """The checksum, computed from the definition in another way."""
    value = crc32(text.encode())
    return "".join(ALPHABET[value // 62**place % 62] for place in range(5, -1, -1))


@pytest.mark.parametrize(("digit", "environment", "start"), VECTORS)
def test_the_format_is_frozen(digit: int, environment: str, start: str) -> None:
    """A key is its parts, each of its length, and the CRC-32 of all before it in six digits."""
    key = mint("admin" if environment == "admin" else "live", below=lambda _: digit)
    assert key.text == start + checksum(start)
    assert (key.environment, key.key_id, key.hint) == (environment, ALPHABET[digit] * 12, ALPHABET[digit] * 4)


def test_a_known_key_is_read_as_it_ever_was() -> None:
    """A vector that was written down: text, parts and hash."""
    text = "sk-antiphon-live-0123456789AB-CDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrs-1PpnYU"
    key = parse(text)
    assert key is not None
    assert (key.environment, key.key_id, key.hint) == ("live", "0123456789AB", "pqrs")
    assert key.mac(b"pepper" * 6) == hmac.new(b"pepper" * 6, text.encode(), hashlib.sha256).digest()
    assert key.mac(b"pepper" * 6).hex() == "46e9dd8a76fb1c54d352b62df95dbaeec839f3c221802c08979d4af7bd83350f"


def test_no_two_keys_are_alike() -> None:
    """Id and secret are random; a new secret can be had for an old id."""
    keys = [mint("live") for _ in range(200)]
    assert len({key.key_id for key in keys}) == len({key.text for key in keys}) == 200
    renewed = mint("live", key_id=keys[0].key_id)
    assert (renewed.key_id, renewed.text != keys[0].text) == (keys[0].key_id, True)


@pytest.mark.parametrize("key_id", ["short", "x" * 13, "ümlaut-ümlau", "-----------\n"])
def test_no_key_is_made_for_an_id_that_cannot_be(key_id: str) -> None:
    """The id of a record that was not made here is an error, not a key that nobody can use."""
    with pytest.raises(ValueError, match="no key id"):
        mint("live", key_id=key_id)


def test_every_mistyped_character_is_seen() -> None:
    """One character changed, left out, doubled, or two neighbours exchanged: it is no key any more."""
    text = mint("live").text
    for place in range(len(text)):
        before, char, after = text[:place], text[place], text[place + 1 :]
        wrong = [before + other + after for other in "0aZ-_. ß" if other != char]
        wrong += [before + after, before + char + char + after]
        if after and after[0] != char:
            wrong.append(before + after[0] + char + after[1:])
        assert [parse(each) for each in wrong] == [None] * len(wrong)


@pytest.mark.parametrize("around", ["{} ", " {}", "{}\n", "{}\0", "Bearer {}", '"{}"'])
def test_nothing_may_stand_around_a_key(around: str) -> None:
    """Whitespace that a shell or a header adds is not cut off here."""
    assert parse(around.format(mint("live").text)) is None


def test_another_environment_is_another_key() -> None:
    """The checksum covers the environment: it cannot be exchanged by hand."""
    assert parse(mint("live").text.replace("-live-", "-admin-")) is None


@given(st.text(max_size=100))
@example("sk-antiphon-live-" + "0" * 64)
def test_any_text_can_be_asked_about(text: str) -> None:
    """No text breaks the parser or what is shown."""
    assert parse(text) is None
    assert shown(text).isascii()


@given(st.text(min_size=20, max_size=120))
def test_at_most_a_few_characters_are_shown(text: str) -> None:
    """Three characters after a known prefix, and the last four."""
    assert len(shown(text)) <= len("sk-antiphon-admin-abc***wxyz")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"sk-antiphon-live-abc{'d' * 60}wxyz", "sk-antiphon-live-abc***wxyz"),
        (f"sk-antiphon-admin-abc{'d' * 60}wxyz", "sk-antiphon-admin-abc***wxyz"),
        ("sk-proj-abcdefghijklmnopqrstuvwxyz", "sk-pro***wxyz"),
        ("eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.", "eyJ***In0."),
        ("hunter2", "***"),
        ("", "***"),
        ("x" * 19, "***"),
        ("sk-\r\nSet-Cookie: a=b; c=dddddd\x00\x7f\x80ü", "sk-??S***????"),
    ],
)
def test_what_is_shown_is_no_secret(text: str, expected: str) -> None:
    """Of a short text nothing; of what is no printable ASCII a question mark."""
    assert shown(text) == expected


def test_a_key_does_not_print_itself() -> None:
    """What lands in a log or a traceback is the shown form."""
    key = mint("live")
    for text in (str(key), repr(key), f"{key}", repr([key])):
        assert key.text not in text
        assert key.text[17:60] not in text


def test_hashes_of_different_keys_and_peppers_differ() -> None:
    """Whoever has the hashes of one store cannot use them in another."""
    keys: list[ApiKey] = [mint("live"), mint("live")]
    hashes = [key.mac(pepper) for key, pepper in itertools.product(keys, (b"a" * 32, b"b" * 32))]
    assert len(set(hashes)) == 4
