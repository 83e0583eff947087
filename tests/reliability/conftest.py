"""What each test tried, how often, and what happened: the table of `make test-reliability`."""

import pytest


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent.name == "reliability":
            item.add_marker(pytest.mark.reliability)


@pytest.fixture
def tally(record_property):
    """`tally("SIGKILL at a write", 120, "resumed, the same run")` adds a row to the table, if the test passes."""
    return lambda what, count, outcome: record_property("tally", [what, count, outcome])
