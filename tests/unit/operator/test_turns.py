"""A changed base rolls a few Deployments at a time."""

from mlplat.operator.children import BASE_ANNOTATION, Manifest
from mlplat.operator.turns import Turns

NEW, OLD = "new", "old"
KEYS = [("ml", f"m{number}") for number in range(4)]


def deployment(base: str | None, *, ready: bool = True, late: bool = False) -> Manifest:
    reason = "ProgressDeadlineExceeded" if late else "NewReplicaSetAvailable"
    return {
        "metadata": {"generation": 1, "annotations": {} if base is None else {BASE_ANNOTATION: base}},
        "spec": {"replicas": 1, "template": {"spec": {"containers": [{}]}}},
        "status": {
            "observedGeneration": 1,
            "replicas": 1,
            "updatedReplicas": int(ready),
            "availableReplicas": 1,
            "conditions": [{"type": "Progressing", "reason": reason}],
        },
    }


def fleet(base: str | None = OLD) -> dict[tuple[str, str], Manifest]:
    return {key: deployment(base) for key in KEYS}


def test_so_many_have_a_turn_and_the_others_wait_until_those_have_rolled() -> None:
    seen = fleet()
    turns = Turns(seen, digest=NEW, most=2)
    assert [turns.waits(key) for key in KEYS] == [False, False, True, True]
    seen[KEYS[0]] = deployment(NEW, ready=False)
    assert turns.waits(KEYS[2])
    seen[KEYS[0]] = deployment(NEW)
    assert [turns.waits(key) for key in KEYS] == [False, False, False, True]


def test_who_has_a_turn_keeps_it() -> None:
    turns = Turns(fleet(), digest=NEW, most=1)
    assert not turns.waits(KEYS[0])
    assert not turns.waits(KEYS[0])


def test_what_is_of_the_present_base_never_waits() -> None:
    seen = fleet(NEW)
    turns = Turns(seen, digest=NEW, most=1)
    assert [turns.waits(key) for key in [*KEYS, ("ml", "not there yet")]] == [False] * 5


def test_one_that_gets_nowhere_holds_up_no_other() -> None:
    seen = fleet()
    turns = Turns(seen, digest=NEW, most=1)
    assert [turns.waits(key) for key in KEYS[:2]] == [False, True]
    seen[KEYS[0]] = deployment(NEW, ready=False, late=True)
    assert not turns.waits(KEYS[1])


def test_one_that_is_deleted_or_cannot_be_written_lets_another_have_its_turn() -> None:
    seen = fleet()
    turns = Turns(seen, digest=NEW, most=1)
    assert not turns.waits(KEYS[0])
    del seen[KEYS[0]]
    assert not turns.waits(KEYS[1])
    turns.give_back(KEYS[1])
    assert not turns.waits(KEYS[2])


def test_after_a_restart_those_under_way_are_counted() -> None:
    seen = fleet(None) | {KEYS[0]: deployment(NEW, ready=False)}
    turns = Turns(seen, digest=NEW, most=1)
    assert turns.waits(KEYS[1])
