"""
Which call a piece of a tool call belongs to, and what kind of call it is.

Servers number the calls of a reply (OpenAI), do not number them (Gemini), or call every one of them 0 (Ollama); they
repeat id and name in every piece or send the name after the id. Out of this come calls in the API's form, one after
the other. A custom tool that went up wrapped as a function is unwrapped here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from antiphon.hub.errors import UpstreamBroken
from antiphon.hub.items import Private
from antiphon.providers.openai_chat.reply import Function, ToolCall
from antiphon.streams.assembler import Assembler

__all__ = ["ToolCalls"]


class _Wrapped(msgspec.Struct, forbid_unknown_fields=True):
    """The arguments with which a wrapped custom tool is called."""

    input: str


_wrapped_decoder = msgspec.json.Decoder(_Wrapped)


class _Call:
    """A call as far as its pieces have come."""

    __slots__ = ("held", "id", "key", "kind", "name")

    def __init__(self, key: int, call_id: str | None) -> None:
        self.key = key
        self.id = call_id
        self.name = ""
        self.kind: Literal["function", "custom", "wrapped"] | None = None  # None until it has a name
        self.held: list[str] = []  # what came before the name, and everything of a wrapped call


class ToolCalls:
    """
    Follows the calls of one reply.

    Args:
        assembler: Gets the calls.
        custom_tools: The upstream's names of custom tools that were offered as functions.
        namespaces: The upstream's names of tools in a namespace, with the namespace and the name that each stands for.
    """

    def __init__(
        self, assembler: Assembler, custom_tools: frozenset[str], namespaces: Mapping[str, tuple[str, str]]
    ) -> None:
        self._assembler = assembler
        self._custom_tools = custom_tools
        self._namespaces = namespaces
        self._count = 0
        self._by_index: dict[int, _Call] = {}
        self._by_id: dict[str, _Call] = {}
        self._last: _Call | None = None

    def feed(self, piece: ToolCall, private: Private | None) -> None:
        """
        Take a piece of a call.

        Raises:
            UpstreamBroken: It belongs to a call that has ended, or changes the name of one.
        """
        call = self._find(piece) or self._begin(piece)
        name, value = _read(piece)
        if name and not call.kind:
            self._open(call, name, private, native_custom=piece.custom is not None)
        elif name and name != call.name:
            raise UpstreamBroken("The upstream changed the name of a tool call in the middle of it.")
        self._add(call, value)

    def continues(self, piece: ToolCall) -> bool:
        """Whether a piece goes on with a call that has begun."""
        return self._find(piece) is not None

    def feed_legacy(self, piece: Function) -> None:
        """Take a piece of a ``function_call``, of which a reply has at most one."""
        self.feed(ToolCall(index=0, function=piece), None)

    def close(self) -> None:
        """
        Say what is held back of the last call: another item begins, or the reply ends.

        Raises:
            UpstreamBroken: The call never got a name.
        """
        call, self._last = self._last, None
        if call is None:
            return
        if call.kind is None:
            raise UpstreamBroken("The upstream sent a tool call without a name.")
        if call.kind == "wrapped":
            self._assembler.call_delta(call.key, _unwrap("".join(call.held)))

    def _find(self, piece: ToolCall) -> _Call | None:
        """The call that a piece goes on with, or None if it begins one."""
        if piece.index is not None:
            call = self._by_index.get(piece.index)
            # Ollama and some Gemini gateways number every call 0: the id tells them apart.
            return None if call and piece.id and call.id and piece.id != call.id else call
        if piece.id:
            return self._by_id.get(piece.id)
        begins = bool(_read(piece)[0])
        return None if begins else self._last

    def _begin(self, piece: ToolCall) -> _Call:
        self.close()
        call = self._last = _Call(self._count, piece.id)
        self._count += 1
        if piece.index is not None:
            self._by_index[piece.index] = call
        if piece.id:
            self._by_id[piece.id] = call
        return call

    def _open(self, call: _Call, name: str, private: Private | None, *, native_custom: bool) -> None:
        call.name = name
        namespace, own_name = self._namespaces.get(name, (None, name))
        if native_custom or name in self._custom_tools:
            call.kind = "custom" if native_custom else "wrapped"
            self._assembler.open_custom_call(call.key, own_name, namespace=namespace, private=private)
        else:
            call.kind = "function"
            self._assembler.open_function_call(call.key, own_name, namespace=namespace, private=private)

    def _add(self, call: _Call, value: str) -> None:
        if call.kind is None:
            call.held.append(value)
            return
        if call.kind == "wrapped":
            self._hold(call, value)
            return
        if call.held:
            value = "".join((*call.held, value))
            call.held = []
        self._assembler.call_delta(call.key, value)

    def _hold(self, call: _Call, value: str) -> None:
        """Until the whole of it is there nobody can tell whether it is what the wrapping asked for."""
        if value and call is not self._last:
            raise UpstreamBroken("The upstream sent a piece of a tool call after another item had begun.")
        call.held.append(value)


def _read(piece: ToolCall) -> tuple[str, str]:
    """The name and the arguments or input in a piece; empty where there is none."""
    if piece.custom is not None:
        return piece.custom.name or "", piece.custom.input or ""
    if piece.function is None:
        return "", ""
    arguments = piece.function.arguments or ""
    if not isinstance(arguments, str):
        arguments = msgspec.json.encode(arguments).decode()
    return piece.function.name or "", arguments


def _unwrap(arguments: str) -> str:
    """The input in the arguments of a wrapped call, or the arguments as they are if they do not hold just that."""
    try:
        return _wrapped_decoder.decode(arguments).input
    except (msgspec.DecodeError, RecursionError):
        return arguments
