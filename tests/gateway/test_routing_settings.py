"""From the configuration to the targets of a name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from antiphon.app import Application, build_application
from antiphon.engine.budgets import BudgetPolicy
from antiphon.engine.deadlines import Deadlines
from antiphon.engine.gates import Capacity
from antiphon.engine.health import HealthPolicy
from antiphon.engine.target import Target
from antiphon.settings import Settings, SettingsError

UPSTREAMS = """\
store: "memory:"
upstreams:
  - {name: gpu-a, base_url: "http://127.0.0.1:9001/v1", account: gpus, capacity: {max_parallel: 8}}
  - {name: gpu-b, base_url: "http://127.0.0.1:9002/v1", account: gpus, timeouts: {total_s: 600, first_token_s: 20}}
  - {name: cloud, base_url: "http://127.0.0.1:9003/v1", models: [small-1]}
"""


def load(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "antiphon.yaml"
    file.write_text(UPSTREAMS + text)
    return Settings.load(file)


async def targets(application: Application, name: str) -> tuple[Target, ...]:
    return await application.gateway.router.targets(name)


async def test_targets_as_they_are_configured(tmp_path: Path) -> None:
    """Orders, weights, limits and time-outs come from the file; what a target does not say is its upstream's."""
    application = build_application(
        load(
            tmp_path,
            """\
models:
  - name: fast
    targets:
      - {upstream: cloud, model: small-1, order: 1, timeouts: {first_token_s: 5, connect_s: 1}}
      - {upstream: gpu-a, model: qwen, order: 0, weight: 3, capacity: {max_parallel: 4, max_queued: 2, queue_s: 1}}
      - {upstream: gpu-b, model: qwen, order: 0}
""",
        )
    )
    a, b, cloud = await targets(application, "fast")
    assert [each.upstream.name for each in (a, b, cloud)] == ["gpu-a", "gpu-b", "cloud"]
    assert [(each.order, each.weight) for each in (a, b, cloud)] == [(0, 3.0), (0, 1.0), (1, 1.0)]
    assert a.capacity == Capacity(max_parallel=4, max_queued=2, queue_s=1)
    assert a.upstream.capacity == Capacity(max_parallel=8)
    assert (a.upstream.account, b.upstream.account, cloud.upstream.account) == ("gpus", "gpus", "cloud")
    assert b.limits == Deadlines(first_token_s=20, total_s=600)
    assert cloud.limits == Deadlines(first_token_s=5)
    assert [each.way is each.upstream.transport for each in (a, b, cloud)] == [True, True, False]
    await application.shutdown()


async def test_without_orders_the_list_is_the_order(tmp_path: Path) -> None:
    """As a list of targets always was."""
    application = build_application(
        load(tmp_path, "models: [{name: m, targets: [{upstream: cloud, model: x}, {upstream: gpu-a, model: y}]}]\n")
    )
    assert [(each.model, each.order) for each in await targets(application, "m")] == [("x", 0), ("y", 1)]
    await application.shutdown()


async def test_how_targets_are_asked(tmp_path: Path) -> None:
    """The section `routing` is what all turns of the gateway go by."""
    application = build_application(
        load(
            tmp_path,
            "routing: {retries: 0, retry_share: 0.5, retry_reserve: 3, failures_to_eject: 2, ejection_s: 1,"
            " longest_ejection_s: 8}\n",
        )
    )
    policy = application.gateway.policy
    assert policy.retries.per_target == 0
    assert policy.budget == BudgetPolicy(share=0.5, reserve=3)
    assert policy.health == HealthPolicy(failures=2, ejection_s=1, longest_s=8)
    await application.shutdown()


TARGET = "{upstream: cloud, model: x"
WRONG: dict[str, tuple[str, str]] = {
    "half an order": (f"{TARGET}, order: 0}}, {TARGET}}}", "models[0].targets[1]: has no order"),
    "weight alone": (f"{TARGET}, weight: 2}}", "models[0].targets[0].weight: has no effect without an order"),
    "no weight": (f"{TARGET}, order: 0, weight: 0}}", "weight"),
    "no capacity": (f"{TARGET}, capacity: {{max_parallel: 0}}}}", "max_parallel"),
    "unknown": (f"{TARGET}, wieght: 2}}", "wieght"),
}


@pytest.mark.parametrize(("said", "told"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_meant(tmp_path: Path, said: str, told: str) -> None:
    """A setting without effect, or half of one, is a problem with its place."""
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, f"models: [{{name: m, targets: [{said}]}}]\n")
    assert told in str(caught.value)


def test_the_example_of_the_documentation(tmp_path: Path) -> None:
    """What docs/routing.md shows can be configured."""
    text = (Path(__file__).parents[2] / "docs" / "routing.md").read_text()
    example: Any = text.split("```yaml\n", 1)[1].split("```", 1)[0]
    file = tmp_path / "antiphon.yaml"
    file.write_text(example)
    settings = Settings.load(file, env={"CLOUD_API_KEY": "test-key"})
    assert [len(model.targets) for model in settings.models] == [3]
