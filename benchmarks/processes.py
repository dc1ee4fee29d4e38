"""
Processes of a benchmark: started on a core of their own, measured from outside, stopped by their id.

CPU time is that of the whole process tree, threads and all. On Linux it comes from the kernel's clock of each process
(nanoseconds) or, where that is not allowed, from ``/proc/PID/stat``; elsewhere from ``ps`` (hundredths of a second).
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

__all__ = ["Server", "StartFailed", "cores", "free_port", "pinned", "raise_file_limit", "start"]

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 15.0
OPEN_FILES = 16_384

_ROOT = Path(__file__).parents[1]  # where `python -m benchmarks.upstream` is found
_LISTENING = re.compile(r"listening on (http://\S+)")


class StartFailed(Exception):
    """A process did not come up; the message holds the end of what it wrote."""


class Server:
    """A running server: where it listens, what it has used, and how to stop it."""

    def __init__(self, process: subprocess.Popen[bytes], url: str) -> None:
        self._process = process
        parts = urlsplit(url)
        self.url = url
        self.host = parts.hostname or "127.0.0.1"
        self.port = parts.port or 80

    @property
    def pid(self) -> int:
        return self._process.pid

    def cpu_s(self) -> float:
        """CPU seconds of the process and its living descendants, since they started."""
        return sum(_cpu_s(pid) for pid in _tree(self.pid))

    def rss_bytes(self) -> int:
        """Resident memory of the process and its descendants; pages that they share count for each."""
        return sum(_rss_bytes(pid) for pid in _tree(self.pid))

    def written_bytes(self) -> int | None:
        """Bytes that the process sent towards the disk, where the system counts them."""
        try:
            text = Path(f"/proc/{self.pid}/io").read_text()
        except OSError:
            return None
        found = re.search(r"^write_bytes: (\d+)$", text, re.MULTILINE)
        return int(found[1]) if found else None

    def stop(self) -> None:
        """Ask it to end, and insist if it does not."""
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def start(
    command: Sequence[str],
    *,
    directory: Path,
    core: int | None,
    port: int | None = None,
) -> Server:
    """
    Start a server and wait until it listens.

    Args:
        directory: For what it writes on stdout and stderr.
        core: The core that it may run on; None for all.
        port: Where it will listen, for a server that does not print ``listening on URL`` as its first line.

    Raises:
        StartFailed: It ended, or did not listen in time.
    """
    directory.mkdir(parents=True, exist_ok=True)
    out, err = directory / "stdout.log", directory / "stderr.log"
    with out.open("wb") as stdout, err.open("wb") as stderr, pinned(core):
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, cwd=_ROOT)
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        url = _announced(out) if port is None else _reachable(port)
        if url is not None:
            return Server(process, url)
        time.sleep(0.002)
    process.kill()
    process.wait()
    tail = (out.read_text(errors="replace") + err.read_text(errors="replace"))[-2000:]
    raise StartFailed(f"{' '.join(command)} did not start.\n{tail}")


@contextlib.contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """Keep this process, and what it starts meanwhile, on one core. Does nothing where the system cannot."""
    if core is None or sys.platform != "linux":
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cores() -> tuple[int | None, int | None]:
    """Two different cores, for the server under test and for everything else; None where there is no choice."""
    if sys.platform != "linux":
        return None, None
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[0], allowed[1]) if len(allowed) > 1 else (None, None)


def raise_file_limit() -> None:
    """Let this process and those it starts hold a thousand connections on both sides."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listened on a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _announced(out: Path) -> str | None:
    line, newline, _ = out.read_text(errors="replace").partition("\n")
    found = _LISTENING.search(line) if newline else None
    return found[1] if found else None


def _reachable(port: int) -> str | None:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return None
    return f"http://127.0.0.1:{port}"


def _tree(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for pid, parent in _parents():
        children.setdefault(parent, []).append(pid)
    found = [root]
    for pid in found:
        found.extend(children.get(pid, ()))
    return found


def _parents() -> Iterator[tuple[int, int]]:
    if sys.platform != "linux":
        for pid, fields in _ps("ppid").items():
            yield pid, int(fields)
        return
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):  # it ended while we looked
                yield int(entry), int(_stat(int(entry))[1])


def _stat(pid: int) -> list[str]:
    """The fields of ``/proc/PID/stat`` after the command, whose name may hold spaces."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _cpu_s(pid: int) -> float:
    if sys.platform != "linux":
        return _clock(_ps("time").get(pid, "0:00"))
    # The kernel's number for "the CPU clock of process pid" (clock_getcpuclockid).
    with contextlib.suppress(OSError):
        return time.clock_gettime((~pid << 3) | 2)
    with contextlib.suppress(OSError):
        fields = _stat(pid)
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _rss_bytes(pid: int) -> int:
    if sys.platform != "linux":
        return int(_ps("rss").get(pid, "0")) * 1024
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _ps(column: str) -> dict[int, str]:
    command = [shutil.which("ps") or "ps", "-A", "-o", f"pid=,{column}="]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return {int(pid): value.strip() for pid, _, value in (line.strip().partition(" ") for line in lines)}


def _clock(text: str) -> float:
    """Seconds of ``[[hours:]minutes:]seconds``, perhaps with ``days-`` before it."""
    days, _, rest = text.rpartition("-")
    seconds = float(days) * 86_400 if days else 0.0
    for place, value in enumerate(reversed(rest.split(":"))):
        seconds += float(value) * 60**place
    return seconds
