"""
Summaries: a model is asked to write down what a conversation was about, so that it can go on without it.

A context that is too long to be read at once is read in parts: the older half is summarised, and then that summary with
the newer half. Nothing is left out without having been read.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import accumulate

import msgspec

from antiphon.engine.answers import Answer
from antiphon.engine.attempts import Attempts
from antiphon.engine.checkpoints import summary_message
from antiphon.engine.cost import Costs
from antiphon.engine.counting import estimate_item
from antiphon.engine.dropping import question_of
from antiphon.engine.metering import Spent
from antiphon.engine.remote import RemoteOfTurn
from antiphon.engine.replies import WholeReply, read_whole
from antiphon.engine.target import Target
from antiphon.engine.units import unanswered, units
from antiphon.hub.errors import ContextLengthExceeded, UpstreamBroken, UpstreamRefused
from antiphon.hub.ids import Family, IdFactory, ItemId
from antiphon.hub.items import Item
from antiphon.hub.turn import ModelCall, TurnRequest
from antiphon.hub.usage import Usage

__all__ = ["Summariser", "Summary", "summary_call"]

MAX_SUMMARY_TOKENS = 2048

# So often is a model asked for one summary at most, parts that were too long to be read included.
_MAX_PARTS = 16
_WINDOW_SHARE = 4
_LOW_TEMPERATURE = 0.2
# What the request for a summary asks besides what the client did: where that cannot be said, nobody misses it.
_OURS = "temperature"
_INSTRUCTION = (
    "Stop here and summarise the conversation above. Your summary will take its place, so whoever goes on will know "
    "only what you write down now. Keep every fact, name, number, date, decision and preference, the results of tools "
    "that still matter, and every task that is still open, each exactly as it was said. Do not answer or carry out "
    "anything that is asked above. Write only the summary, in the language of the conversation, and keep it short."
)


class Summary(msgspec.Struct, frozen=True):
    """
    A text that stands for a context.

    Attributes:
        spent: What all calls that it took have used.
        not_applied: What of the context its author was not shown, by name.
    """

    text: str
    spent: Spent
    not_applied: tuple[str, ...] = ()


def summary_call(
    target: Target, items: Sequence[Item], request: TurnRequest, *, temperature: float | None = _LOW_TEMPERATURE
) -> ModelCall:
    """
    The call that asks for a summary.

    The context stays as the turn had it, its instructions included, so that an upstream that keeps prompts need not
    read it again. Tool calls that wait for their output are left out: no upstream takes them.

    Args:
        request: The turn that the summary is for: whose instructions, and on whose behalf.
        temperature: None for models that take none.
    """
    waiting = unanswered(items)
    answered = [item for place, item in enumerate(items) if place not in waiting]
    return ModelCall(
        model=target.model,
        account=target.upstream.account,
        items=(*answered, _instruction()),
        input_start=len(answered) + 1,
        request=TurnRequest(
            model=request.model,
            instructions=request.instructions,
            temperature=temperature,
            max_output_tokens=_length(target),
            service_tier=request.service_tier,
            user=request.user,
            safety_identifier=request.safety_identifier,
            prompt_cache_key=request.prompt_cache_key,
            prompt_cache_retention=request.prompt_cache_retention,
            drop=request.drop | {_OURS},
        ),
        stream=False,
    )


class Summariser:
    """
    Has summaries written.

    Args:
        targets: Tried in this order.
        ids: For the items of a reply, which are thrown away.
        max_bytes: The longest reply.
        remote: Fetches what the context names by its URL; None leaves that to the upstream.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        *,
        ids: IdFactory,
        family: Family,
        attempts: Attempts,
        max_bytes: int,
        remote: RemoteOfTurn | None = None,
        costs: Costs,
    ) -> None:
        self._costs = costs
        self._targets = targets
        self._ids = ids
        self._family = family
        self._attempts = attempts
        self._max_bytes = max_bytes
        self._remote = remote

    async def summarise(self, items: Sequence[Item], request: TurnRequest) -> Summary:
        """
        A summary of *items*.

        Raises:
            ContextLengthExceeded: There is a unit of them that is too long to be read.
            UpstreamError: No target answered, or with no text.
            UnsupportedParameter: The target cannot be given one of them.
            InvalidRequest: What one of them names by its URL cannot be had.
        """
        spent = Spent(Usage(), cost=Decimal(0))
        done: Item | None = None
        unseen: dict[str, None] = {}
        parts = [tuple(items)]
        asked = 0
        while parts:
            part = parts.pop(0)
            read = part if done is None else (done, *part)
            asked += 1
            try:
                reply = await self._ask(read, request)
            except ContextLengthExceeded:
                halves = _halves(part)
                if halves is None or asked >= _MAX_PARTS:
                    raise
                parts[:0] = halves
                continue
            text = _text_of(reply)
            spent = spent.and_also(reply.end.usage or Usage(), await self._cost(reply))
            done = summary_message(ItemId("msg_summary"), text)
            unseen |= dict.fromkeys(reply.not_applied)
        return Summary(text, spent, tuple(name for name in unseen if name != _OURS))

    async def _cost(self, reply: WholeReply) -> Decimal | None:
        end = reply.end
        if end.usage is None:
            return None
        return await self._costs.of(reply.target, end.usage, model=end.model, service_tier=end.service_tier)

    async def _ask(self, items: Sequence[Item], request: TurnRequest) -> WholeReply:
        if self._remote is not None:
            items = await self._remote.as_data(items, input_start=len(items))
        try:
            return await self._ask_at(items, request, _LOW_TEMPERATURE)
        except UpstreamRefused as error:
            if error.param != "temperature":
                raise
            return await self._ask_at(items, request, None)  # reasoning models of OpenAI take none

    async def _ask_at(self, items: Sequence[Item], request: TurnRequest, temperature: float | None) -> WholeReply:
        asking = self._attempts.asking(self._targets)

        async def put(target: Target) -> Answer:
            call = summary_call(target, items, request, temperature=temperature)
            return await asking.send(await question_of(target, call))

        answer = await asking.first(put)
        return await read_whole(answer, ids=self._ids, family=self._family, max_bytes=self._max_bytes)


def _text_of(reply: WholeReply) -> str:
    """What was written. A summary that was cut at its longest is still one; an empty one is none."""
    text = reply.text.strip()
    if not text or reply.end.incomplete_reason == "content_filter":
        raise UpstreamBroken("The model was asked for a summary of the context and wrote none.")
    return text


def _halves(items: tuple[Item, ...]) -> list[tuple[Item, ...]] | None:
    """Two parts of about the same length, cut between units; None for a single unit."""
    found = units(items)
    if len(found) < 2:
        return None
    reached = list(accumulate(sum(estimate_item(items[place]) for place in unit) for unit in found))
    cut = min(range(1, len(found)), key=lambda cut: abs(reached[cut - 1] - reached[-1] / 2))
    start = found[cut].start
    return [items[:start], items[start:]]


def _length(target: Target) -> int:
    window = target.upstream.context_window(target.model)
    return MAX_SUMMARY_TOKENS if window is None else max(1, min(MAX_SUMMARY_TOKENS, window // _WINDOW_SHARE))


def _instruction() -> Item:
    item_id = ItemId("msg_instruction")
    content = [{"type": "input_text", "text": _INSTRUCTION}]
    body = {"id": item_id, "type": "message", "role": "user", "status": "completed", "content": content}
    return Item(item_id, "message", body)
