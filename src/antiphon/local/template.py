"""
The local model's chat template.

The template inside the GGUF ignores tools and puts a poor system prompt first. This one writes ChatML turns with a
neutral system prompt, knows the ``developer`` role, and writes tool calls as JSON between ``<tool_call>`` tags. A model
of 135M parameters begins a tool call only when it has seen some: so a few example calls are added, but only when tools
are offered and it is the user who has spoken last. Without tools nothing is added, and the prompt is what the client
said.
"""

from __future__ import annotations

__all__ = ["CHAT_TEMPLATE"]

_SYSTEM = "You are a helpful assistant. Answer in one short sentence."

# Macros first. `text` flattens content parts; `call` writes one tool call, whose arguments a client may have sent as
# a string of JSON or as an object.
CHAT_TEMPLATE = (
    """\
{%- macro text(content) -%}
{%- if content is string -%}{{ content }}
{%- elif content is iterable -%}
{%- for part in content -%}{%- if part.text is defined -%}{{ part.text }}{%- endif -%}{%- endfor -%}
{%- endif -%}
{%- endmacro -%}
{%- macro call(function) -%}
{{ '<tool_call>\\n{"name": "' + function.name + '", "arguments": ' }}
{{- function.arguments if function.arguments is string else function.arguments | tojson }}
{{- '}\\n</tool_call>' }}
{%- endmacro -%}
{%- macro example(question, name, arguments) -%}
{{ '<|im_start|>user\\n' + question + '<|im_end|>\\n<|im_start|>assistant\\n<tool_call>\\n{"name": "' + name }}
{{- '", "arguments": ' + arguments + '}\\n</tool_call><|im_end|>\\n' }}
{%- endmacro -%}
{%- set system = namespace(text='') -%}
{%- for message in messages if message.role in ('system', 'developer') -%}
{%- set system.text = system.text + ('\\n\\n' if system.text else '') + text(message.content) -%}
{%- endfor -%}
{{ '<|im_start|>system\\n' + (system.text or '"""
    + _SYSTEM
    + """') }}
{%- if tools -%}
{{ '\\n\\nYou can call these functions:\\n<tools>\\n' }}
{%- for tool in tools -%}{{ tool.function | tojson + '\\n' }}{%- endfor -%}
{{ '</tools>\\nTo call one, answer only with\\n<tool_call>\\n{"name": ..., "arguments": ...}\\n</tool_call>' }}
{%- endif -%}
{{ '<|im_end|>\\n' }}
{%- if tools and messages[-1].role == 'user' -%}
{{ example('Search the web for penguins', 'search', '{"query": "penguins"}') }}
{{- example('What time is it in Rome?', 'get_time', '{"city": "Rome"}') }}
{{- example('Add 2 and 3', 'add', '{"a": 2, "b": 3}') }}
{{- example('Send Tom the message: see you soon', 'send_message', '{"to": "Tom", "text": "see you soon"}') }}
{%- endif -%}
{%- for message in messages if message.role not in ('system', 'developer') -%}
{%- if message.role == 'tool' -%}
{{ '<|im_start|>user\\n<tool_response>\\n' + text(message.content) + '\\n</tool_response><|im_end|>\\n' }}
{%- else -%}
{{ '<|im_start|>' + message.role + '\\n' + text(message.content) }}
{%- if message.tool_calls -%}
{%- for tool_call in message.tool_calls -%}{{ call(tool_call.function) }}{%- endfor -%}
{%- endif -%}
{{ '<|im_end|>\\n' }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}
"""
)
