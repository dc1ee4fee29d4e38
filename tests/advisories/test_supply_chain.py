"""Advisories about what comes along with a package: code that runs by itself, and other people's packages."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable
from email.message import Message
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
MOST_PACKAGES = 40
PERMISSIVE = re.compile(
    r"\b(MIT|BSD|Apache|PSF|Python Software Foundation|ISC|Unlicense|0BSD|Zlib|any-OSI|MPL)\b",
    re.IGNORECASE,
)
COPYLEFT = re.compile(r"\b(A?GPL|LGPL|SSPL|BUSL|Elastic|Commons Clause|General Public)\b", re.IGNORECASE)


def core() -> dict[str, metadata.Distribution]:
    """What is installed for the project's own dependencies, with all that they need in turn, by name."""
    found: dict[str, metadata.Distribution] = {}
    asked: set[tuple[str, str]] = set()
    waiting = _needed(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"], "")
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in asked:
            continue
        asked.add((name, extra))
        found[name] = metadata.distribution(name)
        waiting += _needed(found[name].requires or (), extra)
    return found


def _needed(lines: Iterable[str], extra: str) -> list[tuple[str, str]]:
    """Names of packages, each with an extra or without one, of requirements that hold here."""
    wanted = [Requirement(line) for line in lines]
    return [
        (re.sub(r"[-_.]+", "-", each.name).lower(), of)
        for each in wanted
        if each.marker is None or each.marker.evaluate({"extra": extra})
        for of in ("", *each.extras)
    ]


def licence(about: Message) -> str:
    """Whatever a package's metadata says of its licence; the text of a licence is judged by its first line."""
    classifiers = [each for each in about.get_all("Classifier", []) if each.startswith("License ::")]
    named = about.get("License-Expression") or (about.get("License") or "").strip().partition("\n")[0]
    return " ".join([named, *classifiers])


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel as it would be published."""
    folder = tmp_path_factory.mktemp("wheel")
    build = "import os, sys, hatchling.build as b; os.chdir(sys.argv[1]); print(b.build_wheel(sys.argv[2]))"
    done = subprocess.run(
        [sys.executable, "-c", build, str(ROOT), str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_litellm_1_82_8_code_that_runs_at_every_start(wheel: zipfile.ZipFile) -> None:
    """
    LiteLLM 1.82.8 (24 March 2026): a stolen token published a wheel with a ``.pth`` file, which every interpreter ran.

    The wheel is made of Python files and a note of its types: no ``.pth``, no script, nothing outside its folder.
    """
    names = wheel.namelist()
    assert len(names) > 200
    inside = [name for name in names if name.startswith("antiphon/")]
    beside = [name for name in names if name not in inside]
    assert {Path(name).suffix for name in inside} <= {".py", ".typed", ".sql", ".html", ".css", ".js", ".json", ""}
    assert all(re.match(r"antiphon-[^/]+\.dist-info/", name) for name in beside)
    assert not [name for name in names if name.endswith((".pth", ".so", ".dylib", ".pyd", ".sh", ".exe"))]
    assert not [name for name in names if Path(name).name in ("sitecustomize.py", "usercustomize.py", "setup.py")]


def test_litellm_1_82_7_importing_runs_nothing() -> None:
    """
    LiteLLM 1.82.7 (24 March 2026): the payload ran when a module was imported.

    Importing the package and its command line opens no socket, starts no program and writes no file.
    """
    watch = """
import sys
seen = []
def hook(event, args):
    if event in ("socket.connect", "socket.bind", "subprocess.Popen", "os.system", "os.exec", "os.fork"):
        seen.append((event, str(args)[:80]))
    if event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        seen.append((event, str(args)[:80]))
sys.addaudithook(hook)
sys.dont_write_bytecode = True
import antiphon, antiphon.cli, antiphon.app.application
print(seen)
"""
    done = subprocess.run([sys.executable, "-B", "-c", watch], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_the_core_is_small() -> None:
    """
    No advisory: each package that comes along is somebody else's token that can be stolen.

    At most forty packages are installed with the core, and those that it names itself are few.
    """
    found = core()
    assert {"aiohttp", "cryptography", "yarl"} <= set(found)
    assert len(found) <= MOST_PACKAGES, sorted(found)


def test_the_core_is_permissive() -> None:
    """
    No advisory: a licence that binds its users is a surprise as well.

    Every package that comes along says in its metadata that its licence is a permissive one.
    """
    licences = {name: licence(distribution.metadata) for name, distribution in core().items()}  # type: ignore[arg-type]  # a Message
    assert {name: text for name, text in licences.items() if not PERMISSIVE.search(text) or COPYLEFT.search(text)} == {}
