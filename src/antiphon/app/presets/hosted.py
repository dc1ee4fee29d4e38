"""
Vendors with an API of their own that speaks Chat Completions.

What a vendor's documentation does not say is left at the common ground of the dialect. A field that the vendor does not
take is refused if it changes what the model says, and left out and reported if it does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from antiphon.app.presets.preset import Preset
from antiphon.hub.upstream import KeyPlace, UpstreamDefaults

__all__ = ["HOSTED"]

_OPENAI: Mapping[str, object] = MappingProxyType(
    {
        "max_tokens_field": "max_completion_tokens",
        "developer_role": "developer",
        "named_tool_choice": "native",
        "custom_tools": "native",
        "files": True,
        "assistant_refusal": "field",
        "cache_key": True,
    }
)
# What is about bookkeeping, caching and billing: the model says the same without it.
_END_USER = ("user", "safety_identifier")
_CACHING = ("prompt_cache_key", "prompt_cache_retention")
_LOGPROBS = ("logprobs", "top_logprobs")

_ZHIPU: Mapping[str, object] = MappingProxyType(
    {
        "response_formats": ["json_object"],
        "no_effort": "thinking",
        "parallel_tool_calls": False,
        "stream_usage": False,  # sent without being asked for
        "rename": {"safety_identifier": "user_id", "user": "user_id"},
        "refuse": ["tool_choice", "presence_penalty", "frequency_penalty", *_LOGPROBS, "verbosity"],
        "drop": [*_CACHING, "service_tier"],
    }
)

HOSTED = (
    Preset(
        name="openai",
        title="OpenAI",
        defaults=UpstreamDefaults(base_url="https://api.openai.com/v1", key_variable="OPENAI_API_KEY"),
        quirks=_OPENAI,
        note="Its newer API is the dialect `openai_responses`.",
        source="https://platform.openai.com/docs/api-reference/chat/create",
    ),
    Preset(
        name="azure_openai",
        title="Azure OpenAI",
        defaults=UpstreamDefaults(
            base_url="{AZURE_OPENAI_ENDPOINT}/openai/v1",
            key_variable="AZURE_OPENAI_API_KEY",
            key_place=KeyPlace("api-key", ""),
        ),
        quirks=_OPENAI,
        note="The v1 API. A model is called by the name of its deployment, which the list of models does not have: "
        "write them under `models`. For a preview: `query: {api-version: preview}`.",
        source="https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle",
    ),
    Preset(
        name="deepseek",
        title="DeepSeek",
        defaults=UpstreamDefaults(base_url="https://api.deepseek.com", key_variable="DEEPSEEK_API_KEY"),
        quirks={
            # A call's reasoning has to come back in every later request.
            "replay_reasoning": "always",
            "missing_reasoning": "blank",
            "response_formats": ["json_object"],
            "no_effort": "thinking",
            "parallel_tool_calls": False,
            "rename": {"safety_identifier": "user_id", "user": "user_id"},
            "refuse": ["verbosity"],
            "drop": [*_CACHING, "service_tier"],
        },
        note="While it thinks, it ignores temperature, top_p and penalties.",
        source="https://api-docs.deepseek.com/guides/thinking_mode",
    ),
    Preset(
        name="groq",
        title="Groq",
        defaults=UpstreamDefaults(base_url="https://api.groq.com/openai/v1", key_variable="GROQ_API_KEY"),
        quirks={
            "max_tokens_field": "max_completion_tokens",
            "named_tool_choice": "native",
            "reasoning_field": "reasoning",
            "refuse": [*_LOGPROBS, "verbosity"],
            "drop": ["safety_identifier", *_CACHING],
        },
        note="Refuses every field that it does not know.",
        source="https://console.groq.com/docs/openai",
    ),
    Preset(
        name="mistral",
        title="Mistral",
        defaults=UpstreamDefaults(base_url="https://api.mistral.ai/v1", key_variable="MISTRAL_API_KEY"),
        quirks={
            "tool_call_ids": "alphanumeric_9",
            "reasoning_field": "thinking",
            "cache_key": True,
            "stream_usage": False,  # sent without being asked for
            "refuse": [*_LOGPROBS, "verbosity"],
            "drop": [*_END_USER, "prompt_cache_retention", "service_tier"],
        },
        note="Refuses every field that it does not know.",
        source="https://github.com/mistralai/client-python",
    ),
    Preset(
        name="xai",
        title="xAI",
        defaults=UpstreamDefaults(base_url="https://api.x.ai/v1", key_variable="XAI_API_KEY"),
        quirks={"max_tokens_field": "max_completion_tokens", "named_tool_choice": "native"},
        note="Counts reasoning beside the output, which is put right. Its reasoning models refuse penalties, and most "
        "of them an effort.",
        source="https://docs.x.ai/docs/guides/reasoning",
    ),
    Preset(
        name="openrouter",
        title="OpenRouter",
        defaults=UpstreamDefaults(base_url="https://openrouter.ai/api/v1", key_variable="OPENROUTER_API_KEY"),
        quirks={"named_tool_choice": "native", "files": True},
        note="Sealed reasoning (`reasoning_details`) is kept and goes back. What a model's host does not know is left "
        "out there.",
        source="https://openrouter.ai/docs/api-reference/overview",
    ),
    Preset(
        name="fireworks",
        title="Fireworks",
        defaults=UpstreamDefaults(base_url="https://api.fireworks.ai/inference/v1", key_variable="FIREWORKS_API_KEY"),
        quirks={
            "cache_key": True,
            "stream_usage": False,  # sent without being asked for
            "refuse": ["verbosity"],
            "drop": ["safety_identifier", "prompt_cache_retention"],
        },
        note="Refuses every field that it does not know.",
        source="https://docs.fireworks.ai/guides/reasoning",
    ),
    Preset(
        name="together",
        title="Together",
        defaults=UpstreamDefaults(base_url="https://api.together.xyz/v1", key_variable="TOGETHER_API_KEY"),
        quirks={"refuse": list(_LOGPROBS)},
        note="Its log probabilities have another form, in the request and in the reply.",
        source="https://github.com/togethercomputer/together-py",
    ),
    Preset(
        name="cohere",
        title="Cohere",
        defaults=UpstreamDefaults(base_url="https://api.cohere.ai/compatibility/v1", key_variable="COHERE_API_KEY"),
        quirks={
            "developer_role": "developer",
            "parallel_tool_calls": False,
            "refuse": ["tool_choice", *_LOGPROBS, "verbosity"],
            "drop": [*_END_USER, *_CACHING, "service_tier"],
        },
        note="The compatibility endpoint. Takes the efforts `none` and `high`.",
        source="https://docs.cohere.com/docs/compatibility-api",
    ),
    Preset(
        name="gemini_openai",
        title="Gemini",
        defaults=UpstreamDefaults(
            base_url="https://generativelanguage.googleapis.com/v1beta/openai", key_variable="GEMINI_API_KEY"
        ),
        quirks={
            "parallel_tool_calls": False,
            "refuse": ["verbosity"],
            "drop": [*_END_USER, *_CACHING, "service_tier"],
        },
        note="The compatible endpoint; its own API is the dialect `gemini`. Thought signatures are kept and go back.",
        source="https://ai.google.dev/gemini-api/docs/openai",
        is_looked_for=False,
    ),
    Preset(
        name="moonshot",
        title="Moonshot (Kimi)",
        defaults=UpstreamDefaults(base_url="https://api.moonshot.ai/v1", key_variable="MOONSHOT_API_KEY"),
        quirks={
            "max_tokens_field": "max_completion_tokens",
            "replay_reasoning": "always",
            "missing_reasoning": "blank",
            "no_effort": "thinking",
            "cache_key": True,
            "refuse": ["tool_choice", "verbosity"],
            "drop": ["prompt_cache_retention", "service_tier"],
        },
        note="In China: `base_url: https://api.moonshot.cn/v1`. A call cannot be demanded.",
        source="https://platform.kimi.ai/docs/api/chat",
    ),
    Preset(
        name="modelscope",
        title="ModelScope",
        defaults=UpstreamDefaults(
            base_url="https://api-inference.modelscope.cn/v1", key_variable="MODELSCOPE_SDK_TOKEN"
        ),
        quirks={"no_effort": "enable_thinking"},
        note="What it does with further fields is not documented: the common ground.",
        source="https://modelscope.cn/docs/model-service/API-Inference/intro",
    ),
    Preset(
        name="siliconflow",
        title="SiliconFlow",
        defaults=UpstreamDefaults(base_url="https://api.siliconflow.cn/v1", key_variable="SILICONFLOW_API_KEY"),
        quirks={"no_effort": "enable_thinking"},
        note="Outside China: `base_url: https://api.siliconflow.com/v1`. What it does with further fields is not "
        "documented: the common ground.",
        source="https://docs.siliconflow.cn/docs/api/chat-completions-post",
    ),
    Preset(
        name="stepfun",
        title="StepFun",
        defaults=UpstreamDefaults(base_url="https://api.stepfun.com/v1", key_variable="STEP_API_KEY"),
        quirks={"reasoning_field": "reasoning", "response_formats": ["json_object"]},
        note="Outside China: `base_url: https://api.stepfun.ai/v1`.",
        source="https://platform.stepfun.ai/docs/en/api-reference/chat/chat-completion-create",
    ),
    Preset(
        name="zhipu",
        title="Zhipu (BigModel)",
        defaults=UpstreamDefaults(base_url="https://open.bigmodel.cn/api/paas/v4", key_variable="ZHIPUAI_API_KEY"),
        quirks=_ZHIPU,
        note="A call cannot be demanded. An end user's id has six characters at least.",
        source="https://docs.bigmodel.cn/api-reference/%E6%A8%A1%E5%9E%8B-api/%E5%AF%B9%E8%AF%9D%E8%A1%A5%E5%85%A8",
    ),
    Preset(
        name="zai",
        title="Z.ai",
        defaults=UpstreamDefaults(base_url="https://api.z.ai/api/paas/v4", key_variable="ZAI_API_KEY"),
        quirks=_ZHIPU,
        note="Zhipu outside China. A call cannot be demanded.",
        source="https://docs.z.ai/api-reference/llm/chat-completion",
    ),
)
