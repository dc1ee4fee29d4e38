"""Model servers that people run themselves, found on their usual ports of this machine."""

from __future__ import annotations

from antiphon.app.presets.preset import Preset
from antiphon.hub.upstream import UpstreamDefaults

__all__ = ["LOCAL"]


def _at(port: int) -> UpstreamDefaults:
    return UpstreamDefaults(base_url=f"http://127.0.0.1:{port}/v1")


LOCAL = (
    Preset(
        name="ollama",
        title="Ollama",
        defaults=_at(11434),
        quirks={
            "reasoning_field": "reasoning",
            "parallel_tool_calls": False,
            "refuse": ["verbosity"],
            "drop": ["user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "service_tier"],
        },
        note="Ignores every field that it does not know.",
        source="https://docs.ollama.com/api/openai-compatibility",
        port=11434,
    ),
    Preset(
        name="lm_studio",
        title="LM Studio",
        defaults=_at(1234),
        quirks={"response_formats": ["json_schema"]},
        source="https://lmstudio.ai/docs/advanced/structured-output",
        port=1234,
    ),
    Preset(
        name="llamacpp",
        title="llama.cpp",
        defaults=_at(8080),
        # It keeps a prompt that it has read, so that counting its tokens costs little.
        quirks={"counting": "completion"},
        source="https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md",
        port=8080,
        owners=("llamacpp",),
    ),
    Preset(
        name="vllm",
        title="vLLM",
        defaults=_at(8000),
        quirks={"no_effort": "chat_template_kwargs"},
        source="https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
        port=8000,
        owners=("vllm",),
    ),
    Preset(
        name="sglang",
        title="SGLang",
        defaults=_at(30000),
        quirks={"no_effort": "chat_template_kwargs"},
        source="https://docs.sglang.io/docs/basic_usage/openai_api_completions",
        port=30000,
        owners=("sglang",),
    ),
)
