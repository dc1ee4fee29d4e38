"""The configuration file: what it may say, and how a mistake in it is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from antiphon.settings import Secret, Settings, SettingsError

EVERYTHING = """\
server: {host: 127.0.0.1, port: 9090, allowed_hosts: [gate.example], cors_origins: ["https://app.example"]}
store: "memory:"
upstreams:
  - name: local
    provider: openai_chat
    base_url: "http://127.0.0.1:9000/v1"
    api_key: "${LOCAL_KEY}"
    models: [a, b]
    timeouts: {connect_s: 1, first_byte_s: 2.5, idle_s: 3}
    quirks: {unsupported_tools: drop, drop: [seed]}
  - {name: other, base_url: "https://other.example/v1"}
models:
  - {name: fast, targets: [{upstream: local, model: a}, {upstream: other, model: c}]}
responses: {retention_days: 7, on_disconnect: continue, done_sentinel: false, unknown_parameters: ignore}
log_level: debug
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "antiphon.yaml"
    path.write_text(text)
    return path


def problems(folder: Path, text: str, **env: str) -> list[str]:
    """What is said about a file, each line without the folder's name."""
    with pytest.raises(SettingsError) as caught:
        Settings.load(written(folder, text), env)
    return str(caught.value).replace(f"{folder}/", "").split("\n")


def test_every_key_arrives(tmp_path: Path) -> None:
    """A file that says everything is read as it is written."""
    settings = Settings.load(written(tmp_path, EVERYTHING), {"LOCAL_KEY": "sk-1"})

    local, other = settings.upstreams
    assert (settings.server.port, settings.server.allowed_hosts) == (9090, ("gate.example",))
    assert (settings.store, settings.log_level) == ("memory:", "debug")
    assert (local.api_key, local.models) == (Secret("sk-1"), ("a", "b"))
    assert (local.timeouts.connect_s, local.timeouts.first_byte_s) == (1.0, 2.5)
    assert local.quirks == {"unsupported_tools": "drop", "drop": ["seed"]}
    assert (other.provider, other.models, other.api_key) == ("openai_chat", None, None)
    assert [(target.upstream, target.model) for target in settings.models[0].targets] == [
        ("local", "a"),
        ("other", "c"),
    ]
    assert (settings.responses.on_disconnect, settings.responses.done_sentinel) == ("continue", False)


@pytest.mark.parametrize("text", ["", "# nothing\n", "server:\nresponses:\n"], ids=["empty", "a comment", "empty keys"])
def test_a_file_that_says_nothing(tmp_path: Path, text: str) -> None:
    """What is not said has its default."""
    assert Settings.load(written(tmp_path, text)) == Settings()


def test_the_defaults() -> None:
    """Without any source: loopback, one SQLite file, thirty days."""
    settings = Settings.load()

    assert (settings.server.host, settings.server.port, settings.store) == ("127.0.0.1", 8080, "sqlite:///antiphon.db")
    assert (settings.server.max_body_bytes, settings.server.max_json_depth) == (32 * 1024 * 1024, 64)
    assert (settings.responses.retention_days, settings.responses.on_disconnect) == (30, "cancel")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("server: {}\nsevrer: {}\n", ["antiphon.yaml:2: unknown key 'sevrer'; did you mean 'server'?"]),
        ("server:\n  host: 127.0.0.1\n  prot: 1\n", [
            "antiphon.yaml:3: unknown key 'prot' in server; did you mean 'port'?",
        ]),
        ("upstreams:\n- name: a\n  base_url: http://a/v1\n  timeouts:\n    idle: 3\n", [
            "antiphon.yaml:5: unknown key 'idle' in upstreams[0].timeouts; did you mean 'idle_s'?",
        ]),
        ("server: {port: 80808}\n", ["antiphon.yaml:1: server.port: expected `int` <= 65535"]),
        ("server:\n  port: eighty\n", ["antiphon.yaml:2: server.port: expected `int`, got `str`"]),
        ("server:\n  port: '8080'\n", ["antiphon.yaml:2: server.port: expected `int`, got `str`"]),
        ("server: 5\n", ["antiphon.yaml:1: server: must be a mapping of keys to values"]),
        ("- a\n", ["antiphon.yaml:1: the file must be a mapping of keys to values"]),
        ("upstreams: 7\n", ["antiphon.yaml:1: upstreams: expected `array`, got `int`"]),
        ("\nresponses: {on_disconnect: stop}\n", [
            "antiphon.yaml:2: responses.on_disconnect: invalid enum value 'stop'",
        ]),
        ("responses: {done_sentinel: 3}\n", ["antiphon.yaml:1: responses.done_sentinel: expected `bool`, got `int`"]),
        ("upstreams:\n  - base_url: http://a/v1\n", ["antiphon.yaml:2: upstreams[0]: has no 'name', which it needs"]),
        ("store: 'memory:'\nstore: b\n", ["antiphon.yaml:2: 'store' stands here twice (first on line 1)"]),
        ("upstreams:\n  - {name: a, base_url: http://a/v1, api_key: 12345}\n", [
            "antiphon.yaml:2: upstreams[0].api_key: expected a string; put it in quotes",
        ]),
        ("upstreams:\n  - {name: a, base_url: http://a/v1, api_key: ''}\n", [
            "antiphon.yaml:2: upstreams[0].api_key: is empty; leave the key out if there is none",
        ]),
        ("models:\n  - name: a\n    targets: []\n", [
            "antiphon.yaml:3: models[0].targets: expected `array` of length >= 1",
        ]),
        ("a: &x\n  b: *x\n", None),
        ("server: {port: !!python/name:os.system x}\n", None),
        ("server: {port: 2024-13-45}\n", None),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line(tmp_path: Path, text: str, expected: list[str] | None) -> None:
    """Each mistake names the file, the line, the key and what is wrong with it."""
    said = problems(tmp_path, text)

    if expected is None:
        assert all(line.startswith("antiphon.yaml:") for line in said)
    else:
        assert said == expected


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """Nobody has to mend one line after the other to hear of the next."""
    said = problems(tmp_path, "server: {prot: 1, port: x}\nresponses:\n  retention_days: -1\nlog_level: loud\n")

    assert [line.split(": ")[0] for line in said] == [
        "antiphon.yaml:1", "antiphon.yaml:1", "antiphon.yaml:3", "antiphon.yaml:4",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("server: {port: 1\n", 2, "not valid YAML"),
        ("server:\n\tport: 1\n", 2, "not valid YAML"),
        ("store: *nowhere\n", 1, "not valid YAML"),
    ],
    ids=["open bracket", "tab", "unknown anchor"],
)
def test_what_is_not_yaml(tmp_path: Path, text: str, line: int, said: str) -> None:
    """A syntax error is told with its line."""
    [problem] = problems(tmp_path, text)

    assert problem.startswith(f"antiphon.yaml:{line}: ")
    assert said in problem


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing file, a folder, and bytes that are no text are told by name."""
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "control.yaml").write_bytes(b"store: \x01\n")

    for name in ("missing.yaml", ".", "binary.yaml", "control.yaml"):
        with pytest.raises(SettingsError) as caught:
            Settings.load(tmp_path / name)
        assert str(tmp_path) in str(caught.value)


class TestInterpolation:
    def test_a_variable_in_a_string(self, tmp_path: Path) -> None:
        """``${NAME}`` is replaced wherever it stands in a string, several times too."""
        text = 'store: "sqlite:///${FOLDER}/${NAME}.db"\n'

        assert Settings.load(written(tmp_path, text), {"FOLDER": "/a", "NAME": "b"}).store == "sqlite:////a/b.db"

    def test_a_number_from_a_variable(self, tmp_path: Path) -> None:
        """A number may come from a variable, although variables are text."""
        assert Settings.load(written(tmp_path, "server: {port: '${P}'}\n"), {"P": "81"}).server.port == 81

    def test_a_literal(self, tmp_path: Path) -> None:
        """``$${`` stands for ``${``; a lone dollar sign is itself."""
        text = 'upstreams: [{name: "a$b", base_url: "http://a/v1", api_key: "$${X}$"}]\n'

        settings = Settings.load(written(tmp_path, text))

        assert settings.upstreams[0].name == "a$b"
        assert settings.upstreams[0].api_key == Secret("${X}$")

    def test_a_missing_variable(self, tmp_path: Path) -> None:
        """A variable that is not set is named with the line; the default of another gateway's key is never taken."""
        said = problems(tmp_path, 'log_level: info\nstore: "sqlite:///${NOWHERE}"\n', OTHER="1")

        assert said[0] == "antiphon.yaml:2: the environment variable NOWHERE is not set"

    @pytest.mark.parametrize("text", ["${}", "${a b}", "${A", "${A:-b}"])
    def test_a_form_that_there_is_not(self, tmp_path: Path, text: str) -> None:
        """What looks like an interpolation and is none is not passed on as it stands."""
        said = problems(tmp_path, f"store: 'sqlite:///{text}'\n", A="1")

        assert "an interpolation is written ${NAME}" in said[0]

    def test_a_variable_is_not_read_again(self, tmp_path: Path) -> None:
        """What a variable holds is taken as it is, even if it looks like an interpolation."""
        text = "upstreams: [{name: a, base_url: 'http://a/v1', api_key: '${A}'}]\n"

        settings = Settings.load(written(tmp_path, text), {"A": "${B}", "B": "no"})

        assert settings.upstreams[0].api_key == Secret("${B}")
