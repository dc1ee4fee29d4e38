"""
What to put a gateway in front of when nobody said: a key in the environment, or model servers on this machine.

Only loopback addresses are asked, all at once and for a moment; nothing but ``GET /v1/models`` is sent to them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import aiohttp
import msgspec

from antiphon.hub.errors import UpstreamError
from antiphon.hub.upstream import UpstreamRequest
from antiphon.settings import TimeoutSettings
from antiphon.transport import HttpTransport, new_session

__all__ = ["LLAMACPP_QUIRKS", "OPENAI_QUIRKS", "USUAL_SERVERS", "discover"]

USUAL_SERVERS: tuple[tuple[str, int], ...] = (
    ("ollama", 11434),
    ("lmstudio", 1234),
    ("llamacpp", 8080),
    ("llamacpp-2", 8081),
    ("vllm", 8000),
)
"""Local model servers and the ports that they take by default."""

OPENAI_QUIRKS: Mapping[str, object] = {
    "max_tokens_field": "max_completion_tokens",
    "developer_role": "developer",
    "named_tool_choice": "native",
    "custom_tools": "native",
    "files": True,
    "assistant_refusal": "field",
}
"""How OpenAI's own server differs from those that are compatible with it."""

LLAMACPP_QUIRKS: Mapping[str, object] = {"counting": "completion"}
"""How llama.cpp's server differs: it keeps a prompt that it has read, so that counting its tokens costs little."""

_OPENAI = "https://api.openai.com/v1"
_MOMENT = TimeoutSettings(connect_s=0.5, first_byte_s=1.0, idle_s=1.0)
_LIST_MODELS = UpstreamRequest(method="GET", path="/models")
_LIMIT_BYTES = 4 * 1024 * 1024


class _Model(msgspec.Struct):
    id: str
    owned_by: object = None


class _Models(msgspec.Struct):
    data: list[_Model]


async def discover(
    environment: Mapping[str, str], servers: Sequence[tuple[str, int]] = USUAL_SERVERS
) -> list[dict[str, object]]:
    """
    Upstreams in the form of the configuration file: OpenAI first, then local servers in the order of *servers*.

    Takes about a second at most. Empty if there is nothing.
    """
    found = _from_environment(environment)
    async with new_session() as session:
        answers = await asyncio.gather(*(_list_models(session, port) for _, port in servers))
    for (name, port), models in zip(servers, answers, strict=True):
        if models is not None:
            found.append({"name": name, "base_url": _local_url(port), **_quirks_of(models)})
    return found


def _from_environment(environment: Mapping[str, str]) -> list[dict[str, object]]:
    key, base_url = environment.get("OPENAI_API_KEY", "").strip(), environment.get("OPENAI_BASE_URL", "").strip()
    if not (key or base_url):
        return []
    base_url = (base_url or _OPENAI).rstrip("/")
    upstream: dict[str, object] = {"name": "openai", "base_url": base_url}
    if key:
        upstream["api_key"] = key
    if base_url == _OPENAI:  # another address is another server, which may know none of this
        upstream["quirks"] = dict(OPENAI_QUIRKS)
    return [upstream]


def _local_url(port: int) -> str:
    return f"http://127.0.0.1:{port}/v1"


def _quirks_of(models: Sequence[_Model]) -> dict[str, object]:
    is_llamacpp = any(model.owned_by == "llamacpp" for model in models)
    return {"quirks": dict(LLAMACPP_QUIRKS)} if is_llamacpp else {}


async def _list_models(session: aiohttp.ClientSession, port: int) -> list[_Model] | None:
    """What a model server on this port lists; None if there is none."""
    transport = HttpTransport(f"127.0.0.1:{port}", _local_url(port), timeouts=_MOMENT, session=session)
    try:
        reply = await transport.send(_LIST_MODELS)
        try:
            # Another Antiphon is no model server: a gateway in front of itself would keep everything twice.
            if reply.status != 200 or any(name.startswith("x-antiphon-") for name in reply.headers):
                return None
            return msgspec.json.decode(await reply.read_all(_LIMIT_BYTES), type=_Models).data
        finally:
            await reply.close()
    except (UpstreamError, msgspec.DecodeError):
        return None  # nobody there, or somebody else
