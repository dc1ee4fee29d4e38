"""
Own words: a client and an upstream that speak the same dialect are given each other's own.

The request goes up as the client wrote it only if it is all that the model is given: without history before it, and
with nothing left out or put in on the way. A turn with an idempotency key may be told again from the store, which knows
events alone, so it never goes this way. What cannot be said in any other way is refused then, by name.

Some fields of model servers are their operator's affair and go up in no words: they reach into what belongs to other
callers.

Of a Responses request, whose items and settings are the hub's own words, only what its format does not know needs
this: such fields go up beside the rest, to an upstream that speaks the Responses API itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from antiphon.engine.answers import Answer, Question
from antiphon.engine.asked import Asked
from antiphon.engine.context import Context
from antiphon.engine.replies import is_stream
from antiphon.engine.target import Target
from antiphon.hub.errors import InvalidRequest, UnsupportedParameter
from antiphon.hub.format import DialectTurn, Format
from antiphon.hub.items import Item, JsonObject
from antiphon.hub.turn import TurnRequest
from antiphon.hub.upstream import Overheard, ReplyDecoder
from antiphon.hub.verbatim import Heard

__all__ = ["OwnWords", "admitted", "decode_open", "refuse_unsayable"]

_RESPONSES: Final = "openai_responses"
_UNKNOWN: Final = "unknown_parameter"
# Of vLLM and SGLang: whose cached prompts are shared, and from which machine they are fetched.
_OPERATORS_OWN: Final = frozenset({"cache_salt", "kv_transfer_params", "bootstrap_host"})


def decode_open(format: Format, body: JsonObject, *, generate: bool) -> TurnRequest:  # noqa: A002 - the field's own word
    """
    What a body asks for; fields that the format does not know are kept if nothing else is wrong.

    Raises:
        InvalidRequest: The first fault in the format's own order, as without unknown fields.
    """
    try:
        return format.decode(body, generate=generate)
    except InvalidRequest as error:
        if error.code != _UNKNOWN or not generate:
            raise
        try:
            return format.decode(body, generate=generate, keeps_unknown=True)
        except InvalidRequest:
            raise error from None


def refuse_unsayable(
    format: Format,  # noqa: A002 - the field's own word
    request: TurnRequest,
    asked: Asked,
    targets: Sequence[Target],
) -> None:
    """
    Refuse a Responses request with unknown fields if none of its targets could be told, or is asked for an answer, or
    if nobody may be told.

    Raises:
        InvalidRequest: The format's own, which names the first of them.
    """
    if isinstance(asked, DialectTurn) or not request.unknown:
        return
    is_operators = not _OPERATORS_OWN.isdisjoint(request.unknown)
    if is_operators or request.compacts or all(target.upstream.provider.dialect != _RESPONSES for target in targets):
        format.decode(asked, generate=request.generate)


def admitted(asked: DialectTurn, targets: Sequence[Target], *, is_keyed: bool) -> DialectTurn:
    """
    The same request, with its own words only if they may be used.

    Raises:
        UnsupportedParameter: It has a field that they alone can say; names it.
    """
    own = asked.verbatim
    if own is None:
        return asked
    own.heard.reset()
    if not is_keyed and any(target.upstream.provider.dialect == own.dialect for target in targets):
        return asked
    own.require_sayable()
    return msgspec.structs.replace(asked, verbatim=None)


class OwnWords:
    """
    What one turn passes on as it was said.

    Args:
        asked: As the turn was asked for; None for a request of the Responses API.
    """

    def __init__(self, asked: DialectTurn | None) -> None:
        self._own = asked.verbatim if asked is not None else None
        self._heard: Heard | None = None

    def body_for(self, target: Target, context: Context, items: Sequence[Item]) -> JsonObject | None:
        """
        The client's own body for a target; None if that speaks another dialect, or is given something else.

        Args:
            items: What it is given of *context*.
        """
        own = self._own
        if own is None or own.dialect != target.upstream.provider.dialect or not _OPERATORS_OWN.isdisjoint(own.body):
            return None
        is_whole = context.input_start == 0 and not context.dropped and context.summary is None
        return own.body if is_whole and items is context.items else None

    def check(self, question: Question) -> Question:
        """
        The question, if it says all that the client has said.

        Raises:
            UnsupportedParameter: It does not; names the first field that is lost.
        """
        if self._own is not None and not question.request.verbatim:
            self._own.require_sayable()
        unknown = question.call.request.unknown
        if unknown and question.target.upstream.provider.dialect != _RESPONSES:
            name = next(iter(unknown))
            raise UnsupportedParameter(f"Unknown parameter: '{name}'.", param=name, code=_UNKNOWN)
        return question

    def listen(self, answer: Answer, decoder: ReplyDecoder, *, streamed: bool) -> bool:
        """
        Keep the answer in the upstream's own words, beside its events. Returns whether it comes in them.

        Args:
            streamed: Whether the client wants a stream. Whoever is answered in the other form gets what the events say.

        Raises:
            UpstreamBroken: The answer is neither a stream nor a JSON body.
        """
        if self._own is None or not answer.request.verbatim or not isinstance(decoder, Overheard):
            return False
        if is_stream(answer) != streamed:
            return False
        self._heard = self._own.heard
        self._heard.begin()
        decoder.overhear(self._heard.hear)
        return True

    def accept(self, said_events: int) -> None:
        """The turn has taken in the events of what was heard, and has said this many by now."""
        if self._heard is not None:
            self._heard.accept(said_events)
