"""
What to put a gateway in front of when nobody said: keys in the environment, and model servers on this machine.

A vendor's key in its usual variable is enough to serve the vendor. Only loopback addresses are asked, all at once and
for a moment; nothing but ``GET /v1/models`` is sent to them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import aiohttp
import msgspec

from antiphon.app import usual_providers
from antiphon.app.presets import LOCAL, PRESETS, Preset
from antiphon.hub.errors import UpstreamError
from antiphon.hub.upstream import UpstreamRequest
from antiphon.settings import TimeoutSettings
from antiphon.transport import HttpTransport, new_session

__all__ = ["USUAL_SERVERS", "Server", "discover"]


class Server(NamedTuple):
    """
    Where a model server may be on this machine.

    Attributes:
        name: Of the upstream that it becomes.
        preset: What it is taken for if its models do not say otherwise; None for any server.
    """

    name: str
    port: int
    preset: Preset | None = None


def _usual(preset: Preset) -> Server:
    assert preset.port is not None
    # Where a server's models say what it is, the port alone says nothing: others listen there as well.
    return Server(preset.name, preset.port, None if preset.owners else preset)


USUAL_SERVERS: tuple[Server, ...] = (*map(_usual, LOCAL), Server("llamacpp-2", 8081))
"""Local model servers and the ports that they take by default."""

_OPENAI = PRESETS["openai"]
_BY_OWNER = {owner: preset for preset in LOCAL for owner in preset.owners}
_MOMENT = TimeoutSettings(connect_s=0.5, first_byte_s=1.0, idle_s=1.0)
_LIST_MODELS = UpstreamRequest(method="GET", path="/models")
_LIMIT_BYTES = 4 * 1024 * 1024


class _Model(msgspec.Struct):
    id: str
    owned_by: object = None


class _Models(msgspec.Struct):
    data: list[_Model]


async def discover(
    environment: Mapping[str, str], servers: Sequence[Server] = USUAL_SERVERS
) -> list[dict[str, object]]:
    """
    Upstreams in the form of the configuration file: vendors first, then local servers in the order of *servers*.

    Takes about a second at most. Empty if there is nothing.
    """
    found = [*_from_environment(environment)]
    async with new_session() as session:
        answers = await asyncio.gather(*(_list_models(session, server.port) for server in servers))
    for server, models in zip(servers, answers, strict=True):
        if models is not None:
            upstream: dict[str, object] = {"name": server.name, "base_url": _local_url(server.port)}
            preset = _preset_of(models) or server.preset
            found.append(upstream if preset is None else {**upstream, "provider": preset.name})
    return found


def _from_environment(environment: Mapping[str, str]) -> Iterator[dict[str, object]]:
    """One upstream for each key: its address and the key itself are filled in like those of a configured one."""
    base_url = environment.get("OPENAI_BASE_URL", "").strip().rstrip("/")
    is_elsewhere = base_url not in ("", _OPENAI.defaults.base_url)
    if is_elsewhere:  # another address is another server, which may know none of OpenAI's own
        key = environment.get(_OPENAI.defaults.key_variable, "").strip()
        yield {"name": "openai", "base_url": base_url, **({"api_key": key} if key else {})}
    for name in usual_providers(environment):
        if not (is_elsewhere and name == _OPENAI.name):
            yield {"name": name, "provider": name}


def _local_url(port: int) -> str:
    return f"http://127.0.0.1:{port}/v1"


def _preset_of(models: Sequence[_Model]) -> Preset | None:
    """The kind of server that says so in its models."""
    owners = (model.owned_by for model in models if isinstance(model.owned_by, str))
    return next((_BY_OWNER[owner] for owner in owners if owner in _BY_OWNER), None)


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
