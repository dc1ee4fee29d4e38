"""Images and files that a request names by their URLs: left alone, refused, or fetched and given on as data."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.support.scripted_upstream import whole as completion
from tests.transport.captive import PNG, Captive, captive_network, whole

from antiphon import Gateway, SQLiteSessionStore
from antiphon.engine.remote import RemoteContents
from antiphon.engine.turn import TurnPolicy
from antiphon.engine.upstreams import Upstream
from antiphon.hub.errors import InvalidRequest, UnsupportedParameter
from antiphon.hub.format import PageRequest
from antiphon.hub.principal import Principal
from antiphon.providers.openai_chat import provider
from antiphon.testing.store_fixture import FixedClock
from antiphon.transport.fetching import FetchTimes, GuardedFetcher
from antiphon.transport.guard import GuardRules
from antiphon.transport.replay import PreparedReply, ReplayTransport

DATA = "data:image/png;base64," + base64.b64encode(PNG).decode()
URL = "http://public.example/a.png"
SAYS = PreparedReply(blocks=[orjson.dumps(completion("A picture."))])


@pytest.fixture
async def captive(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Captive]:
    async with captive_network(monkeypatch) as network:
        yield network


def fetching(**limits: Any) -> RemoteContents:
    rules = GuardRules(schemes=frozenset({"http", "https"}))
    return RemoteContents(GuardedFetcher(rules, times=FetchTimes(connect_s=0.05)), **limits)


@asynccontextmanager
async def gateway_with(
    remote: RemoteContents | None, path: Path, *, replies: int = 4, **quirks: object
) -> AsyncIterator[tuple[Gateway, ReplayTransport]]:
    answers = ReplayTransport([SAYS] * replies)
    upstream = Upstream("prepared", provider(quirks), answers, models=["m"], clock=time.monotonic)
    gateway = Gateway([upstream], store=SQLiteSessionStore(path / "antiphon.db"), policy=TurnPolicy(remote=remote))
    async with gateway:
        yield gateway, answers


def image(url: str, **more: object) -> dict[str, object]:
    return {"type": "input_image", "image_url": url, **more}


def asking(*parts: object, **fields: object) -> dict[str, Any]:
    return {"model": "m", "input": [{"role": "user", "content": [*parts]}], **fields}


def asked(answers: ReplayTransport, turn: int = -1) -> Any:
    return orjson.loads(answers.requests[turn].body)


class TestFetch:
    async def test_the_upstream_is_given_data(self, captive: Captive, tmp_path: Path) -> None:
        """The gateway gets the image; the model's server sees a data: URL with the detail that was asked for."""
        async with gateway_with(fetching(), tmp_path) as (gateway, answers):
            await gateway.respond(asking(image(URL, detail="low"), {"type": "input_text", "text": "?"}))

        content = asked(answers)["messages"][0]["content"]
        assert content[0] == {"type": "image_url", "image_url": {"url": DATA, "detail": "low"}}
        assert captive.paths == ["/a.png"]

    async def test_what_is_stored_keeps_the_url(self, captive: Captive, tmp_path: Path) -> None:
        """The client's own URL is what is listed, and what the next turn fetches again, from memory if it is soon."""
        async with gateway_with(fetching(), tmp_path) as (gateway, answers):
            first = await gateway.respond(asking(image(URL)))
            listed = await gateway.input_items(
                first["id"], PageRequest(include=frozenset({"message.input_image.image_url"}))
            )
            again = {"model": "m", "input": "and?", "previous_response_id": first["id"]}
            await gateway.respond(again)

        assert [item["content"][0]["image_url"] for item in listed.items] == [URL]
        assert asked(answers)["messages"][0]["content"][0]["image_url"]["url"] == DATA
        assert captive.paths == ["/a.png"]

    async def test_a_file_becomes_data_with_a_name(self, captive: Captive, tmp_path: Path) -> None:
        """What chat has no URL for can be sent after all."""
        captive.answer = lambda _: whole(b"%PDF-", "content-type: application/pdf")
        file = {"type": "input_file", "file_url": "http://public.example/x/report.pdf?v=1"}
        async with gateway_with(fetching(), tmp_path, files=True) as (gateway, answers):
            await gateway.respond(asking(file))

        data = "data:application/pdf;base64," + base64.b64encode(b"%PDF-").decode()
        assert asked(answers)["messages"][0]["content"] == [
            {"type": "file", "file": {"filename": "report.pdf", "file_data": data}}
        ]

    async def test_data_is_never_fetched(self, captive: Captive, tmp_path: Path) -> None:
        """A data: URL goes on as it is, however its scheme is written."""
        async with gateway_with(fetching(), tmp_path) as (gateway, answers):
            await gateway.respond(asking(image(DATA), image(DATA.replace("data:", "DATA:"))))

        assert [part["image_url"]["url"][:5] for part in asked(answers)["messages"][0]["content"]] == ["data:", "DATA:"]
        assert captive.lookups == []

    @pytest.mark.parametrize("url", ["http://127.0.0.1/", "http://inside.example/", "http://unknown.example/", "x", ""])
    async def test_an_unreachable_image_is_the_requests_error(self, captive: Captive, tmp_path: Path, url: str) -> None:
        """Refused, unknown or no URL at all: the same 400, which names the place; nothing is asked or stored."""
        captive.names |= {"inside.example": [["10.0.0.1"]], "unknown.example": [[]]}
        async with gateway_with(fetching(), tmp_path) as (gateway, answers):
            with pytest.raises(InvalidRequest) as caught:
                await gateway.respond(asking({"type": "input_text", "text": "?"}, image(url)))

        assert caught.value.envelope()["error"] == {
            "message": "Error while downloading the image. Check that its URL is public.",
            "type": "invalid_request_error",
            "param": "input[0].content[1].image_url",
            "code": "invalid_image_url",
        }
        assert (answers.requests, captive.attempts) == ([], [])

    async def test_an_image_of_the_history_is_named_by_its_item(self, captive: Captive, tmp_path: Path) -> None:
        """The client cannot find it in its own input."""
        async with gateway_with(fetching(cache_bytes=0), tmp_path) as (gateway, _):
            first = await gateway.respond(asking(image(URL)))
            captive.answer = lambda _: whole(b"", status="404 Not Found")
            with pytest.raises(InvalidRequest, match="of the history") as caught:
                await gateway.respond({"model": "m", "input": "and?", "previous_response_id": first["id"]})
        assert caught.value.param == "input"

    async def test_the_number_of_urls_is_limited(self, captive: Captive, tmp_path: Path) -> None:
        """The same URL twice is one; one too many is refused before any is fetched."""
        remote = fetching(max_count=2)
        async with gateway_with(remote, tmp_path) as (gateway, _):
            await gateway.respond(asking(image(URL), image(URL), image(URL + "?2")))
            assert sorted(captive.paths) == ["/a.png", "/a.png?2"]
            with pytest.raises(InvalidRequest) as caught:
                await gateway.respond(asking(*(image(f"{URL}?x{number}") for number in range(3))))
        assert (caught.value.code, caught.value.param) == ("image_file_too_large", "input[0].content[2].image_url")
        assert len(captive.paths) == 2

    async def test_the_bytes_of_a_turn_are_limited_together(self, captive: Captive, tmp_path: Path) -> None:
        """Two images that fit one by one do not fit together; what is remembered counts like what is fetched."""
        remote = fetching(max_bytes=len(PNG) + 5)
        async with gateway_with(remote, tmp_path) as (gateway, answers):
            await gateway.respond(asking(image(URL)))
            await gateway.respond(asking(image(URL + "?2")))
            for _ in range(2):
                with pytest.raises(InvalidRequest) as caught:
                    await gateway.respond(asking(image(URL), image(URL + "?2")))
                assert caught.value.code == "image_file_too_large"
        assert len(answers.requests) == 2

    async def test_images_of_tool_outputs_are_fetched(self, captive: Captive, tmp_path: Path) -> None:
        """Wherever content stands, a URL in it is found."""
        items: list[dict[str, object]] = [
            {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": [image(URL)]},
        ]
        async with gateway_with(fetching(), tmp_path, tool_output_images=True) as (gateway, answers):
            await gateway.respond({"model": "m", "input": items})
            items[1]["output"] = [image("http://127.0.0.1/")]
            with pytest.raises(InvalidRequest) as caught:
                await gateway.respond({"model": "m", "input": items})
        assert DATA.encode() in answers.requests[0].body
        assert caught.value.param == "input[1].output[0].image_url"

    async def test_a_compaction_reads_the_image_and_keeps_its_url(self, captive: Captive, tmp_path: Path) -> None:
        """The model that summarises is given data; the messages that are given back have the client's URL."""
        async with gateway_with(fetching(), tmp_path) as (gateway, answers):
            compacted = await gateway.compact(asking(image(URL)))
        assert DATA.encode() in answers.requests[0].body
        assert compacted["output"][0]["content"][0]["image_url"] == URL

    async def test_a_background_turn_fails_with_the_reason(self, captive: Captive, tmp_path: Path) -> None:
        """It has been answered by then, so its response says what was wrong."""
        async with gateway_with(fetching(), tmp_path) as (gateway, _):
            queued = await gateway.respond(asking(image("http://127.0.0.1/"), background=True))
            async with asyncio.timeout(30):
                while (response := await gateway.retrieve(queued["id"]))["status"] in ("queued", "in_progress"):
                    await asyncio.sleep(0.01)
        assert response["status"] == "failed"
        assert "Error while downloading the image" in response["error"]["message"]

    async def test_tenants_do_not_share_what_was_fetched(self, captive: Captive, tmp_path: Path) -> None:
        """Nobody can tell by the time what others have asked for: each tenant's URL is fetched for itself."""
        remote = fetching()
        async with gateway_with(remote, tmp_path) as (gateway, _):
            for tenant in ("a", "b", "a"):
                await gateway.respond(asking(image(URL), store=False), Principal(tenant=tenant))  # type: ignore[arg-type]
        assert captive.paths == ["/a.png"] * 2
        assert remote.cache.size_bytes == 0  # closed: forgotten

    async def test_what_was_fetched_is_kept_for_a_while_and_within_its_limit(
        self, captive: Captive, tmp_path: Path
    ) -> None:
        """After its time it is fetched again; the oldest gives way to the newest."""
        clock = FixedClock()
        remote = fetching(clock=clock, cache_s=100.0, cache_bytes=4 * len(PNG))
        async with gateway_with(remote, tmp_path, replies=9) as (gateway, _):
            for number in (1, 1, 2, 3, 4, 5):
                await gateway.respond(asking(image(f"{URL}?{number}")))
            assert remote.cache.size_bytes == 4 * len(PNG)
            await gateway.respond(asking(image(f"{URL}?1")))
            clock.advance(101.0)
            await gateway.respond(asking(image(f"{URL}?5")))
        assert captive.paths == [f"/a.png?{number}" for number in (1, 2, 3, 4, 5, 1, 5)]


class TestRefuse:
    async def test_urls_are_refused_by_name(self, captive: Captive, tmp_path: Path) -> None:
        """A 400 that names the field, before anything is asked; data is taken."""
        async with gateway_with(RemoteContents(None), tmp_path) as (gateway, answers):
            await gateway.respond(asking(image(DATA)))
            for body in (asking(image(URL)), asking(image(URL), background=True)):
                with pytest.raises(UnsupportedParameter) as caught:
                    await gateway.respond(body)
                assert caught.value.param == "input[0].content[0].image_url"
        assert len(answers.requests) == 1
        assert captive.lookups == []

    async def test_files_are_refused_like_images(self, tmp_path: Path) -> None:
        """The field of a file has another name."""
        async with gateway_with(RemoteContents(None), tmp_path) as (gateway, _):
            with pytest.raises(UnsupportedParameter) as caught:
                await gateway.respond(asking({"type": "input_file", "file_url": "https://public.example/a.pdf"}))
        assert caught.value.param == "input[0].content[0].file_url"


class TestPass:
    async def test_by_default_urls_go_to_the_upstream(self, captive: Captive, tmp_path: Path) -> None:
        """The gateway looks nothing up and connects nowhere."""
        async with gateway_with(None, tmp_path) as (gateway, answers):
            await gateway.respond(asking(image(URL)))
        assert asked(answers)["messages"][0]["content"][0]["image_url"]["url"] == URL
        assert (captive.lookups, captive.attempts) == ([], [])
