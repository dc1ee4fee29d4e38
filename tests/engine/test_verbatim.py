"""When a client's own body is what an upstream is given."""

from __future__ import annotations

import msgspec
import pytest

from antiphon import Target, upstream
from antiphon.engine.answers import Question
from antiphon.engine.context import Context
from antiphon.engine.verbatim import OwnWords, admitted
from antiphon.formats.chat import ChatFormat
from antiphon.hub.errors import UnsupportedParameter
from antiphon.hub.format import DialectTurn
from antiphon.hub.ids import ItemId
from antiphon.hub.items import Item, JsonObject
from antiphon.hub.turn import ModelCall
from antiphon.hub.upstream import UpstreamRequest

BODY: JsonObject = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "min_p": 1}
PLAIN: JsonObject = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
ITEM = Item(id=ItemId("msg_1"), type="message", body={"id": "msg_1", "type": "message", "role": "user", "content": []})
CONTEXT = Context(items=(ITEM,), input_items=1)
OWN = Target(upstream("http://127.0.0.1:9/v1", name="own", models=["m"]), "m")
OTHER = Target(upstream("http://127.0.0.1:9/v1", name="other", provider="anthropic", models=["m"]), "m")


def asked(body: JsonObject = BODY) -> DialectTurn:
    """A chat request as its format reads it."""
    return ChatFormat().decode(body)


def test_a_target_of_the_same_dialect_is_given_the_body() -> None:
    """If it is all that the model is given."""
    assert OwnWords(asked()).body_for(OWN, CONTEXT, CONTEXT.items) is BODY


@pytest.mark.parametrize(
    ("target", "context", "items"),
    [
        (OTHER, CONTEXT, CONTEXT.items),
        (OWN, Context(items=(ITEM, ITEM), input_items=1), None),
        (OWN, msgspec.structs.replace(CONTEXT, dropped=1), None),
        (OWN, msgspec.structs.replace(CONTEXT, summary=0), None),
        (OWN, CONTEXT, (msgspec.structs.replace(ITEM, body={**ITEM.body, "content": ["fetched"]}),)),
    ],
    ids=["another dialect", "history", "shortened", "compacted", "fetched"],
)
def test_whoever_is_given_something_else_is_not_given_the_body(
    target: Target, context: Context, items: tuple[Item, ...] | None
) -> None:
    """What was changed on the way is not what the client wrote."""
    assert OwnWords(asked()).body_for(target, context, context.items if items is None else items) is None


@pytest.mark.parametrize("name", ["cache_salt", "kv_transfer_params", "bootstrap_host"])
def test_what_is_the_operators_affair_goes_up_in_no_words(name: str) -> None:
    """No caller chooses whose cached prompts he shares, or from where they are fetched."""
    words = OwnWords(asked({**PLAIN, name: "theirs"}))

    assert words.body_for(OWN, CONTEXT, CONTEXT.items) is None
    with pytest.raises(UnsupportedParameter) as caught:
        words.check(question(verbatim=False))
    assert caught.value.param == name


def test_a_turn_of_the_responses_api_has_no_words_of_its_own() -> None:
    """Nor has a dialect whose requests never go up as they are."""
    for turn in (None, msgspec.structs.replace(asked(PLAIN), verbatim=None)):
        assert OwnWords(turn).body_for(OWN, CONTEXT, CONTEXT.items) is None


def question(*, verbatim: bool) -> Question:
    """A call as a provider wrote it."""
    call = ModelCall(model="m", account="own", items=(ITEM,), input_start=0, request=asked(PLAIN).request, stream=False)
    return Question(target=OWN, call=call, request=UpstreamRequest(path="/", verbatim=verbatim))


def test_what_would_be_lost_is_refused() -> None:
    """A provider that writes other words than the client's is not sent without what only those say."""
    said, unsaid = question(verbatim=True), question(verbatim=False)

    assert OwnWords(asked()).check(said) is said
    assert OwnWords(asked(PLAIN)).check(unsaid) is unsaid
    with pytest.raises(UnsupportedParameter) as caught:
        OwnWords(asked()).check(unsaid)
    assert (caught.value.param, caught.value.code) == ("min_p", "unknown_parameter")


@pytest.mark.parametrize(
    ("targets", "is_keyed"), [([OTHER], False), ([OTHER, OWN], True)], ids=["another dialect", "key"]
)
def test_before_anybody_is_asked_it_is_known_that_nobody_can_be(targets: list[Target], is_keyed: bool) -> None:
    """Without a target of the dialect, or with a key, an unknown field is refused; without one all is well."""
    with pytest.raises(UnsupportedParameter):
        admitted(asked(), targets, is_keyed=is_keyed)

    assert admitted(asked(PLAIN), targets, is_keyed=is_keyed).verbatim is None


def test_one_target_of_the_dialect_is_enough() -> None:
    """The others are passed over when it is their turn."""
    turn = asked()

    assert admitted(turn, [OTHER, OWN], is_keyed=False) is turn
