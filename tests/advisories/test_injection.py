"""Advisories about text that became a statement, a template, an event, a command or an object."""

from __future__ import annotations

import ast
import json
import re
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import antiphon
from tests.advisories.stage import Stage
from tests.support.scripted_upstream import MODEL, delta, finish, http_stream, sse

SOURCE = Path(antiphon.__file__).parent

SQL = (
    "' OR '1'='1", "'; DROP TABLE api_keys; --", "x' UNION SELECT mac FROM api_keys --", '" OR ""="', "\\'; --",
    "sk-antiphon-live-' OR 1=1 --", "%", "_", "a'||(SELECT mac FROM api_keys)||'", "1); ATTACH 'x' AS y; --",
)  # fmt: skip

TEMPLATES = (
    "{{ 7 * 7 }}", "{{ ''.__class__.__mro__[1].__subclasses__() }}", "{% for x in ().__class__ %}{% endfor %}",
    "${7*7}", "{0.__class__}", "%(x)s", "#{7*7}", "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
)  # fmt: skip

LINES = (
    "\n\nevent: response.completed\ndata: {}\n\n",
    "\revent: x\r\r",
    "\r\n\r\ndata: [DONE]\r\n\r\n",
    "\nid: 7\nretry: 1",
)


@cache
def modules() -> tuple[tuple[str, ast.Module], ...]:
    """Every module of the package, parsed."""
    paths = sorted(SOURCE.rglob("*.py"))
    return tuple((str(path.relative_to(SOURCE)), ast.parse(path.read_text(encoding="utf-8"))) for path in paths)


def dotted(node: ast.AST) -> str:
    """``a.b.c`` of a name or an attribute."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    """Every call of the package: where, of what, and the call."""
    for path, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                yield f"{path}:{node.lineno}", dotted(node.func), node


def imports() -> Iterator[tuple[str, str]]:
    """Every import of the package: where, and the outermost module."""
    for path, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                yield from ((f"{path}:{node.lineno}", name.name.partition(".")[0]) for name in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield f"{path}:{node.lineno}", node.module.partition(".")[0]


# SQL.


async def test_cve_2026_42208_a_key_is_sql(stage: Stage) -> None:
    """
    CVE-2026-42208 (LiteLLM): the key of a request was put into the text of the statement that looked it up.

    A key that is SQL is a key that nobody has, and so is an id, a filter, a cursor and an end user.
    """
    kept = (await stage.respond(stage.victim, user="u"))["id"]
    for text in SQL:
        quoted = "".join(f"%{byte:02x}" for byte in text.encode())
        for headers in ([(b"authorization", b"Bearer " + text.encode())], [(b"x-api-key", text.encode())]):
            assert (await stage.call("GET", "/v1/models", headers=headers)).status == 401, text
        for path in (
            f"/v1/responses/{quoted}", f"/v1/responses?after={quoted}", f"/v1/responses?metadata[{quoted}]={quoted}",
            f"/v1/conversations/{quoted}/items", f"/v1/end_users/{quoted}/export", f"/v1/audit?actor={quoted}",
            f"/v1/prompts/{quoted}", f"/v1/responses?model={quoted}",
        ):  # fmt: skip
            answer = await stage.call("GET", path, key=stage.attacker)
            assert answer.status in (200, 400, 404), (path, answer.body)
            assert kept.encode() not in answer.body
        assert (await stage.turn(stage.attacker, previous_response_id=text)).status in (400, 404)
    assert (await stage.call("GET", f"/v1/responses/{kept}", key=stage.victim)).status == 200


def test_cve_2026_42208_no_statement_is_put_together_from_values() -> None:
    """
    CVE-2026-42208 (LiteLLM): a value was part of a statement's text.

    A text that holds SQL is a constant, or put together of constants; and nothing else is executed.
    """
    written = [(path, node) for path, tree in modules() for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    assert {path.partition("/")[0] for path, node in written if _SQL_WORD.search(ast.unparse(node))} == {"stores"}
    sql = [(path, node) for path, node in _in_functions() if _SQL_WORD.search(ast.unparse(node))]
    assert [f"{path}:{node.lineno}" for path, node in sql if not _of_constants(node)] == []
    executed = [
        (where, node.args[0])
        for where, name, node in calls()
        if name.endswith((".execute", ".executemany")) and node.args
    ]
    assert len(executed) > 10
    built = [where for where, text in executed if isinstance(text, ast.BinOp | ast.Call) and not _of_constants(text)]
    assert [where.partition(":")[0] for where in built] == ["stores/sqlite/checking.py"]  # a loop over constant lists


_SQL_WORD = re.compile(r"\b(SELECT .* FROM|INSERT INTO|UPDATE \w+ SET|DELETE FROM|CREATE|DROP|ATTACH)\b", re.DOTALL)


def _in_functions() -> Iterator[tuple[str, ast.JoinedStr]]:
    """Texts with values in them that are put together when something is asked, and not once, at the import."""
    for path, tree in modules():
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                yield from ((path, node) for node in ast.walk(function) if isinstance(node, ast.JoinedStr))


def _of_constants(node: ast.AST) -> bool:
    """Whether every name in an expression is that of a constant."""
    names = [inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)]
    return all(name.lstrip("_").isupper() for name in names)


async def test_cve_2026_25591_wildcards_in_a_search(stage: Stage) -> None:
    """
    CVE-2026-25591 (New API): per cent signs in a search made the database compare everything with everything.

    A filter is compared as it is: a wildcard finds what is written so, and a thousand of them cost no more.
    """
    await stage.respond(stage.victim, metadata={"a": "value"})
    literal = (await stage.respond(stage.victim, metadata={"a": "%"}))["id"]
    found = await stage.call("GET", "/v1/responses?metadata[a]=%25", key=stage.victim)
    assert [each["id"] for each in found.json["data"]] == [literal]
    assert (await stage.call("GET", "/v1/responses?metadata[a]=_alue", key=stage.victim)).json["data"] == []
    began = time.monotonic()
    many = await stage.call("GET", "/v1/responses?metadata[a]=" + "%25_" * 100, key=stage.victim)
    assert many.json["data"] == []
    assert time.monotonic() - began < 5
    statements = [text for _, tree in modules() for text in _texts(tree) if re.search(r"\b(LIKE|GLOB|REGEXP)\b", text)]
    assert [text for text in statements if "SELECT" in text or "DELETE" in text] == []


def _texts(tree: ast.Module) -> Iterator[str]:
    return (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))


# Templates, code, commands, objects.


async def test_ghsa_xqmj_j6mv_4862_a_prompt_is_a_program(stage: Stage) -> None:
    """
    GHSA-xqmj-j6mv-4862, CVE-2024-2952 (LiteLLM): prompts and chat templates of callers were run by a template engine.

    What a caller writes is what the model is told, letter by letter; a prompt's variable is text, and filled in once.
    """
    for text in TEMPLATES:
        await stage.respond(stage.attacker, text, instructions=text)
        assert [message["content"] for message in stage.upstream.last_messages] == [text, text]
    body = {"name": "p", "input": [{"role": "user", "content": "say {{word}}"}], "variables": ["word"]}
    made = await stage.call("POST", "/v1/prompts", body, key=stage.attacker)
    if made.status == 400:  # without a declaration of its variables
        body.pop("variables")
        body.pop("name")
        made = await stage.call("POST", "/v1/prompts", body, key=stage.attacker)
    assert made.status == 200, made.body
    for text in ("{{word}}", *TEMPLATES):
        prompt = {"id": made.json["id"], "variables": {"word": text}}
        answer = await stage.call("POST", "/v1/responses", {"model": MODEL, "prompt": prompt}, key=stage.attacker)
        assert answer.status == 200, answer.body
        assert stage.upstream.last_messages[-1]["content"] == f"say {text}"


def test_cve_2024_2952_nothing_runs_templates() -> None:
    """
    CVE-2024-2952 (LiteLLM): a template engine was at hand where callers' texts were.

    The only template engine that is imported fills in a model's own chat template, in a sandbox, for the local model.
    """
    engines = {"jinja2", "mako", "chameleon", "tornado", "django", "string.Template"}
    assert {where.partition(":")[0] for where, name in imports() if name in engines} <= {"local/template.py"}


def test_cve_2026_40217_callers_code_is_executed() -> None:
    """
    CVE-2026-40217 (LiteLLM): a guardrail was Python that callers wrote, and its sandbox could be left.

    Nothing in the package compiles, evaluates or executes text.
    """
    found = [where for where, name, _ in calls() if name in ("eval", "exec", "compile", "__import__", "builtins.exec")]
    assert found == []
    assert [where for where, name in imports() if name in ("code", "codeop", "runpy", "imp")] == []


async def test_cve_2026_42271_a_request_names_a_program(stage: Stage, tmp_path: Path) -> None:
    """
    CVE-2026-42271 (LiteLLM), CVE-2026-56274 (Flowise): a request named the command of an MCP server, and it was run.

    A tool with a command is refused, whatever it calls itself, and nothing is run.
    """
    proof = tmp_path / "proof"
    for kind in ("mcp", "local_shell", "shell", "stdio", "custom", "function", "code_interpreter"):
        tool: dict[str, object] = {
            "type": kind, "name": "x", "server_label": "x", "server_url": "http://127.0.0.1:9/", "transport": "stdio",
            "command": "touch", "args": [str(proof)], "env": {},
        }  # fmt: skip
        answer = await stage.turn(stage.attacker, tools=[tool])
        assert answer.status == 400, (kind, answer.body)
    assert not proof.exists()
    assert stage.upstream.turns == []


def test_cve_2026_42271_programs_are_named_by_the_operator() -> None:
    """
    CVE-2026-42271 (LiteLLM): programs were started from the request path.

    Only the demonstration with its local model and a configured key service start one, and none of them has a shell.
    """
    starters = (
        "subprocess.",
        "create_subprocess_exec",
        "create_subprocess_shell",
        "os.system",
        "os.popen",
        "os.exec",
        "os.spawn",
    )
    started = [(where.partition(":")[0], name) for where, name, _ in calls() if any(each in name for each in starters)]
    known = {"cli/child.py", "cli/demo.py", "crypto/services/command.py", "local/model.py", "local/weights.py"}
    assert {path for path, _ in started} <= known
    assert started
    shells = [
        where
        for where, name, node in calls()
        if name.endswith(("create_subprocess_shell", "os.system", "os.popen"))
        or any(keyword.arg == "shell" for keyword in node.keywords)
    ]
    assert shells == []


def test_cve_2026_3059_messages_are_pickles() -> None:
    """
    CVE-2026-3059, CVE-2026-3060, CVE-2026-3989 (SGLang), CVE-2024-50050 (Llama Stack), CVE-2026-26220 (LightLLM): bytes
    from elsewhere were unpickled, which runs what they say.

    Nothing that turns bytes into objects of any type is imported; YAML is read by the safe loader alone.
    """
    banned = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib", "jsonpickle", "torch", "zmq"}
    seen = list(imports())
    assert len(seen) > 500
    assert [where for where, name in seen if name in banned] == []
    loads = [(where, node) for where, name, node in calls() if name.startswith("yaml.")]
    assert {dotted(node.func) for _, node in loads} <= {"yaml.compose", "yaml.safe_load", "yaml.SafeLoader"}
    assert all("Safe" in ast.unparse(node) or "safe" in ast.unparse(node) for _, node in loads)
    assert loads


# Events.


@pytest.mark.parametrize("hostile", LINES)
async def test_cve_2026_29085_a_name_ends_an_event(stage: Stage, hostile: str) -> None:
    """
    CVE-2026-29085 (Hono), CVE-2026-33128 (h3), CVE-2026-44214 (eventsource-encoder), CVE-2026-44217 (sse-channel): a
    line break in the text, name or id of an event began another event.

    Whatever an upstream calls things, every event is one of ours, with one line of data, numbered without a gap.
    """
    call = {"index": 0, "id": hostile, "type": "function", "function": {"name": "f", "arguments": "{}"}}
    said = {"role": hostile, "content": hostile, "tool_calls": [call]}
    chunk = {
        "id": hostile, "object": hostile, "created": 1, "model": hostile, "event": hostile,
        "choices": [{"index": 0, "delta": said, "finish_reason": None}],
    }  # fmt: skip
    stage.upstream.then(http_stream(b": " + b"x\n\n" + sse(chunk) + delta(content=hostile) + finish("tool_calls")))
    answer = await stage.turn(stage.victim, stream=True, metadata={"a": hostile})
    assert answer.status == 200
    values: list[Any] = []
    for frame in answer.body.decode().removesuffix("data: [DONE]\n\n").removesuffix("\n\n").split("\n\n"):
        name, data = re.split("\r\n|\r|\n", frame)
        values.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {values[-1]['type']}"
    assert [value["sequence_number"] for value in values] == list(range(len(values)))
    assert [value["type"] for value in values].count("response.completed") == 1
    texts = [value["delta"] for value in values if value["type"] == "response.output_text.delta"]
    assert "".join(texts) == hostile * 2
