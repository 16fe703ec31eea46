"""What Gateways say of an HTTPRoute."""

from typing import Any

import pytest

from mlplat.operator.children import Manifest
from mlplat.operator.route import hindrance

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
    assert hindrance({**found, "status": accepted(found)}) == ""


@pytest.mark.parametrize("parents", [None, [], [parent({"name": "public"}, 3, Accepted="True", ResolvedRefs="True")]])
def test_one_that_no_controller_took_for_its_gateway(parents: list[Manifest] | None) -> None:
    """A Gateway of the same name in another namespace is another one."""
    said = hindrance(route(PUBLIC, parents=parents))
    assert said == "no controller has taken it for the Gateway gateways/public (is there one?)"


@pytest.mark.parametrize(
    ("conditions", "says"),
    [
        ({"Accepted": "NotAllowedByListeners", "ResolvedRefs": "True"}, "(NotAllowedByListeners: So it is)"),
        ({"Accepted": "True", "ResolvedRefs": "BackendNotFound"}, "(BackendNotFound: So it is)"),
        ({"Accepted": "True"}, "has not looked at it since it was changed"),
    ],
)
def test_one_that_a_gateway_does_not_take(conditions: dict[str, str], says: str) -> None:
    assert says in hindrance(route(PUBLIC, parents=[parent(PUBLIC, 3, **conditions)]))


def test_what_was_said_before_it_was_changed_does_not_count() -> None:
    found = route(PUBLIC, parents=[parent(PUBLIC, 2, Accepted="True", ResolvedRefs="True")])
    assert hindrance(found) == "the Gateway gateways/public has not looked at it since it was changed"


def test_a_controller_need_not_say_of_which_generation_it_speaks() -> None:
    said = parent(PUBLIC, 3, Accepted="True", ResolvedRefs="True")
    for condition in said["conditions"]:
        del condition["observedGeneration"]
    assert hindrance(route(PUBLIC, parents=[said])) == ""


def test_all_its_gateways_must_take_it() -> None:
    said = [parent(PUBLIC, 3, Accepted="True", ResolvedRefs="True"), parent(OWN, 3, Accepted="NoMatchingParent")]
    assert "the Gateway ml/own does not take it" in hindrance(route(PUBLIC, OWN, parents=said))


@pytest.mark.parametrize(
    "said",
    [
        {"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "ml", "name": "own"},
        {"name": "own", "sectionName": ""},
    ],
)
def test_a_reference_is_the_same_with_its_defaults(said: dict[str, Any]) -> None:
    assert hindrance(route(OWN, parents=[parent(said, 3, Accepted="True", ResolvedRefs="True")])) == ""


def test_listeners_of_one_gateway_are_told_apart() -> None:
    secure = {**OWN, "sectionName": "https"}
    said = [parent(OWN, 3, Accepted="True", ResolvedRefs="True")]
    assert "the Gateway ml/own (https)" in hindrance(route(secure, parents=said))


def test_one_of_several_controllers_is_enough() -> None:
    said = [parent(OWN, 3, Accepted="NoMatchingParent"), parent(OWN, 3, Accepted="True", ResolvedRefs="True")]
    assert hindrance(route(OWN, parents=said)) == ""
