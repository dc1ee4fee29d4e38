"""
Every example runs against the gateway, with a real model behind it.

The model is tiny, so what is asserted is what the gateway answers for: which items a turn stood on, how a turn ended,
what a client sent. Lines that hold the model's words are not looked at.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.examples.running import EXAMPLES, run_example
from tests.support.gateway_process import GatewayProcess
from tests.support.scripted_upstream import MODEL, ScriptedUpstream, delta, finish, http_stream

pytestmark = [pytest.mark.model, pytest.mark.asyncio(loop_scope="session")]

PYTHON = {
    "openai_responses.py": ["turn 2 saw: ['user', 'assistant', 'user']", "the fork saw items: 3", "read again: True"],
    "openai_conversations.py": [
        "the conversation holds: ['developer', 'user', 'assistant', 'user', 'assistant']",
        "after an edit: 4",
        "kept with it: {'topic': 'names'}",
    ],
    "openai_background.py": [
        "at once: queued",
        "at the end: completed with text: True",
        "the next turn saw items: 3",
        "cancelled: cancelled",
    ],
    "openai_resume.py": ["resumed with event: 7", "no event missing: True", "both halves are the answer: True"],
    "openai_websocket.py": ["turn 2 saw items: 3"],
    "openai_chat.py": [
        "turn 1 ended with: stop",
        "turn 2 counted its prompt: True",
        "whole, the same: True",
        "in the form of the schema: True",
    ],
    "openai_chat_tools.py": ["the model stops for: tool_calls", 'it calls: get_weather {"city": "Rome"}'],
    "openai_chat_stored.py": [
        "it is in the list: True",
        "read again: True",
        "it was asked: ['Hi, my name is Ada.']",
        "kept with it: {'example': 'changed'}",
        "a response went on with items: 3",
        "deleted: True",
    ],
    "openai_embeddings.py": [
        "vectors: 4 of one size: True",
        "tokens were counted: True",
    ],
    "anthropic_messages.py": [
        "turn 1 ended with: end_turn",
        "the final message is the stream: True",
    ],
    "anthropic_tools.py": ["the model stops for: tool_use", "it uses: get_weather {'city': 'Rome'}"],
    "agents_session.py": [
        "the session holds: ['user', 'assistant', 'user', 'assistant']",
        "after taking one back: 3",
    ],
    "agents_tools.py": [
        "items of the run: ['tool_call_item', 'tool_call_output_item', 'message_output_item']",
        "requests: 2",
        "the last request saw: ['message', 'function_call', 'function_call_output']",
    ],
    "agents_compaction.py": [
        "before: ['user', 'message', 'user', 'message']",
        "after: ['message', 'message', 'compaction']",
    ],
    "langchain_chain.py": ["turn 2 continues turn 1: True", "turn 2 saw items: 3", "turn 3 streamed: True"],
    "pydantic_ai_chain.py": ["turn 2 continues turn 1: True", "turn 2 saw items: 3"],
    "pydantic_ai_conversation.py": ["the conversation holds: ['user', 'assistant', 'user', 'assistant']"],
    "pydantic_ai_background.py": ["ran in the background: True completed", "the same answer: True"],
}
JAVASCRIPT = {
    "openai.mjs": [
        "streamed the same: true",
        "turn 2 saw: user, assistant, user",
        "the conversation holds: user, assistant, user, assistant",
    ],
    "ai_sdk.mjs": ["turn 2 sent: user, item_reference, user", "its prompt holds both turns: true"],
    "codex.mjs": ["turn 1 ran commands: 0", "turn 2 ran commands: 0", "the same session: true"],
}


@pytest.mark.parametrize(("name", "expected"), PYTHON.items(), ids=PYTHON)
async def test_a_python_example_runs(name: str, expected: list[str], gateway: GatewayProcess) -> None:
    """It ends well, and prints what its reader is told to expect."""
    lines = await run_example(EXAMPLES / name, gateway.base_url)

    assert expected == [line for line in lines if line in expected], lines


@pytest.mark.parametrize(("name", "expected"), JAVASCRIPT.items(), ids=JAVASCRIPT)
async def test_a_javascript_example_runs(
    name: str, expected: list[str], gateway: GatewayProcess, javascript: Path
) -> None:
    """It ends well, and prints what its reader is told to expect."""
    lines = await run_example(javascript / name, gateway.base_url)

    assert expected == [line for line in lines if line in expected], lines


async def test_every_example_is_run() -> None:
    """No file of the folder is left out above."""
    assert set(PYTHON) == {path.name for path in EXAMPLES.glob("*.py")}
    assert set(JAVASCRIPT) == {path.name for path in (EXAMPLES / "js").glob("*.mjs")}


async def test_codex_runs_a_command_and_resumes(
    scripted: ScriptedUpstream, scripted_gateway: GatewayProcess, javascript: Path
) -> None:
    """
    A model that calls Codex's shell gets the command's result, and a resumed session brings all of it back.

    The local model is too small to be given a shell, so a scripted one has it.
    """
    function = {"name": "exec_command", "arguments": json.dumps({"cmd": "echo from-the-shell"})}
    call = {"index": 0, "id": "call-1", "type": "function", "function": function}
    scripted.then(http_stream(delta(tool_calls=[call]) + finish("tool_calls")))

    lines = await run_example(
        javascript / "codex.mjs", scripted_gateway.base_url, "-c", "features.shell_tool=true", OPENAI_MODEL=MODEL
    )

    assert {"turn 1 ran commands: 1", "turn 2 ran commands: 0", f"turn 2 answers: {scripted.text}"} <= set(lines)
    question, called, result, answer, second_question = scripted.last_messages[-5:]
    assert question == {"role": "user", "content": "Hi, my name is Ada."}
    assert called["tool_calls"][0]["function"] == function
    assert (result["role"], result["tool_call_id"]) == ("tool", called["tool_calls"][0]["id"])
    assert "from-the-shell" in result["content"]
    assert answer == {"role": "assistant", "content": scripted.text}
    assert second_question == {"role": "user", "content": "Complete the sentence: The user's name is"}
