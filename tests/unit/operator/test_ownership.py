"""What others wrote into a spec, and how it is taken out again."""

from typing import Any

from mlplat.operator.ownership import foreign_fields, removal

OURS = frozenset({"us"})

WANTED = {
    "replicas": 2,
    "selector": {"app": "iris"},
    "template": {"spec": {"containers": [{"name": "serve", "image": "x", "env": [{"name": "A", "value": "1"}]}]}},
}


def edited(fields: dict[str, Any], manager: str = "kubectl-edit", **more: str) -> dict[str, Any]:
    return {"manager": manager, "operation": "Update", "fieldsV1": {"f:spec": fields}, **more}


def test_our_own_and_those_of_kubernetes_are_left() -> None:
    managed = [
        edited({"f:replicas": {}}, "us"),
        edited({"f:replicas": {}}, "kube-controller-manager"),
        edited({"f:replicas": {}}, "kubectl", subresource="scale"),
        {"manager": "kubectl-annotate", "fieldsV1": {"f:metadata": {"f:annotations": {"f:a": {}}}}},
    ]
    assert foreign_fields(managed, OURS) == {}


def test_the_number_of_pods_that_an_autoscaler_decides_is_never_removed() -> None:
    """The API server would make it 1, which drops all pods but one of a service under load."""
    foreign = foreign_fields([edited({"f:replicas": {}, "f:paused": {}}, "kubectl-patch")], OURS)
    scaled = {key: value for key, value in WANTED.items() if key != "replicas"}
    assert removal(foreign, scaled, WANTED | {"replicas": 7, "paused": True}) == {"paused": None}


def test_a_key_that_was_added_to_a_map_goes() -> None:
    foreign = foreign_fields([edited({"f:selector": {"f:x": {}}})], OURS)
    assert removal(foreign, WANTED, WANTED | {"selector": {"app": "iris", "x": "y"}}) == {"selector": {"x": None}}


def test_what_was_added_as_a_whole_goes_as_a_whole() -> None:
    foreign = foreign_fields([edited({"f:paused": {}, "f:extra": {".": {}, "f:a": {}}})], OURS)
    assert removal(foreign, WANTED, WANTED | {"paused": True, "extra": {"a": 1}}) == {"paused": None, "extra": None}


def test_an_item_of_a_list_goes_by_its_keys() -> None:
    env: dict[str, dict[str, object]] = {
        'k:{"name":"B"}': {".": {}, "f:name": {}, "f:value": {}},
        'k:{"name":"A"}': {"f:value": {}},
    }
    fields: dict[str, Any] = {
        "f:template": {"f:spec": {"f:containers": {'k:{"name":"serve"}': {"f:env": env, "f:tty": {}}}}}
    }
    container = {"name": "serve", "tty": True, "env": [{"name": "A", "value": "2"}, {"name": "B", "value": "1"}]}
    found = {"template": {"spec": {"containers": [container]}}}
    assert removal(foreign_fields([edited(fields)], OURS), WANTED, found) == {
        "template": {
            "spec": {"containers": [{"name": "serve", "env": [{"name": "B", "$patch": "delete"}], "tty": None}]}
        }
    }


def test_a_key_that_ours_leaves_to_its_default_is_the_same_item() -> None:
    wanted = {"ports": [{"name": "http", "port": 80}]}
    found = {"ports": [{"name": "http", "port": 80, "protocol": "TCP", "nodePort": 31000}]}
    fields: dict[str, Any] = {"f:ports": {'k:{"port":80,"protocol":"TCP"}': {"f:nodePort": {}}}}
    patch = removal(foreign_fields([edited(fields)], OURS), wanted, found)
    assert patch == {"ports": [{"port": 80, "protocol": "TCP", "nodePort": None}]}


def test_what_is_gone_already_or_ours_as_well_needs_no_patch() -> None:
    foreign = foreign_fields([edited({"f:selector": {"f:x": {}, "f:app": {}}, "f:replicas": {}})], OURS)
    assert removal(foreign, WANTED, WANTED) == {}


def test_a_restart_by_kubectl_is_left() -> None:
    name = "kubectl.kubernetes.io/restartedAt"
    annotations: dict[str, Any] = {"f:annotations": {".": {}, f"f:{name}": {}, "f:other": {}}}
    foreign = foreign_fields([edited({"f:template": {"f:metadata": annotations}}, "kubectl-rollout")], OURS)
    wanted = {"template": {"metadata": {"annotations": {"note": "x"}}}}
    found = {"template": {"metadata": {"annotations": {"note": "x", name: "2026-01-01T00:00:00Z", "other": "y"}}}}
    assert removal(foreign, wanted, found) == {"template": {"metadata": {"annotations": {"other": None}}}}
