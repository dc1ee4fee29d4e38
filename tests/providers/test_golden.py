"""The matrix of golden cases: every dialect, upstream and client, is held to at least as many as were promised."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sized
from typing import NamedTuple

import pytest

from tests.formats import (
    test_chat_answers,
    test_chat_errors,
    test_chat_request,
    test_messages_answer,
    test_messages_errors,
    test_messages_request,
    test_transcripts,
)
from tests.providers import (
    gemini_bodies,
    openai_responses_requests,
    test_anthropic_decode,
    test_anthropic_errors,
    test_anthropic_requests,
    test_bedrock_decode,
    test_bedrock_encode,
    test_bedrock_errors,
    test_gemini_decode,
    test_gemini_errors,
    test_openai_chat_decode,
    test_openai_chat_errors,
    test_openai_chat_requests,
    test_openai_responses_decode,
    test_openai_responses_errors,
)
from tests.providers.kit.dialects import DIALECTS
from tests.providers.kit.replies import KINDS
from tests.providers.kit.requests import REQUESTS

LEAST = 40
LEAST_ERRORS = 10


class Golden(NamedTuple):
    """
    The tables that a dialect's own tests hold it to.

    Attributes:
        requests: What becomes of the kit's requests.
        replies: Which transcript is of which of the kit's kinds; None where the dialect has no such reply.
        errors: What the vendor's errors become.
    """

    requests: Mapping[str, object]
    replies: Mapping[str, str | None]
    errors: Sized


UPSTREAMS = {
    "anthropic": Golden(
        {**test_anthropic_requests.SENT, **test_anthropic_requests.REFUSED},
        test_anthropic_decode.TRANSCRIPTS,
        test_anthropic_errors.KINDS,
    ),
    "bedrock": Golden(test_bedrock_encode.BODIES, test_bedrock_decode.BY_KIND, test_bedrock_errors.NAMES),
    "gemini": Golden(gemini_bodies.BODIES, test_gemini_decode.TRANSCRIPTS, test_gemini_errors.VENDOR),
    "openai_chat": Golden(
        test_openai_chat_requests.BODIES, test_openai_chat_decode.TRANSCRIPTS, test_openai_chat_errors.STATUSES
    ),
    "openai_responses": Golden(
        {**openai_responses_requests.EXPECTED, **openai_responses_requests.REFUSED},
        test_openai_responses_decode.KIND_OF,
        test_openai_responses_errors.STATUSES,
    ),
}
# What clients of another dialect ask, are answered and are refused.
FORMATS: dict[str, tuple[Sized, ...]] = {
    "chat": (
        test_chat_request.SETTINGS,
        test_chat_request.CHOICES,
        test_chat_errors.CASES,
        test_chat_answers.SCRIPTS,
        test_transcripts.SAYABLE,
    ),
    "messages": (
        test_messages_request.REFUSED,
        test_messages_request.WRONG,
        test_messages_answer.ANSWERS,
        test_messages_errors.RAISED,
        test_transcripts.SAYABLE,
    ),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_upstream_dialect_has_all_cases_of_the_kit(dialect: str) -> None:
    """Every request and every kind of reply has its golden answer, in at least forty cases, beside the errors."""
    golden = UPSTREAMS[dialect]

    assert set(golden.requests) == set(REQUESTS)
    assert set(golden.replies) == set(KINDS)
    assert min(len(REQUESTS), len(golden.requests)) >= LEAST
    assert len(DIALECTS[dialect].files) >= LEAST
    assert len(golden.errors) >= LEAST_ERRORS


@pytest.mark.parametrize("format_", FORMATS)
def test_a_client_dialect_has_its_cases(format_: str) -> None:
    """Requests, refusals and answers of a client dialect are held in at least forty cases, transcripts apart."""
    *own, transcripts = FORMATS[format_]

    assert sum(map(len, own)) >= LEAST
    assert len(transcripts) >= LEAST
    assert format_ in test_transcripts.FORMATS


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_transcript_says_where_its_form_comes_from(dialect: str) -> None:
    """Each file is named in the table of its folder, in a row with a source; and the table names no other."""
    files = {file.rpartition(".")[0] for file in DIALECTS[dialect].files}

    sourced = {
        name
        for row in DIALECTS[dialect].readme.splitlines()
        if row.startswith("| `")
        for name in re.findall(r"`(\w+)`", row.split("|")[1])
        if row.split("|")[-2].strip()
    }
    assert sourced == files
