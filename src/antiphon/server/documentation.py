"""The endpoints that describe all the others: ``/openapi.json`` for programs and ``/docs`` for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import orjson

from antiphon.hub.items import JsonObject
from antiphon.server.docs_page import Page, docs_page
from antiphon.server.exchange import Exchange
from antiphon.server.openapi import GATEWAY, About, check_routes, openapi_document
from antiphon.server.routes import Route

__all__ = ["Documentation"]


class Documentation:
    """
    Args:
        routes: Every other operation.
        schemas: What the routes' schemas are.
        about: What the document says of itself.

    Attributes:
        routes: Every operation, its own two included.

    Raises:
        ValueError: A route names a schema that there is not.
    """

    def __init__(self, routes: Sequence[Route], schemas: Mapping[str, JsonObject], about: About = GATEWAY) -> None:
        self.routes = (*routes, *self._own_routes())
        self._schemas = schemas
        self._about = about
        check_routes(self.routes, schemas)

    async def openapi(self, exchange: Exchange) -> None:
        """``GET /openapi.json``."""
        await exchange.answer_bytes(self._document_bytes)

    async def page(self, exchange: Exchange) -> None:
        """``GET /docs``: one page that loads nothing else."""
        await exchange.answer_bytes(self._page.body, self._page.headers, media_type=b"text/html; charset=utf-8")

    # Made when somebody asks: most processes are never asked, and start sooner.

    @cached_property
    def _document(self) -> JsonObject:
        return openapi_document(self.routes, self._schemas, self._about)

    @cached_property
    def _document_bytes(self) -> bytes:
        return orjson.dumps(self._document)

    @cached_property
    def _page(self) -> Page:
        return docs_page(self._document)

    def _own_routes(self) -> list[Route]:
        return [
            Route(
                "GET",
                "/openapi.json",
                self.openapi,
                "This API for programs",
                name="openapi",
                tag="Service",
                scope="public",
                answer="Document",
                extension=True,
                details="An OpenAPI 3.1 document.",
            ),
            Route(
                "GET",
                "/docs",
                self.page,
                "This API for people",
                name="docs",
                tag="Service",
                scope="public",
                answer="Page",
                media_type="text/html",
                extension=True,
                details="This page. It loads nothing from elsewhere.",
            ),
        ]
