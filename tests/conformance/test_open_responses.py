"""The runner of the Open Responses suite tells what the suite told; the suite itself is not part of the project."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from tests.conformance.open_responses import SuiteUnusable, main, run_suite
from tests.conformance.stage import Outcome, Stage, print_report

_STAGE = Stage(base_url="http://127.0.0.1:1/v1", model="some-model", excused={})


def _runtime(folder: Path, script: str) -> str:
    """An executable in place of bun."""
    program = folder / "runtime"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(program)


async def test_the_suites_results_are_taken_over(tmp_path: Path) -> None:
    """A test passed if the suite says so; one that it skipped did not."""
    results = [
        {"id": "basic", "status": "passed", "errors": []},
        {"id": "images", "status": "failed", "errors": ["HTTP 400"]},
        {"id": "sockets", "status": "skipped", "errors": ["no browser"]},
    ]
    (tmp_path / "results.json").write_bytes(orjson.dumps({"results": results}))
    outcomes = await run_suite(tmp_path, _runtime(tmp_path, "cat results.json; exit 1"), _STAGE)
    assert outcomes == [
        Outcome(test="basic", passed=True, errors=[]),
        Outcome(test="images", passed=False, errors=["HTTP 400"]),
        Outcome(test="sockets", passed=False, errors=["no browser"]),
    ]


async def test_the_suite_is_told_where_the_gateway_is(tmp_path: Path) -> None:
    """Its address and the model's name are on the command line."""
    runtime = _runtime(tmp_path, 'echo "$@" > arguments; echo \'{"results": []}\'')
    assert await run_suite(tmp_path, runtime, _STAGE) == []
    told = (tmp_path / "arguments").read_text()
    assert "run bin/compliance-test.ts --json -u http://127.0.0.1:1/v1" in told
    assert "-m some-model" in told


@pytest.mark.parametrize("script", ["echo broken >&2; exit 3", "echo '{}'"], ids=["no-json", "no-results"])
async def test_a_suite_that_does_not_run_is_no_success(tmp_path: Path, script: str) -> None:
    """Without a result there is an error, with what the suite printed."""
    with pytest.raises(SuiteUnusable):
        await run_suite(tmp_path, _runtime(tmp_path, script), _STAGE)


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message says what was expected there."""
    with pytest.raises(SystemExit) as ended:
        main(["--checkout", str(tmp_path)])
    assert ended.value.code == 2
    assert "openresponses/openresponses" in capsys.readouterr().err


def test_the_report_says_what_failed_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    """An excused failure is told apart from one that counts."""
    outcomes = [Outcome(test="a", passed=True), Outcome(test="b", passed=False, errors=["HTTP 500"])]
    print_report("Suite", [*outcomes, Outcome(test="c", passed=False, errors=["HTTP 400"])], {"c": "no eyes"})
    assert capsys.readouterr().out.splitlines() == [
        "",
        "Suite: 1 of 3 passed",
        "  pass  a",
        "  FAIL  b",
        "        HTTP 500",
        "  n/a   c (no eyes)",
    ]
