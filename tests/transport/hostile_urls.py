"""
URLs that would lead a fetcher into its own network, and redirects that do: each with the reason why it is here.

Made by hand and by rule: every address that must not be reached, in every spelling that some parser or resolver takes.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["CHAINS", "HOSTILE", "Chain", "Hostile"]


class Hostile(NamedTuple):
    """A URL; *answers* are what DNS says of its host, where its host is a name of its own."""

    url: str
    reason: str
    answers: tuple[str, ...] = ()


class Chain(NamedTuple):
    """A redirect: from a public server over *hops* of its own paths to *target*."""

    reason: str
    hops: int
    status: int
    target: str


_ADDRESSES = {
    "127.0.0.1": "loopback",
    "127.8.9.10": "loopback beyond its first address",
    "10.1.2.3": "private",
    "172.31.0.9": "private",
    "192.168.1.1": "private",
    "169.254.169.254": "metadata of AWS, Google and Azure",
    "169.254.170.2": "credentials of ECS tasks",
    "100.64.0.1": "carrier-grade NAT",
    "100.100.100.200": "metadata of Alibaba Cloud",
    "168.63.129.16": "Azure's host",
    "192.0.0.192": "metadata of Oracle Cloud",
    "0.0.0.0": "unspecified, which is this machine",  # noqa: S104 - nothing is bound
    "198.18.0.1": "benchmarks",
    "224.0.0.1": "multicast",
    "240.0.0.1": "reserved",
    "255.255.255.255": "broadcast",
}
_WIDE = str.maketrans("0123456789", "０１２３４５６７８９")  # noqa: RUF001 - the point of it


def _spellings(address: str) -> Iterator[tuple[str, str]]:
    """An IPv4 address as parsers and ``inet_aton`` have it."""
    a, b, c, d = map(int, address.split("."))
    number = int(ipaddress.IPv4Address(address))
    high, low = number >> 16, number & 0xFFFF
    yield address, "as it is"
    yield f"{address}.", "with a trailing dot"
    yield f"{address}..", "with two trailing dots"
    yield str(number), "as a number"
    yield f"{number}.", "as a number with a trailing dot"
    yield hex(number), "as a hexadecimal number"
    yield f"0X{number:X}", "as a hexadecimal number in capitals"
    yield f"0{number:o}", "as an octal number"
    yield f"0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}", "in hexadecimal parts"
    yield f"0{a:o}.0{b:o}.0{c:o}.0{d:o}", "in octal parts"
    yield f"000{a:o}.000{b:o}.000{c:o}.000{d:o}", "in octal parts with many zeros"
    yield f"0x{a:x}.0{b:o}.{c}.{d}", "in mixed parts"
    yield f"{a}.{b}.{c * 256 + d}", "in three parts"
    yield f"{a}.{number & 0xFFFFFF}", "in two parts"
    yield address.replace(".", "%2e"), "with encoded dots"
    yield f"%{ord(address[0]):02x}{address[1:]}", "with an encoded digit"
    yield address.replace(".", "。"), "with ideographic dots"
    yield address.replace(".", "．"), "with wide dots"  # noqa: RUF001 - the point of it
    yield address.translate(_WIDE), "in wide digits"
    yield f"[::ffff:{address}]", "mapped into IPv6"
    yield f"[::ffff:{high:x}:{low:x}]", "mapped into IPv6, in hexadecimal"
    yield f"[0:0:0:0:0:ffff:{high:x}:{low:x}]", "mapped into IPv6, at length"
    yield f"[::{address}]", "compatible with IPv6"
    yield f"[::ffff:0:{address}]", "translated (SIIT)"
    yield f"[64:ff9b::{address}]", "through NAT64"
    yield f"[64:ff9b::{high:x}:{low:x}]", "through NAT64, in hexadecimal"
    yield f"[64:ff9b:1::{high:x}:{low:x}]", "through local NAT64"
    yield f"[2002:{high:x}:{low:x}::]", "through 6to4"
    yield f"[2001:0:4136:e378:8000:63bf:{high ^ 0xFFFF:x}:{low ^ 0xFFFF:x}]", "through Teredo"


_IPV6 = {
    "::1": "loopback",
    "0:0:0:0:0:0:0:1": "loopback, at length",
    "0000:0000:0000:0000:0000:0000:0000:0001": "loopback, in full",
    "::": "unspecified",
    "fe80::1": "link-local",
    "febf::1": "link-local, at its end",
    "fe80::1%25lo": "with a scope",
    "::1%25lo": "loopback with a scope",
    "2606:2800::1%25eth0": "public with a scope",
    "fec0::1": "site-local",
    "fc00::1": "private",
    "fd00::1": "private",
    "fdff:ffff::1": "private, at its end",
    "fd00:ec2::254": "metadata of AWS",
    "fd20:ce::254": "metadata of Google Cloud",
    "ff02::1": "multicast",
    "ff0e::1": "multicast, global",
    "100::1": "discard-only",
    "2001:db8::1": "documentation",
    "3fff::1": "documentation",
    "2001:10::1": "ORCHID",
    "2001:2::1": "benchmarks",
    "5f00::1": "segment routing",
    "4000::1": "not assigned",
    "::2": "not assigned",
    "v1.fe80::1": "a version that nobody knows",
}

_NAMES = (
    "localhost",
    "LOCALHOST",
    "localhost.",
    "a.localhost",
    "localhost.localdomain",
    "ip6-localhost",
    "metadata",
    "metadata.google.internal",
    "metadata.google.internal.",
    "instance-data",
    "kubernetes.default.svc",
    "host.docker.internal",
    "gateway.docker.internal",
    "router.local",
    "intranet",
    "127.0.0.1.nip.io",
    "localtest.me",
    "lvh.me",
    "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
    "xn--localhost-",
    "under_score.internal",
)

_SCHEMES = (
    "ftp", "file", "gopher", "dict", "ldap", "ldaps", "tftp", "sftp", "scp", "smb", "ws", "wss", "unix", "tcp",
    "jar", "netdoc", "php", "phar", "expect", "http+unix", "blob", "about", "javascript",
    "data2", "https2", "view-source",
)  # fmt: skip
_PORTS = (
    1, 21, 22, 23, 25, 53, 79, 81, 110, 111, 135, 139, 389, 444, 445, 2049, 2375, 2376, 2379, 3000, 3306, 4369, 5000,
    5432, 5601, 5984, 6379, 6443, 7001, 8000, 8080, 8081, 8443, 8500, 8888, 9000, 9090, 9200, 10250, 11211, 15672,
    27017, 50070, 65535,
)  # fmt: skip

_PUBLIC = ("93.184.215.14",)

_BY_HAND = (
    Hostile("", "empty"),
    Hostile(" ", "a space"),
    Hostile("/", "a path"),
    Hostile("//127.0.0.1/", "no scheme"),
    Hostile("127.0.0.1/", "no scheme"),
    Hostile("127.0.0.1:80/", "no scheme"),
    Hostile("localhost", "no scheme"),
    Hostile("http:", "no host"),
    Hostile("http://", "no host"),
    Hostile("http:///", "no host"),
    Hostile("http:///127.0.0.1/", "the host in the path"),
    Hostile("http:127.0.0.1/", "no slashes"),
    Hostile("http:/127.0.0.1/", "one slash"),
    Hostile("http:////127.0.0.1/", "four slashes"),
    Hostile("http:\\\\127.0.0.1\\", "backslashes"),
    Hostile("http://127.0.0.1\\@public.example/", "two hosts, by parser", _PUBLIC),
    Hostile("http://public.example\\@127.0.0.1/", "two hosts, by parser", _PUBLIC),
    Hostile("http://public.example\\.127.0.0.1/", "a backslash in the host", _PUBLIC),
    Hostile("http://public.example:80\\@127.0.0.1:80/", "a backslash in the port", _PUBLIC),
    Hostile("http://public.example@127.0.0.1/", "userinfo that looks like a host", _PUBLIC),
    Hostile("http://user:password@public.example/", "userinfo", _PUBLIC),
    Hostile("http://user@public.example/", "userinfo", _PUBLIC),
    Hostile("http://:password@public.example/", "userinfo", _PUBLIC),
    Hostile("http://public.example:80@127.0.0.1/", "userinfo that looks like a port", _PUBLIC),
    Hostile("http://public.example%40127.0.0.1/", "an encoded @", _PUBLIC),
    Hostile("http://a@b@127.0.0.1/", "two @"),
    Hostile("http://127.0.0.1#@public.example/", "a fragment that looks like userinfo", _PUBLIC),
    Hostile("http://127.0.0.1?@public.example/", "a query that looks like userinfo", _PUBLIC),
    Hostile("http://127.0.0.1;public.example/", "a semicolon"),
    Hostile("http://127.0.0.1,public.example/", "a comma"),
    Hostile("http://127.0.0.1 public.example/", "a space in the host"),
    Hostile(" http://127.0.0.1/", "a leading space"),
    Hostile("http://127.0.0.1/ ", "a trailing space"),
    Hostile("\thttp://127.0.0.1/", "a leading tab"),
    Hostile("ht\ttp://127.0.0.1/", "a tab in the scheme, which browsers drop"),
    Hostile("http://127.0\t.0.1/", "a tab in the host, which browsers drop"),
    Hostile("http://public.example/\r\nHost: 127.0.0.1", "a line break", _PUBLIC),
    Hostile("http://public.example\r\n/", "a line break in the host", _PUBLIC),
    Hostile("http://public.example\x00.127.0.0.1/", "a NUL", _PUBLIC),
    Hostile("http://public.example\u2028/", "a line separator", _PUBLIC),
    Hostile("http://public.example\u202e/", "text that runs the other way", _PUBLIC),
    Hostile("http://public.example\u3000/", "a wide space", _PUBLIC),
    Hostile("http://%6c%6f%63%61%6c%68%6f%73%74/", "an encoded name"),
    Hostile("http://%00127.0.0.1/", "an encoded NUL"),
    Hostile("http://public.example%00.internal/", "an encoded NUL", _PUBLIC),
    Hostile("http://public.example%2f@127.0.0.1/", "an encoded slash", _PUBLIC),
    Hostile("http://public.example%0d%0a/", "an encoded line break", _PUBLIC),
    Hostile("http://[::1", "an open bracket"),
    Hostile("http://::1/", "no brackets"),
    Hostile("http://[::1]]/", "two brackets"),
    Hostile("http://[[::1]]/", "brackets in brackets"),
    Hostile("http://[127.0.0.1]/", "IPv4 in brackets"),
    Hostile("http://[localhost]/", "a name in brackets"),
    Hostile("http://[::1].public.example/", "a name behind brackets"),
    Hostile("http://[::ffff:127.0.0.1]:80/", "mapped, with a port"),
    Hostile("http://[]/", "nothing in brackets"),
    Hostile("http://127.1/", "short"),
    Hostile("http://127.0.1/", "short"),
    Hostile("http://0/", "short for 0.0.0.0"),
    Hostile("http://0.0/", "short for 0.0.0.0"),
    Hostile("http://0x/", "an empty hexadecimal number"),
    Hostile("http://1/", "short for 0.0.0.1"),
    Hostile("http://256.256.256.256/", "a number that is none"),
    Hostile("http://4294967297/", "a number that runs over to 0.0.0.1"),
    Hostile("http://127.0.0.1.1/", "five parts"),
    Hostile("http://127.0.0.01/", "a leading zero"),
    Hostile("http://127.0.0.0x1/", "a hexadecimal last part"),
    Hostile("http://①②⑦.⓪.⓪.①/", "digits in circles"),
    Hostile("http://١٢٧.٠.٠.١/", "Arabic digits"),  # noqa: RUF001 - the point of it
    Hostile("http://127.0.0.1:/", "an empty port"),
    Hostile("http://localhost:/", "an empty port"),
    Hostile("http://public.example:0/", "port 0", _PUBLIC),
    Hostile("http://public.example:-80/", "a negative port", _PUBLIC),
    Hostile("http://public.example:65616/", "a port that runs over to 80", _PUBLIC),
    Hostile("http://public.example:0x50/", "a hexadecimal port", _PUBLIC),
    Hostile("http://public.example:80:80/", "two ports", _PUBLIC),
    Hostile("http://public.example:8080 /", "a space in the port", _PUBLIC),
    Hostile("http://.../", "dots alone"),
    Hostile("http://./", "a dot alone"),
    Hostile("http://-/", "a hyphen alone"),
    Hostile(f"http://{'a' * 64}.internal/", "a label that is too long"),
    Hostile(f"http://{'a.' * 130}internal/", "a name that is too long"),
    Hostile(f"http://127.0.0.1/{'a' * 9000}", "too long"),
    Hostile("http://*.internal/", "a star"),
    Hostile("http://$(hostname)/", "a shell's word"),
    Hostile("http://`id`.internal/", "a shell's word"),
    Hostile("http://{localhost}/", "braces"),
    Hostile("http://<127.0.0.1>/", "angle brackets"),
    Hostile("http://|127.0.0.1/", "a pipe"),
    Hostile("http://127.0.0.1^/", "a caret"),
    Hostile("url:http://127.0.0.1/", "a prefix that some libraries drop"),
    Hostile("URL:https://127.0.0.1/", "a prefix that some libraries drop"),
    Hostile("hTtP://127.0.0.1/", "a scheme in mixed case"),
    Hostile("https://127.0.0.1/", "loopback over TLS"),
    Hostile("https://169.254.169.254/latest/meta-data/iam/security-credentials/", "metadata over TLS"),
    Hostile("http://169.254.169.254/latest/api/token", "metadata"),
    Hostile("http://169.254.169.254/computeMetadata/v1/", "metadata"),
    Hostile("http://169.254.169.254/metadata/instance?api-version=2021-02-01", "metadata"),
    Hostile("http://[fd00:ec2::254]/latest/meta-data/", "metadata"),
)

# What a name may resolve to: alone, and beside a public address.
_ANSWERS = (
    *_ADDRESSES, "192.0.2.1", "203.0.113.9", "::1", "::", "fe80::1", "fd00::1", "fd00:ec2::254", "ff02::1",
    "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:1::1", "2001:db8::1",
)  # fmt: skip


def _all() -> Iterator[Hostile]:
    yield from _BY_HAND
    for address, what in _ADDRESSES.items():
        for host, how in _spellings(address):
            yield Hostile(f"http://{host}/", f"{what}, {how}")
    for address, what in _IPV6.items():
        yield Hostile(f"http://[{address}]/", what)
        yield Hostile(f"https://[{address.upper()}]/", f"{what}, in capitals, over TLS")
    for name in _NAMES:
        yield Hostile(f"http://{name}/", "a name of something near")
        yield Hostile(f"https://{name}/", "a name of something near, over TLS")
    for scheme in _SCHEMES:
        yield Hostile(f"{scheme}://public.example/", f"the scheme {scheme}", _PUBLIC)
    for port in _PORTS:
        yield Hostile(f"http://public.example:{port}/", f"port {port}", _PUBLIC)
    for number, address in enumerate(_ANSWERS):
        yield Hostile(f"http://alone-{number}.example/", f"a name for {address}", (address,))
        yield Hostile(
            f"http://last-{number}.example/", f"a name for it after a public one: {address}", (*_PUBLIC, address)
        )
        yield Hostile(
            f"https://first-{number}.example/", f"a name for it before a public one: {address}", (address, *_PUBLIC)
        )


HOSTILE: tuple[Hostile, ...] = tuple({hostile.url: hostile for hostile in _all()}.values())

_TARGETS = (
    "http://127.0.0.1/", "http://localhost/", "http://[::1]/", "http://169.254.169.254/latest/meta-data/",
    "//127.0.0.1/", "//localhost:80/", "http://2130706433/", "http://0x7f.1/", "http://0177.0.0.1/", "http://127.1/",
    "http://[::ffff:127.0.0.1]/", "http://[64:ff9b::7f00:1]/", "http://inside.example/", "https://inside.example/",
    "http://public.example:6379/", "http://user:pw@public.example/", "http://public.example@127.0.0.1/",
    "http://127.0.0.1\\@public.example/", "\\\\127.0.0.1\\", "http:\\\\127.0.0.1/", "ftp://public.example/",
    "file:///etc/passwd", "gopher://127.0.0.1:6379/_INFO", "javascript:alert(1)", "data:image/png;base64,AAAA",
    "http:127.0.0.1/", "http:///127.0.0.1/", "", " ", "http://127。0。0。1/",
)  # fmt: skip

CHAINS: tuple[Chain, ...] = (
    *(
        Chain(f"to {target!r} at once", 0, (301, 302, 303, 307, 308)[number % 5], target)
        for number, target in enumerate(_TARGETS)
    ),
    *(
        Chain(f"to {target!r} after a detour", 1 + number % 2, 302, target)
        for number, target in enumerate(_TARGETS[:17])
    ),
    Chain("one hop too many", 3, 302, "http://public.example/end"),
    Chain("two hops too many", 4, 301, "http://public.example/end"),
    Chain("nine hops too many", 12, 308, "http://public.example/end"),
    Chain("one hop too many, at other names", 3, 307, "http://other.example/end"),
    Chain("in a circle", 2, 302, "/circle"),
)
