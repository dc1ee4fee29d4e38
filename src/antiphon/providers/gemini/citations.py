"""Sources of a text, as the Responses API's ``url_citation`` annotations."""

from __future__ import annotations

from collections.abc import Iterator

from antiphon.hub.items import JsonObject
from antiphon.providers.gemini.reply import CitationMetadata, GroundingMetadata, Segment, Web

__all__ = ["grounding_annotations", "recitation_annotations"]


def grounding_annotations(grounding: GroundingMetadata, text: str) -> Iterator[JsonObject]:
    """An annotation for each page behind each piece of *text*. Sources that are no pages have no place in the API."""
    chunks = grounding.grounding_chunks or []
    for support in grounding.grounding_supports or ():
        for index in support.grounding_chunk_indices or ():
            web = chunks[index].web if index < len(chunks) else None
            if web is not None and web.uri:
                yield _annotation(text, support.segment or Segment(), web)


def recitation_annotations(citations: CitationMetadata, text: str) -> Iterator[JsonObject]:
    """An annotation for each piece of *text* that stands at a URL already."""
    for citation in [*(citations.citation_sources or ()), *(citations.citations or ())]:
        if citation.uri:
            yield _annotation(
                text, Segment(citation.start_index, citation.end_index), Web(citation.uri, citation.title)
            )


def _annotation(text: str, segment: Segment, web: Web) -> JsonObject:
    encoded = text.encode()
    start, end = segment.start_index or 0, segment.end_index
    return {
        "type": "url_citation",
        "start_index": _characters(encoded[:start]),
        "end_index": _characters(encoded if end is None else encoded[:end]),
        "url": web.uri,
        "title": web.title or "",
    }


def _characters(encoded: bytes) -> int:
    """How many characters so many bytes are: the API's places are counted in those."""
    return len(encoded.decode(errors="ignore"))
