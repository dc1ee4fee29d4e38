"""What can be written on the command line, and how mistakes end."""

from __future__ import annotations

from pathlib import Path

import pytest

from antiphon.cli import main
from antiphon.cli.arguments import parse
from antiphon.settings import FLAGS, flag_variable


def test_flags_become_settings() -> None:
    """Each flag that was given is an override by its key; a flag that was not leaves no trace."""
    listening = ["--host", "::1", "--port", "0", "--no-auth"]
    upstreams = ["--upstream", "http://a", "--upstream", "http://b"]

    command = parse(
        ["serve", *listening, *upstreams, "--store", "memory:", "--log-level", "debug", "--config", "a.yaml"], {}
    )

    assert (command.name, command.config) == ("serve", Path("a.yaml"))
    assert command.overrides == {
        "server.host": "::1", "server.port": "0", "store": "memory:", "upstreams": ["http://a", "http://b"],
        "server.no_auth": True, "log_level": "debug",
    }  # fmt: skip
    assert parse(["serve"], {}).overrides == {}


def test_flags_of_the_command_itself_have_variables() -> None:
    """The file, --once and the demo's port can come from the environment; a flag wins."""
    env = {"ANTIPHON_CONFIG": "env.yaml", "ANTIPHON_ONCE": "1", "ANTIPHON_PORT": "81"}

    from_environment, from_flags = parse(["demo"], env), parse(["demo", "--port", "82"], env)

    assert (from_environment.config, from_environment.once, from_environment.port) == (Path("env.yaml"), True, 81)
    assert (from_flags.port, parse(["demo"], {}).once, parse(["demo"], {}).port) == (82, False, None)
    assert parse(["check", "--config", "b.yaml"], env).config == Path("b.yaml")


@pytest.mark.parametrize("command", [["serve"], ["check"], ["demo"], ["store", "check"]], ids=" ".join)
def test_help_names_each_variable(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Every flag's help names its environment variable."""
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])

    text = " ".join(capsys.readouterr().out.split())
    flags = {word.strip("[],") for word in text.split() if word.startswith(("--", "[--"))} - {"--help", "--upstream."}
    assert ended.value.code == 0
    assert flags
    assert not [flag for flag in flags if f"[{flag_variable(flag)}]" not in text]


def test_every_setting_with_a_flag_is_a_flag_of_serve() -> None:
    """The table of flags and the parser say the same."""
    values = {"--port": "1", "--no-auth": None}
    arguments = ["serve"]
    for flag in FLAGS.values():
        value = values.get(flag, "x")
        arguments += [flag] if value is None else [flag, value]

    assert {tuple(key.split(".")) for key in parse(arguments, {}).overrides} == set(FLAGS)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["sing"],
        ["serve", "--prot", "1"],
        ["serve", "--por", "1"],
        ["store"],
        ["demo", "--port", "x"],
        ["check", "x"],
        ["keys"],
        ["keys", "create"],
        ["keys", "create", "--tenant", "a", "--admin"],
        ["keys", "rotate", "x", "--grace", "soon"],
        ["tenants", "create"],
        ["audit", "list"],
    ],
    ids=" ".join,
)
def test_a_command_line_that_cannot_be_read(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A mistake in the command line ends with 2 and is told on stderr; a prefix of a flag is not the flag."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    said = capsys.readouterr()
    assert ended.value.code == 2
    assert said.out == ""
    assert "error:" in said.err


def test_a_mistake_in_the_settings(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Every mistake in the settings is one line on stderr, and the exit code is 2."""
    path = tmp_path / "antiphon.yaml"
    path.write_text("sevrer: {}\nstore: x\n")

    for command in (["serve"], ["check"], ["store", "check"]):
        assert main([*command, "--config", str(path)]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.splitlines()[0] == f"error: {path}:1: unknown key 'sevrer'; did you mean 'server'?"


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ([], "other machines can reach 0.0.0.0, and there is no API key yet"),
        (["--no-auth"], "'0.0.0.0' can be reached from other machines, and --no-auth is for this machine alone"),
    ],
    ids=["no keys yet", "no-auth"],
)
def test_other_addresses_are_refused(
    extra: list[str], expected: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Listening where other machines can come is refused without API keys, and says what to do."""
    store = f"sqlite:///{tmp_path}/a.db"
    serve = ["serve", "--host", "0.0.0.0", "--port", "0", "--store", store]  # noqa: S104 - refused

    code = main([*serve, "--upstream", "http://127.0.0.1:9/v1", *extra])

    said = capsys.readouterr()
    assert (code, said.out) == (2, "")
    assert expected in said.err
    assert "antiphon keys create" in said.err


def test_a_quirk_that_there_is_not(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What only the provider knows is refused too, with 2 and the line."""
    path = tmp_path / "antiphon.yaml"
    path.write_text("upstreams:\n  - name: a\n    base_url: http://127.0.0.1:9/v1\n    quirks: {fils: 1}\n")

    assert main(["check", "--config", str(path), "--store", "memory:"]) == 2
    told = capsys.readouterr().err
    assert f"{path}:4: upstreams[0].quirks: Unknown quirk 'fils'. Did you mean 'files'?" in told
