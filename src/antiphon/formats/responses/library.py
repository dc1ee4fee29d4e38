"""
The bodies of what is an extension of the API: forks, rewinds, imports and stored prompts.

They are checked field by field like the API's own, with the same words for what is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from antiphon.formats.checks.common import MAX_TEXT, METADATA
from antiphon.formats.checks.flaw import Flaw
from antiphon.formats.checks.schema import Enum, Field, Int, MapOf, Obj, Str
from antiphon.formats.responses.items import ITEM
from antiphon.formats.responses.request import FIELDS, items_of, reasoning_of
from antiphon.formats.responses.tools import check_tool_names
from antiphon.hub.errors import InvalidRequest
from antiphon.hub.items import JsonObject
from antiphon.hub.library import ConversationDraft, ForkDraft, ItemLine
from antiphon.hub.prompt import VARIABLE_NAME, Prompt, PromptVariable, variables_of

__all__ = [
    "FORK",
    "PROMPT",
    "PROMPT_VARIABLE",
    "REWIND",
    "decode_fork",
    "decode_import",
    "decode_prompt",
    "decode_rewind",
]

_EXPORT_VERSION = 1

FORK = Obj(fields={"at": Field(schema=Str(min_length=1)), "metadata": Field(schema=METADATA, default={})})
REWIND = Obj(fields={"to": Field(schema=Str(min_length=1), required=True)})
_HEADER = Obj(
    fields={
        "object": Field(schema=Enum(("conversation.export",)), required=True),
        "version": Field(schema=Int(minimum=1, maximum=_EXPORT_VERSION), required=True),
        "id": Field(schema=Str()),
        "created_at": Field(schema=Int()),
        "metadata": Field(schema=METADATA, default={}),
    }
)
PROMPT_VARIABLE = Obj(fields={"default": Field(schema=Str(max_length=MAX_TEXT)), "description": Field(schema=Str())})
PROMPT = Obj(
    fields={
        "name": Field(schema=Str(max_length=256)),
        "model": FIELDS["model"],
        "instructions": Field(schema=Str(max_length=MAX_TEXT)),
        "input": FIELDS["input"],
        **{name: Field(schema=FIELDS[name].schema) for name in ("tools", "tool_choice", "text", "reasoning")},
        **{name: FIELDS[name] for name in ("temperature", "top_p", "max_output_tokens")},
        "metadata": Field(schema=METADATA, default={}),
        "variables": Field(
            schema=MapOf(
                value=PROMPT_VARIABLE, names=VARIABLE_NAME, max_properties=128, expected="an object of variables"
            ),
            default={},
        ),
    }
)


def decode_fork(body: JsonObject) -> ForkDraft:
    """
    Read ``POST /v1/conversations/{id}/fork``; an empty object forks at the end.

    Raises:
        InvalidRequest: Names the first field that is wrong.
    """
    fields = _checked(FORK, body)
    return ForkDraft(at=fields.get("at"), metadata=fields["metadata"])


def decode_rewind(body: JsonObject) -> str:
    """
    Read ``POST /v1/conversations/{id}/rewind``.

    Raises:
        InvalidRequest: ``to`` is missing or wrong, or there is something else.
    """
    return cast(str, _checked(REWIND, body)["to"])


def decode_import(lines: Iterable[ItemLine]) -> ConversationDraft:
    """
    Read the lines of an export, or of items alone. Ids are left out: what is imported is new.

    Raises:
        InvalidRequest: Names the first line that is wrong, and what is wrong in it.
    """
    items = []
    metadata: dict[str, str] = {}
    for place, (number, body) in enumerate(lines):
        try:
            if place == 0 and "object" in body:
                metadata = _checked(_HEADER, body)["metadata"]
            else:
                items.append(_imported(body))
        except InvalidRequest as error:
            raise InvalidRequest(f"Line {number}: {error.message}", param=error.param, code=error.code) from None
    return ConversationDraft(items=tuple(items), metadata=metadata)


def decode_prompt(body: JsonObject, max_items: int) -> Prompt:
    """
    Read ``POST /v1/prompts`` and ``POST /v1/prompts/{id}``.

    Raises:
        InvalidRequest: Names the first field that is wrong.
    """
    fields = _checked(PROMPT, body)
    _check_tools(fields.get("tools", []))
    items = items_of(fields.pop("input", None))
    if len(items) > max_items:
        raise InvalidRequest(
            f"Invalid 'input': array too long. Expected an array with maximum length {max_items} (max_items), "
            f"but got an array with length {len(items)} instead.",
            param="input",
            code="array_above_max_length",
        )
    _refuse_ids(items)
    used = variables_of(fields.get("instructions"), items)
    declared = fields.pop("variables")
    _refuse_unused(declared, used)
    if "tools" in fields:
        fields["tools"] = tuple(fields["tools"])
    if "reasoning" in fields:
        fields["reasoning"] = reasoning_of(fields["reasoning"])
    variables = {name: PromptVariable(**declared.get(name, {})) for name in used}
    return Prompt(**fields, input=items, variables=variables)


def _checked(schema: Obj, body: JsonObject) -> dict[str, Any]:
    try:
        return schema.check(body)
    except Flaw as flaw:
        raise flaw.error() from None


def _imported(body: JsonObject) -> JsonObject:
    try:
        item = cast(JsonObject, ITEM.check(body))
    except Flaw as flaw:
        raise flaw.error() from None
    if item["type"] in _NOT_KEPT:
        raise InvalidRequest(
            f"Invalid value: '{item['type']}'. An item of this type has a meaning only in the input of a turn.",
            param="type",
            code="invalid_value",
        )
    return {name: value for name, value in item.items() if name != "id"}


# Items that say something about one request.
_NOT_KEPT = ("item_reference", "compaction_trigger")


def _check_tools(tools: list[JsonObject]) -> None:
    try:
        check_tool_names(tools)
    except Flaw as flaw:
        raise flaw.under(".tools").error() from None


def _refuse_ids(items: Sequence[JsonObject]) -> None:
    for index, item in enumerate(items):
        if "id" in item:
            path = f"input[{index}].id"
            raise InvalidRequest(
                f"Unknown parameter: '{path}'. The items of a prompt are new in every turn: leave out their ids, and "
                "write out what is referred to.",
                param=path,
                code="unknown_parameter",
            )


def _refuse_unused(declared: Mapping[str, object], used: Sequence[str]) -> None:
    for name in declared:
        if name not in used:
            raise InvalidRequest(
                f"Unknown variable: '{name}' is declared in 'variables' and stands in no template. Write "
                f"'{{{{{name}}}}}' where its value belongs, or leave it out.",
                param=f"variables.{name}",
                code="invalid_value",
            )
