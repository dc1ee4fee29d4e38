"""The published JSON Schemas say what the decoders do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from antiphon.formats.checks.common import OneOf, Wrapped
from antiphon.formats.checks.flaw import Flaw
from antiphon.formats.checks.json_schema import SchemaWriter
from antiphon.formats.checks.schema import (
    Anything,
    Arr,
    Bool,
    ByType,
    Enum,
    Field,
    Int,
    MapOf,
    Num,
    Obj,
    Schema,
    Str,
    StrMap,
    Tagged,
)
from antiphon.formats.responses import ResponsesFormat
from antiphon.formats.responses.answers import ANSWERS
from antiphon.formats.responses.context import COMPACTION, COUNT
from antiphon.formats.responses.descriptions import DESCRIPTIONS, EXAMPLES
from antiphon.formats.responses.items import ItemUnion
from antiphon.formats.responses.library import FORK, PROMPT, REWIND
from antiphon.formats.responses.published import QUERIES
from antiphon.formats.responses.request import FIELDS, REFUSED, STATE
from antiphon.formats.responses.state import ADDITION, CONVERSATION, UPDATE
from antiphon.hub.events import Event
from antiphon.hub.response import TERMINAL, opening_response, render
from antiphon.hub.turn import TurnRequest

SCHEMAS = ResponsesFormat().schemas()


def accepts(name: str, value: object) -> bool:
    """Whether the published schema of this name accepts a value."""
    root = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": dict(SCHEMAS)}}
    return Draft202012Validator(root).is_valid(value)


def decoder_accepts(schema: Schema, value: object) -> bool:
    """Whether the decoder's own table accepts it."""
    try:
        schema.check(value)
    except Flaw:
        return False
    return True


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 200),
    st.sampled_from([0.5, -1.5, 3.25]),  # never 1.0, which JSON Schema calls an integer
    st.sampled_from(["", "auto", "x", "conv_1", "no name", "user"]),
    st.lists(st.integers(0, 1), max_size=1),
    st.dictionaries(st.sampled_from(["type", "id", "x"]), st.sampled_from(["message", "x", "text"]), max_size=2),
)


def mostly(good: st.SearchStrategy[Any], junk: st.SearchStrategy[Any] = JUNK) -> st.SearchStrategy[Any]:
    """*good*, and *junk* once in a while."""
    return st.integers(0, 15).flatmap(lambda number: junk if number == 7 else good)


def values(schema: Schema) -> st.SearchStrategy[Any]:
    """Values that a schema mostly accepts, and that are wrong in one place now and then."""
    return mostly(_good(schema))


@singledispatch
def _good(schema: Schema) -> st.SearchStrategy[Any]:
    raise AssertionError(f"No strategy for {schema}.")


@_good.register
def _(schema: Str) -> st.SearchStrategy[Any]:
    lengths = [min(length, 70) for length in (0, 1, schema.max_length or 1, (schema.max_length or 1) + 1)]
    return st.sampled_from([(schema.prefix or "") + "x" * length for length in lengths] + ["Name-1", "a b"])


@_good.register
def _(schema: Int) -> st.SearchStrategy[Any]:
    low, high = schema.minimum or 0, schema.maximum if schema.maximum is not None else (schema.minimum or 0) + 100
    return mostly(st.integers(low, high), st.sampled_from([low - 1, high + 1]))


@_good.register
def _(schema: Num) -> st.SearchStrategy[Any]:
    return mostly(st.floats(schema.minimum, schema.maximum), st.sampled_from([schema.minimum - 1, schema.maximum + 1]))


@_good.register
def _(schema: Bool) -> st.SearchStrategy[Any]:
    return st.booleans()


@_good.register
def _(schema: Anything) -> st.SearchStrategy[Any]:
    return JUNK


@_good.register
def _(schema: Wrapped) -> st.SearchStrategy[Any]:
    return st.just("a text")


@_good.register
def _(schema: Enum) -> st.SearchStrategy[Any]:
    return mostly(st.sampled_from(schema.values), st.just("bogus"))


@_good.register
def _(schema: Arr) -> st.SearchStrategy[Any]:
    return st.lists(values(schema.item), max_size=2)


@_good.register
def _(schema: StrMap) -> st.SearchStrategy[Any]:
    return st.dictionaries(st.sampled_from(["a", "n" * 64, "n" * 65]), values(schema.value), max_size=2)


@_good.register
def _(schema: MapOf) -> st.SearchStrategy[Any]:
    return st.dictionaries(st.sampled_from(["a", "name_1", "", "no name"]), values(schema.value), max_size=2)


@_good.register
def _(schema: ByType) -> st.SearchStrategy[Any]:
    return st.one_of([_good(case) for case in schema.cases.values()])


@_good.register
def _(schema: Tagged) -> st.SearchStrategy[Any]:
    return st.one_of([_tagged(schema, tag, variant) for tag, variant in schema.variants.items()])


@_good.register
def _(schema: ItemUnion) -> st.SearchStrategy[Any]:
    return st.one_of([_good(variant) for variant in (*schema.messages.values(), *schema.typed.values())])


@_good.register
def _(schema: OneOf) -> st.SearchStrategy[Any]:
    return _good(schema.schema)


@_good.register
def _(schema: Obj) -> st.SearchStrategy[Any]:
    return _object(schema.fields)


def _tagged(schema: Tagged, tag: str, variant: Schema) -> st.SearchStrategy[Any]:
    return _good(variant).map(lambda value: {**value, schema.tag: tag})


def _object(fields: Mapping[str, Field]) -> st.SearchStrategy[Any]:
    required = {name: values(field.schema) for name, field in fields.items() if field.required}
    optional = {name: mostly(_good(field.schema), st.none()) for name, field in fields.items() if not field.required}
    chosen = st.lists(st.sampled_from(sorted(optional)), unique=True, max_size=4) if optional else st.just([])
    extra = mostly(st.just({}), st.just({"unheard_of": 1}))
    return st.builds(
        lambda known, more: {**known, **more},
        chosen.flatmap(lambda names: st.fixed_dictionaries({**required, **{name: optional[name] for name in names}})),
        extra,
    )


def test_every_kind_of_schema_can_be_written() -> None:
    """A kind that nobody taught the writer stops the program at its start, not at a reader."""

    @dataclass
    class Strange:
        def check(self, value: object) -> object:
            return value

    with pytest.raises(TypeError, match="Strange"):
        SchemaWriter({"Body": Obj(fields={"x": Field(schema=Strange())})}).components()


def test_every_field_of_a_turn_is_published_and_described() -> None:
    """What the decoder reads, the document has, in the same order, each with its meaning."""
    published = SCHEMAS["CreateResponse"]["properties"]
    assert list(FIELDS) == list(published)
    assert all(member.get("description") for member in published.values())


def test_what_is_refused_says_so() -> None:
    """A field of the API that the gateway refuses by name is marked, and no other."""
    published = SCHEMAS["CreateResponse"]["properties"]
    assert set(REFUSED) == {name for name, member in published.items() if member.get("x-antiphon-refused")}


def test_every_description_describes_something() -> None:
    """No description is left over from a schema or a field that is gone."""
    known = {(name, member) for name, schema in SCHEMAS.items() for member in ("", *schema.get("properties", ()))}
    described = {(name, member) for name, texts in DESCRIPTIONS.items() for member in texts}
    assert described - known == set()


def test_every_schema_is_a_schema() -> None:
    """All of them are well-formed, and what they refer to is there."""
    for name, schema in SCHEMAS.items():
        Draft202012Validator.check_schema(schema)
        assert _references(schema) <= set(SCHEMAS), name


def _references(value: Any) -> set[str]:
    if isinstance(value, list):
        return {name for part in value for name in _references(part)}
    if not isinstance(value, dict):
        return set()
    own = {value["$ref"].removeprefix("#/components/schemas/")} if "$ref" in value else set()
    return own | {name for part in value.values() for name in _references(part)}


TABLES = {
    "CompactContext": COMPACTION,
    "CountInput": COUNT,
    "CreateResponse": Obj(fields=FIELDS),
    "CreateConversation": CONVERSATION,
    "UpdateConversation": UPDATE,
    "CreateConversationItems": ADDITION,
    "ForkConversation": FORK,
    "RewindConversation": REWIND,
    "CreatePrompt": PROMPT,
}


def test_every_body_has_an_example() -> None:
    """Whoever reads about a body sees one."""
    assert set(TABLES) == set(EXAMPLES)


@pytest.mark.parametrize(("name", "index"), [(n, i) for n, listed in EXAMPLES.items() for i in range(len(listed))])
def test_examples_can_be_sent(name: str, index: int) -> None:
    """Every example is accepted by its schema and by the decoder's table."""
    example = EXAMPLES[name][index]
    assert accepts(name, example)
    assert decoder_accepts(TABLES[name], example)


@pytest.mark.parametrize("field", sorted(FIELDS))
def test_the_schema_of_a_field_agrees_with_the_decoder(field: str) -> None:
    """Whatever a field of a turn holds, the published schema and the decoder give the same verdict."""
    verdicts: set[bool] = set()

    # The two that are unions of everything need more to come past all of it.
    @settings(
        max_examples=250 if field in ("input", "tools") else 40,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        database=None,
    )
    @given(value=values(FIELDS[field].schema))
    def agree(value: object) -> None:
        body = {"model": "m", "input": "hi", field: value}
        if field in ("model", "input") and value is None:
            return  # needed: said for the whole body, see below
        verdict = decoder_accepts(Obj(fields=FIELDS), body)
        verdicts.add(verdict)
        assert verdict == accepts("CreateResponse", body), body

    agree()
    assert True in verdicts


@pytest.mark.parametrize("name", sorted(TABLES.keys() - {"CreateResponse"}))
def test_the_schema_of_a_body_agrees_with_the_decoder(name: str) -> None:
    """The same for every other body as a whole."""
    table = TABLES[name]

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)
    @given(value=values(table))
    def agree(value: object) -> None:
        assert decoder_accepts(table, value) == accepts(name, value), value

    agree()


@pytest.mark.parametrize(
    ("body", "accepted"),
    [
        ({"model": "m", "input": "hi"}, True),
        ({"prompt": {"id": "p"}}, True),
        ({"model": "m"}, False),
        ({"input": "hi"}, False),
        ({"model": None, "input": "hi"}, False),
        ({"model": "m", "input": None}, False),
        *(({"model": "m", name: {"id": "conv_1"} if name != "previous_response_id" else "r"}, True) for name in STATE),
        ({"model": "m", "input": "hi", "stop": "x"}, False),
        ({"model": "m", "input": [{"id": "msg_1"}]}, True),
        ({"model": "m", "input": [{"type": "local_shell_call_output", "output": "x"}]}, False),
        ({"model": "m", "input": [{"role": "user", "content": [{"type": "input_image", "image_url": None}]}]}, False),
    ],
    ids=str,
)
def test_what_a_turn_needs_is_in_its_schema(body: object, accepted: bool) -> None:
    """A model and something to answer; null is not something."""
    assert accepted == accepts("CreateResponse", body)


def test_the_limits_of_an_instance_are_published() -> None:
    """What is configured stands in the document: how many items, and whether unknown fields are an error."""
    schema = ResponsesFormat(max_items=7, unknown_parameters="ignore").schemas()["CreateResponse"]
    assert 7 in [variant.get("maxItems") for variant in schema["properties"]["input"]["anyOf"]]
    assert schema.get("additionalProperties", True) is True
    assert SCHEMAS["CreateResponse"]["additionalProperties"] is False


@pytest.mark.parametrize("name", sorted(QUERIES))
def test_queries_are_published_as_they_are_read(name: str) -> None:
    """Every parameter is there, is described, and cannot be null."""
    published = SCHEMAS[name]["properties"]
    assert list(QUERIES[name]) == list(published)
    assert all(parameter["description"] for parameter in published.values())
    assert not any(accepts(name, {parameter: None}) for parameter in published)


def test_the_response_has_exactly_its_fields() -> None:
    """Every field of a response is described and always there, at its beginning and at its end."""
    opening = opening_response(TurnRequest(model="m"), id="resp_1", created_at=1, model="m", conversation_id="conv_1")
    ends = [render(opening, status=status, output=[]) for status in TERMINAL]
    for body in (opening, *ends):
        assert accepts("Response", body), body
        assert set(body) <= set(SCHEMAS["Response"]["properties"])
        assert set(body) >= set(SCHEMAS["Response"]["required"])
    assert not accepts("Response", {**opening, "status": "lost"})


def test_every_event_is_published() -> None:
    """Each event that the gateway can send has a schema under its own type."""
    published = {
        schema["properties"]["type"].get("const")
        for name, schema in SCHEMAS.items()
        if name.endswith("Event") and "properties" in schema
    }
    assert {kind.__struct_config__.tag for kind in _leaves(Event)} == published - {None}


def _leaves(root: type[Event]) -> Iterable[type[Event]]:
    below = root.__subclasses__()
    return [leaf for kind in below for leaf in _leaves(kind)] if below else [root]


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_answers_refuse_something(name: str) -> None:
    """A schema that accepts everything would say nothing."""
    assert not accepts(name, 7)
