"""
A private nginx that passes everything through to the upstream: what a proxy without any knowledge costs.

One process, its own prefix in a directory that the caller gives, no system-wide configuration, HTTP/1.1 with kept
connections on both sides, no buffering of answers.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks.processes import Server, free_port, start

__all__ = ["NginxMissing", "find_nginx", "start_nginx"]

_CONFIGURATION = """
daemon off;
master_process off;
pid nginx.pid;
error_log error.log warn;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    client_max_body_size 64m;
    client_body_buffer_size 4m;
    keepalive_requests 100000000;
    upstream model {{
        server {host}:{port};
        keepalive 2048;
        keepalive_requests 100000000;
    }}
    server {{
        listen 127.0.0.1:{own_port} backlog=1024;
        location / {{
            proxy_pass http://model;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""


class NginxMissing(Exception):
    """There is no nginx on this machine's PATH."""

    def __init__(self) -> None:
        super().__init__(
            "nginx is needed to compare with, and is not on the PATH. Install it (Debian, Ubuntu: `apt-get install "
            "nginx-light`; macOS: `brew install nginx`); its system service may stay off."
        )


def find_nginx() -> str | None:
    """The program, also where Debian puts it and a user's PATH does not look."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def start_nginx(upstream: Server, directory: Path, core: int | None) -> Server:
    """
    A running nginx in front of *upstream*.

    Raises:
        NginxMissing: There is none on this machine.
        StartFailed: It did not come up.
    """
    program = find_nginx()
    if program is None:
        raise NginxMissing
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    configuration = directory / "nginx.conf"
    configuration.write_text(_CONFIGURATION.format(host=upstream.host, port=upstream.port, own_port=port))
    command = [program, "-p", str(directory), "-c", str(configuration), "-e", str(directory / "error.log")]
    return start(command, directory=directory, core=core, port=port)
