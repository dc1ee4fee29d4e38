"""All upstream dialects, with the transcripts of each and how they are decoded: for what has to hold for every one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from antiphon.hub.errors import UpstreamError
from antiphon.hub.events import ReplyEnd
from antiphon.hub.upstream import Provider, ReplyDecoder, ReplyEvent
from antiphon.providers.anthropic import Anthropic
from antiphon.providers.bedrock import Bedrock
from antiphon.providers.gemini import Gemini
from antiphon.providers.openai_chat import OpenAIChat
from antiphon.providers.openai_responses import OpenAIResponses
from tests.providers import (
    anthropic_replies,
    bedrock_replies,
    gemini_replies,
    openai_chat_replies,
    openai_responses_replies,
)

__all__ = ["DIALECTS", "Dialect", "Transcript", "transcripts_of"]

_ROOT = Path(__file__).parents[2] / "transcripts"


class Dialect(NamedTuple):
    """
    A dialect.

    Attributes:
        provider: As it is without configuration.
        decoder: A decoder for the transcript of this file name, whose ids are the same every time.
    """

    name: str
    provider: Provider
    decoder: Callable[[str], ReplyDecoder]

    @property
    def files(self) -> list[str]:
        """The file names of its transcripts."""
        return sorted(path.name for path in (_ROOT / self.name).iterdir() if path.suffix != ".md")

    @property
    def readme(self) -> str:
        """What says where its transcripts come from."""
        return (_ROOT / self.name / "README.md").read_text(encoding="utf-8")

    def decode(self, file: str) -> Transcript:
        """A transcript, decoded."""
        decoder, said = self.decoder(file), list[ReplyEvent]()
        try:
            if file.endswith(".json"):
                said += decoder.whole(self._bytes(file))
            else:
                for block in self._blocks(file):
                    said += decoder.feed(block)
                said += decoder.finish()
        except UpstreamError:
            return Transcript(said, None)
        end = said.pop()
        assert isinstance(end, ReplyEnd)
        return Transcript(said, end)

    def _bytes(self, file: str) -> bytes:
        return (_ROOT / self.name / file).read_bytes()

    def _blocks(self, file: str) -> Sequence[bytes]:
        if file.endswith(".jsonl"):
            return bedrock_replies.frames_of(file.removesuffix(".jsonl"))
        return self._bytes(file).splitlines(keepends=True)


class Transcript(NamedTuple):
    """The events of a recorded reply, up to its end; None where it ends with an error."""

    events: list[ReplyEvent]
    end: ReplyEnd | None


DIALECTS = {
    dialect.name: dialect
    for dialect in (
        Dialect("anthropic", Anthropic(), lambda file: anthropic_replies.decoder(aws=file.startswith("bedrock_"))),
        Dialect("bedrock", Bedrock(), lambda _: bedrock_replies.decoder()),
        Dialect("gemini", Gemini(), lambda _: gemini_replies.decoder()),
        Dialect("openai_chat", OpenAIChat(), lambda _: openai_chat_replies.decoder()),
        Dialect("openai_responses", OpenAIResponses(), lambda _: openai_responses_replies.decoder()),
    )
}


def transcripts_of(dialect: str) -> list[Transcript]:
    """All transcripts of a dialect, decoded."""
    return [DIALECTS[dialect].decode(file) for file in DIALECTS[dialect].files]
