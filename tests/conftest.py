"""
How the suite is shared out when it runs in two processes (``pytest -n 2 --dist loadgroup``).

A file stays in one process, as its fixtures are made once for it. Everything in front of the real model stays in one
process too: two models at a time would take turns on the same cores and both be slower than one after the other.
"""

from __future__ import annotations

import pytest


@pytest.hookimpl(tryfirst=True)  # before the plugin that reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put each test into the group that it has to run with."""
    for item in items:
        group = "model" if item.get_closest_marker("model") else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
