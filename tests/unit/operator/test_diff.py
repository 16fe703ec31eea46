"""Whether an object holds what was applied."""

from typing import Any

import pytest

from mlplat.operator.diff import differs


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": {}}, {}),
        ({"a": []}, {}),
        ({"a": ""}, {}),
        ({"a": 0}, {}),
        ({"nodeSelector": {}}, {}),
        ({"requests": {"cpu": "1000m"}}, {"requests": {"cpu": "1"}}),
        ({"requests": {"memory": "1Gi"}}, {"requests": {"memory": "1024Mi"}}),
        ({"limits": {"cpu": 2}}, {"limits": {"cpu": "2"}}),
        ({"emptyDir": {"sizeLimit": "2Gi"}}, {"emptyDir": {"sizeLimit": "2048Mi"}}),
        (
            {"containers": [{"name": "a", "image": "x"}]},
            {"containers": [{"name": "b"}, {"name": "a", "image": "x", "tty": False}]},
        ),
        ({"args": ["a", "b"]}, {"args": ["a", "b"]}),
    ],
)
def test_it_does(wanted: Any, found: Any) -> None:
    assert not differs(wanted, found)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"a": 1}, None),
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {}),
        ({"a": 0}, {"a": 3}),
        ({"a": "1000m"}, {"a": "1"}),
        ({"requests": {"cpu": "100m"}}, {"requests": {"cpu": "200m"}}),
        ({"requests": {"cpu": "odd"}}, {"requests": {"cpu": "1"}}),
        ({"containers": [{"name": "a", "image": "x"}]}, {"containers": [{"name": "a", "image": "y"}]}),
        ({"containers": [{"name": "a"}]}, {"containers": []}),
        ({"args": ["a", "b"]}, {"args": ["b", "a"]}),
        ({"args": ["a"]}, {"args": ["a", "b"]}),
        ({"a": {"b": 1}}, {"a": "text"}),
        ({"a": ["b"]}, {"a": "b"}),
        ({"selector": {"app": "a"}}, {"selector": {"app": "a", "more": "b"}}),
    ],
)
def test_it_does_not(wanted: Any, found: Any) -> None:
    assert differs(wanted, found)
