"""What Gateways say of an HTTPRoute."""

from typing import Any

import pytest

from mlplat.operator.children import Manifest
from mlplat.operator.route import MOST_SAID, Hindrance, hindrance

from .conftest import accepted, parent

PUBLIC: Manifest = {"name": "public", "namespace": "gateways"}
OWN: Manifest = {"name": "own"}


def route(*references: Manifest, parents: list[Manifest] | None = None) -> Manifest:
    """An HTTPRoute of generation 3; without parents, one that nobody knows."""
    out: Manifest = {
        "metadata": {"name": "iris", "namespace": "ml", "generation": 3},
        "spec": {"parentRefs": list(references)},
    }
    if parents is not None:
        out["status"] = {"parents": parents}
    return out


def test_one_that_all_its_gateways_take_is_well() -> None:
    found = route(PUBLIC, OWN)
    assert hindrance({**found, "status": accepted(found)}) is None


@pytest.mark.parametrize("parents", [None, [], [parent({"name": "public"}, 3, Accepted="True", ResolvedRefs="True")]])
def test_one_that_no_controller_took_for_its_gateway(parents: list[Manifest] | None) -> None:
    """A Gateway of the same name in another namespace is another one."""
    said = hindrance(route(PUBLIC, parents=parents))
    assert said == Hindrance("no controller has taken it for the Gateway gateways/public (is there one?)")


@pytest.mark.parametrize(
    ("conditions", "says"),
    [
        ({"Accepted": "NotAllowedByListeners", "ResolvedRefs": "True"}, "(NotAllowedByListeners: So it is)"),
        ({"Accepted": "True", "ResolvedRefs": "BackendNotFound"}, "(BackendNotFound: So it is)"),
        ({"ResolvedRefs": "True"}, "does not say whether it takes it"),
    ],
)
def test_one_that_a_gateway_does_not_take(conditions: dict[str, str], says: str) -> None:
    found = hindrance(route(PUBLIC, parents=[parent(PUBLIC, 3, **conditions)]))
    assert found is not None
    assert says in found.message
    assert not found.stale


def test_a_controller_that_takes_it_need_not_say_that_it_found_the_pods() -> None:
    assert hindrance(route(PUBLIC, parents=[parent(PUBLIC, 3, Accepted="True")])) is None


def test_a_long_message_is_cut() -> None:
    said = parent(PUBLIC, 3, Accepted="NotAllowedByListeners")
    said["conditions"][0]["message"] = "no " * 10_000
    found = hindrance(route(PUBLIC, parents=[said]))
    assert found is not None
    assert len(found.message) < MOST_SAID + 100


@pytest.mark.parametrize(
    ("conditions", "stale"),
    [({"Accepted": "True", "ResolvedRefs": "True"}, True), ({"Accepted": "NotAllowedByListeners"}, False)],
)
def test_who_took_it_before_it_was_changed_leads_requests_by_that(conditions: dict[str, str], stale: bool) -> None:
    found = hindrance(route(PUBLIC, parents=[parent(PUBLIC, 2, **conditions)]))
    assert found is not None
    assert found.stale == stale


def test_one_that_refuses_it_counts_more_than_one_that_has_not_looked() -> None:
    behind = parent(PUBLIC, 2, Accepted="True", ResolvedRefs="True")
    found = hindrance(route(PUBLIC, OWN, parents=[behind, parent(OWN, 3, Accepted="NoMatchingParent")]))
    assert found is not None
    assert not found.stale


def test_a_controller_need_not_say_of_which_generation_it_speaks() -> None:
    said = parent(PUBLIC, 3, Accepted="True", ResolvedRefs="True")
    for condition in said["conditions"]:
        del condition["observedGeneration"]
    assert hindrance(route(PUBLIC, parents=[said])) is None


def test_all_its_gateways_must_take_it() -> None:
    said = [parent(PUBLIC, 3, Accepted="True", ResolvedRefs="True"), parent(OWN, 3, Accepted="NoMatchingParent")]
    found = hindrance(route(PUBLIC, OWN, parents=said))
    assert found is not None
    assert "the Gateway ml/own does not take it" in found.message


@pytest.mark.parametrize(
    "said",
    [
        {"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "ml", "name": "own"},
        {"name": "own", "sectionName": ""},
    ],
)
def test_a_reference_is_the_same_with_its_defaults(said: dict[str, Any]) -> None:
    assert hindrance(route(OWN, parents=[parent(said, 3, Accepted="True", ResolvedRefs="True")])) is None


def test_listeners_of_one_gateway_are_told_apart() -> None:
    secure = {**OWN, "sectionName": "https"}
    said = [parent(OWN, 3, Accepted="True", ResolvedRefs="True")]
    found = hindrance(route(secure, parents=said))
    assert found is not None
    assert "the Gateway ml/own (https)" in found.message


def test_one_of_several_controllers_is_enough() -> None:
    said = [parent(OWN, 3, Accepted="NoMatchingParent"), parent(OWN, 3, Accepted="True", ResolvedRefs="True")]
    assert hindrance(route(OWN, parents=said)) is None
