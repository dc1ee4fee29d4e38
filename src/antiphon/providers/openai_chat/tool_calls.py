"""
Which call a piece of a tool call belongs to, and what kind of call it is.

Servers number the calls of a reply (OpenAI), do not number them (Gemini), or call every one of them 0 (Ollama); they
repeat id and name in every piece, send the name after the id, or mix the pieces of several calls. Out of this come
calls in the API's form, one after the other. A custom tool that went up wrapped as a function is unwrapped here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from antiphon.hub.errors import UpstreamBroken
from antiphon.hub.items import Private
from antiphon.hub.redaction import clean_text
from antiphon.providers.openai_chat.reply import Function, ToolCall
from antiphon.streams.assembler import Assembler

__all__ = ["ToolCalls"]


# The API's limit of a call_id.
_LONGEST_ID: Final = 64


class _Wrapped(msgspec.Struct, forbid_unknown_fields=True):
    """The arguments with which a wrapped custom tool is called."""

    input: str


_wrapped_decoder = msgspec.json.Decoder(_Wrapped)


class _Call:
    """A call as far as its pieces have come."""

    __slots__ = ("held", "id", "key", "kind", "name", "private", "said", "waits")

    def __init__(self, key: int, call_id: str | None) -> None:
        self.key = key
        self.id = call_id
        self.name = ""
        self.kind: Literal["function", "custom", "wrapped"] | None = None  # None until it has a name
        self.private: Private | None = None
        self.said: list[str] = []
        self.held: list[str] = []  # what came before the name or while it waits, and everything of a wrapped call
        self.waits = False  # for the call before it, which was not whole when this one began

    @property
    def is_whole(self) -> bool:
        """Whether nothing can follow: its arguments are a JSON document. Free-form input never says so, and counts."""
        if self.kind == "custom":
            return True
        try:
            msgspec.json.decode("".join((*self.said, *self.held)))
        except (msgspec.DecodeError, RecursionError):
            return False
        return True


class ToolCalls:
    """
    Follows the calls of one reply.

    Args:
        assembler: Gets the calls.
        custom_tools: The upstream's names of custom tools that were offered as functions.
        namespaces: The upstream's names of tools in a namespace, with the namespace and the name that each stands for.
        allowed: The upstream's names of the only tools that may be called; None for any.
    """

    def __init__(
        self,
        assembler: Assembler,
        custom_tools: frozenset[str],
        namespaces: Mapping[str, tuple[str, str]],
        allowed: frozenset[str] | None,
    ) -> None:
        self._assembler = assembler
        self._custom_tools = custom_tools
        self._namespaces = namespaces
        self._allowed = allowed
        self._count = 0
        self._by_index: dict[int, _Call] = {}
        self._by_id: dict[str, _Call] = {}
        self._last: _Call | None = None
        self._waiting: list[_Call] = []
        self._keeps_ids = False
        self._ids: set[str] = set()

    def keep_ids(self) -> None:
        """Let calls be called as the upstream does, for a client who is shown that. To be said before any piece."""
        self._keeps_ids = True

    def feed(self, piece: ToolCall, private: Private | None) -> None:
        """
        Take a piece of a call.

        Raises:
            UpstreamBroken: It belongs to a call that has ended, changes the name of one, or calls a tool that is not
                allowed.
        """
        call = self._find(piece) or self._begin(piece)
        name, value = _read(piece)
        if name and not call.kind:
            self._name(call, name, private, native_custom=piece.custom is not None)
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
        Say what is held back of the calls: another item begins, or the reply ends.

        Raises:
            UpstreamBroken: A call never got a name.
        """
        self._close_last()
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            call.waits = False
            self._last = call
            if call.kind is not None:
                self._open(call)
                self._add(call, "")
            self._close_last()

    def _close_last(self) -> None:
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
        newest = self._waiting[-1] if self._waiting else self._last
        return None if begins else newest

    def _begin(self, piece: ToolCall) -> _Call:
        call = _Call(self._count, piece.id)
        self._count += 1
        if piece.index is not None:
            self._by_index[piece.index] = call
        if piece.id:
            self._by_id[piece.id] = call
        if self._last is not None and (self._waiting or not self._last.is_whole):
            # The pieces of both may come in turn, but items stand one after the other.
            call.waits = True
            self._waiting.append(call)
        else:
            self.close()
            self._last = call
        return call

    def _name(self, call: _Call, name: str, private: Private | None, *, native_custom: bool) -> None:
        if self._allowed is not None and name not in self._allowed:
            named = clean_text(name[:128])
            raise UpstreamBroken(f"The upstream's model called '{named}', which 'tool_choice' does not allow.")
        call.name, call.private = name, private
        if native_custom:
            call.kind = "custom"
        else:
            call.kind = "wrapped" if name in self._custom_tools else "function"
        if not call.waits:
            self._open(call)

    def _open(self, call: _Call) -> None:
        namespace, own_name = self._namespaces.get(call.name, (None, call.name))
        begin = self._assembler.open_function_call if call.kind == "function" else self._assembler.open_custom_call
        begin(call.key, own_name, call_id=self._kept_id(call), namespace=namespace, private=call.private)

    def _kept_id(self, call: _Call) -> str | None:
        """The upstream's id of a call, if it is one that a client could name the call by."""
        call_id = call.id
        if not self._keeps_ids or not call_id or len(call_id) > _LONGEST_ID or call_id in self._ids:
            return None
        self._ids.add(call_id)
        return call_id

    def _add(self, call: _Call, value: str) -> None:
        if call.kind is None or call.waits:
            call.held.append(value)
            return
        if call.kind == "wrapped":
            self._hold(call, value)
            return
        if call.held:
            value = "".join((*call.held, value))
            call.held = []
        self._assembler.call_delta(call.key, value)
        call.said.append(value)

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
