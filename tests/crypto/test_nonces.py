"""Randomness: never twice, never weak, never shared with a forked process."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from antiphon.crypto.nonces import NoncePool, next_nonce, random_key
from antiphon.hub.errors import KeysUnavailable


def _failing(size: int) -> bytes:
    raise OSError(5, "Input/output error")


def _lacking(size: int) -> bytes:
    raise NotImplementedError


SOURCES: dict[str, Callable[[int], bytes]] = {
    "fails": _failing,
    "is not there": _lacking,
    "gives too little": lambda size: os.urandom(size - 1),
    "gives zeros": bytes,
    "repeats a piece": lambda size: os.urandom(12) * (size // 12),
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES.keys())
def test_without_randomness_there_is_no_nonce(source: Callable[[int], bytes]) -> None:
    """A source that does not work is an error, not a weaker nonce."""
    with pytest.raises(KeysUnavailable):
        NoncePool(source)()


def test_a_source_that_gives_the_same_again_is_refused() -> None:
    """A second block that equals the first would use every nonce twice."""
    block = os.urandom(12 * 256)
    pool = NoncePool(lambda _: block)
    assert len({pool() for _ in range(256)}) == 256
    with pytest.raises(KeysUnavailable):
        pool()


@pytest.mark.parametrize("source", [_failing, _lacking, lambda size: b"short"], ids=["fails", "is not there", "short"])
def test_without_randomness_there_is_no_key(source: Callable[[int], bytes]) -> None:
    """A key is 32 random bytes, or an error."""
    with pytest.raises(KeysUnavailable):
        random_key(source)


def test_threads_are_never_given_the_same_nonce() -> None:
    """A hundred thousand nonces, drawn by eight threads, are all different."""
    pool = NoncePool()
    with ThreadPoolExecutor(8) as threads:
        drawn = [nonce for part in threads.map(lambda _: [pool() for _ in range(12_500)], range(8)) for nonce in part]
    assert len(set(drawn)) == 100_000
    assert {len(nonce) for nonce in drawn} == {12}


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_draws_other_nonces() -> None:
    """Parent and child go on from the same block, and yet have no nonce in common."""
    next_nonce()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, b"".join(next_nonce() for _ in range(100)))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        theirs = pipe.read()
    os.waitpid(child, 0)
    drawn = {theirs[start : start + 12] for start in range(0, len(theirs), 12)}
    assert len(drawn) == 100
    assert not drawn & {next_nonce() for _ in range(300)}
