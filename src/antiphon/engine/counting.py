"""
How many tokens a model is given: asked of its server where that can tell, else estimated.

The estimate needs no tokenizer and is good to about a fifth for prose of European languages and for code. It is a rule
of thumb: four bytes of text to a token, a few tokens around each item, one figure for every image. It is made on every
turn that lets its context be shortened or compacted, so it looks at nothing twice and writes no JSON of items that it
knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import orjson

from antiphon.engine.answers import Question
from antiphon.engine.attempts import Asking, Attempts
from antiphon.engine.dropping import write
from antiphon.engine.remote import RemoteOfTurn
from antiphon.engine.replies import in_time
from antiphon.engine.target import Target
from antiphon.hub.errors import ContextLengthExceeded
from antiphon.hub.items import Item, JsonObject
from antiphon.hub.turn import ModelCall, TurnRequest
from antiphon.hub.upstream import Counts

__all__ = ["Count", "count_input", "estimate_item", "estimate_request", "estimate_text", "estimate_tokens"]

_BYTES_PER_TOKEN = 4
_AROUND_AN_ITEM = 4  # role and delimiters of a chat template
_AROUND_A_CALL = 8  # a call's and an output's ids as well
_PER_TOOL = 8
# OpenAI's figure for a picture of 1024 by 1024 pixels in high detail; a file is taken for two pages, each one a picture
# and its text. Nothing in a request says more without decoding it.
_PER_IMAGE = 765
_PER_FILE = 2_500
_AT_THE_START = 3  # what opens the model's own answer

_COUNT_LIMIT_BYTES = 1024 * 1024


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """
    How long an input is.

    Attributes:
        exact: The model's own server said so; otherwise it is an estimate.
    """

    tokens: int
    exact: bool


def estimate_tokens(items: Iterable[Item], *, instructions: str | None = None, tools: Sequence[JsonObject] = ()) -> int:
    """
    About how many tokens a model is given.

    Args:
        items: The whole context, as the model gets it (after :func:`antiphon.engine.compaction.expand`).

    Note:
        O(items), about 1 µs for a message of one text. Reasoning counts although not every upstream is given it.
    """
    return sum(map(estimate_item, items)) + estimate_request(instructions, tools)


def estimate_request(instructions: str | None, tools: Sequence[JsonObject] = ()) -> int:
    """What comes to the items of a context: the instructions, the tools, and the beginning of the answer."""
    tokens = _AT_THE_START
    if instructions is not None:
        tokens += _AROUND_AN_ITEM + estimate_text(instructions)
    return tokens + sum(_PER_TOOL + len(orjson.dumps(tool)) // _BYTES_PER_TOKEN for tool in tools)


def estimate_item(item: Item) -> int:
    """About how many tokens one item adds."""
    body = item.body
    match item.type:
        case "message":
            return _AROUND_AN_ITEM + _content(body["content"])
        case "reasoning":
            return _AROUND_AN_ITEM + _content(body.get("content") or ())
        case "function_call":
            return _AROUND_A_CALL + estimate_text(body["name"]) + estimate_text(body["arguments"])
        case "custom_tool_call":
            return _AROUND_A_CALL + estimate_text(body["name"]) + estimate_text(body["input"])
        case "function_call_output" | "custom_tool_call_output":
            return _AROUND_A_CALL + _content(body["output"])
        case _:
            return _AROUND_A_CALL + len(orjson.dumps(body)) // _BYTES_PER_TOKEN


def estimate_text(text: str) -> int:
    """About how many tokens a text has; at least one if there is any."""
    size_bytes = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return -(-size_bytes // _BYTES_PER_TOKEN)


async def count_input(
    targets: Sequence[Target],
    request: TurnRequest,
    items: tuple[Item, ...],
    *,
    attempts: Attempts,
    input_start: int = 0,
    remote: RemoteOfTurn | None = None,
) -> Count:
    """
    How many tokens of input the first of *targets* that can be asked would be given.

    One that cannot count is not passed over for one that can: it is the one that would be given them.

    Args:
        items: The whole context, as the model gets it.
        input_start: See :class:`~antiphon.hub.turn.ModelCall`.
        remote: Fetches what *items* name by a URL, for a server that is asked; None leaves that to the server.

    Raises:
        UpstreamError: All can count, and none could be asked. Only an input that is too long for it to be counted is
            estimated in its place.
        UnsupportedParameter: All can count, and none could be given this request.
    """
    asking = attempts.asking(targets)

    async def put(target: Target) -> Count:
        call = ModelCall(
            model=target.model,
            account=target.upstream.account,
            items=items,
            input_start=input_start,
            request=request,
            stream=False,
        )
        return await _count_at(asking, target, call, remote)

    return await asking.first(put)


async def _count_at(asking: Asking, target: Target, call: ModelCall, remote: RemoteOfTurn | None) -> Count:
    provider = target.upstream.provider
    counting = await _counting(target, call)
    if counting is None or not isinstance(provider, Counts):
        return _estimate(call.request, call.items)
    if remote is not None:
        items = await remote.as_data(call.items, input_start=call.input_start)
        counting = await _counting(target, msgspec.structs.replace(call, items=items)) or counting
    try:
        answer = await asking.send(counting)
    except ContextLengthExceeded as error:
        if error.needed_tokens is None:
            return _estimate(call.request, call.items)
        return Count(tokens=error.needed_tokens, exact=False)  # vLLM says "at least"
    try:
        body = await in_time(answer, answer.reply.read_all(_COUNT_LIMIT_BYTES))
    finally:
        await answer.close()
    return Count(tokens=provider.decode_count(body), exact=True)


async def _counting(target: Target, call: ModelCall) -> Question | None:
    """What asks a target how long a call is, without what may be dropped; None for one that cannot tell."""
    provider = target.upstream.provider
    if not isinstance(provider, Counts):
        return None
    request, written = await write(target, provider.count, call)
    return None if request is None else Question(target=target, call=written.call, request=request)


def _estimate(request: TurnRequest, items: tuple[Item, ...]) -> Count:
    tokens = estimate_tokens(items, instructions=request.instructions, tools=request.tools)
    return Count(tokens=tokens, exact=False)


def _content(content: str | Iterable[Any]) -> int:
    """A message's content or a tool's output: a text, or parts."""
    if isinstance(content, str):
        return estimate_text(content)
    return sum(map(_part, content))


def _part(part: JsonObject) -> int:
    match part.get("type"):
        case "input_image" | "computer_screenshot":
            return _PER_IMAGE
        case "input_file":
            return _PER_FILE
        case "refusal":
            return estimate_text(part["refusal"])
        case _:
            text = part.get("text")
            return estimate_text(text) if isinstance(text, str) else len(orjson.dumps(part)) // _BYTES_PER_TOKEN
