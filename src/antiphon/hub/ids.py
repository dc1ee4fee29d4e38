"""
Minting and reading ids.

Wire form: ``<prefix>_`` and 50 lower-case hex digits: 16 of the *family* (the first log of a chain or conversation,
inherited by its forks), 2 of version, 8 of creation time (seconds), 24 random. The family is a hint for locality;
what is looked up is always (tenant, id). Clients test the prefixes, so they are fixed by the item's type.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NewType

__all__ = ["Family", "IdFactory", "ItemId", "LogId", "TenantId", "family_of", "prefix_of_item"]

TenantId = NewType("TenantId", str)
Family = NewType("Family", str)
ItemId = NewType("ItemId", str)
LogId = NewType("LogId", int)

_VERSION = "00"
# Counted from the end: prefixes differ in length.
_FAMILY_START, _FAMILY_END = 50, 34

_ITEM_PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fc",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
    "compaction": "cmp",
    "additional_tools": "at",
    "web_search_call": "ws",
    "file_search_call": "fs",
    "code_interpreter_call": "ci",
    "image_generation_call": "ig",
    "mcp_list_tools": "mcpl",
    "mcp_call": "mcp",
    "mcp_approval_request": "mcpr",
    "mcp_approval_response": "mcpr",
    "tool_search_call": "tsc",
    "tool_search_output": "tso",
    "shell_call": "sh",
    "shell_call_output": "sho",
    "local_shell_call": "lsh",
    "local_shell_call_output": "lsho",
    "apply_patch_call": "apc",
    "apply_patch_call_output": "apco",
    "computer_call": "cu",
    "computer_call_output": "cuo",
}


def prefix_of_item(item_type: str) -> str:
    """The id prefix of an item type; ``item`` for types that this version does not know."""
    return _ITEM_PREFIXES.get(item_type, "item")


def family_of(an_id: str) -> Family:
    """The family that an id of ours names."""
    return Family(an_id[-_FAMILY_START:-_FAMILY_END])


class _RandomPool:
    """The operating system's randomness, fetched in blocks: a turn needs half a dozen pieces."""

    def __init__(self) -> None:
        self._block = b""
        self._offset = 0

    def __call__(self, size: int) -> bytes:
        if self._offset + size > len(self._block):
            self._block = os.urandom(4096)
            self._offset = 0
        self._offset += size
        return self._block[self._offset - size : self._offset]


class IdFactory:
    """
    Mints every id of one gateway.

    Args:
        clock: Seconds since the epoch, UTC.
        random_bytes: Source of randomness, the operating system's by default; a test passes a counting one.

    Not shared between threads.
    """

    def __init__(self, clock: Callable[[], float], *, random_bytes: Callable[[int], bytes] | None = None) -> None:
        self._random_bytes = random_bytes or _RandomPool()
        self._clock = clock

    def family(self) -> Family:
        """
        A new family, for a turn or a conversation that stands on nothing.

        It begins with the time, so that what is made at one time stands together in every index: with random ids each
        new row would touch a page of its own. 38 bits of 1/1024 seconds, which repeat after 8 years, and 26 random
        ones. Two chains that came to have the same family would only share a key: their ids still differ.
        """
        ticks = int(self._clock() * 1024) & (1 << 38) - 1
        return Family(f"{ticks << 26 | int.from_bytes(self._random_bytes(4), 'big') >> 6:016x}")

    def log(self) -> LogId:
        """A new log id: a random signed 64-bit integer, so that replicas need no counter between them."""
        return LogId(int.from_bytes(self._random_bytes(8), "big", signed=True))

    def response(self, family: Family) -> str:
        """A response id in *family*."""
        return self._mint("resp", family)

    def conversation(self, family: Family) -> str:
        """A conversation id in *family*."""
        return self._mint("conv", family)

    def prompt(self, family: Family) -> str:
        """A prompt id in *family*, which is the prompt's own."""
        return self._mint("pmpt", family)

    def item(self, item_type: str, family: Family) -> ItemId:
        """An item id in *family* with the prefix of *item_type*."""
        return ItemId(self._mint(prefix_of_item(item_type), family))

    def call(self) -> str:
        """A ``call_id``: the token that ties a tool's output to its call, here and at the upstream."""
        return "call_" + self._random_bytes(12).hex()

    def event(self) -> str:
        """The id of a webhook's event; later ones sort behind earlier ones."""
        return f"evt_{self.family()}{self._random_bytes(8).hex()}"

    def request(self) -> str:
        """A request id for ``x-request-id``."""
        return "req_" + self._random_bytes(16).hex()

    def _mint(self, prefix: str, family: Family) -> str:
        return f"{prefix}_{family}{_VERSION}{int(self._clock()) & 0xFFFFFFFF:08x}{self._random_bytes(12).hex()}"
