"""Whether a candidate is as good as the version that serves, by figures."""

import random
from dataclasses import replace

import pytest

from mlplat.operator.judge import Figures, Judgement, Predictions, Side, agreement, clear_fault, counted, judge
from mlplat.operator.spec import Canary
from mlplat.operator.status import Fault

from .conftest import START

RULES = Canary()
STABLE = Side(pods=2, asked=2, requests=500, seconds=0.5, golden=None)
GOOD = Side(pods=1, asked=1, requests=200, seconds=0.2, golden=1.0)


def figures(candidate: Side, stable: Side = STABLE) -> Figures:
    return Figures(0, START, stable, candidate)


def classes(*counts: float) -> Predictions:
    return Predictions(int(sum(counts)), {f"c{number}": count for number, count in enumerate(counts)}, ())


def numbers(values: list[float]) -> Predictions:
    """As a pod tells them: 21 quantiles."""
    ordered = sorted(values)
    return Predictions(len(values), {}, [ordered[round(step / 20 * (len(values) - 1))] for step in range(21)])


class TestErrors:
    @pytest.mark.parametrize(
        ("errors", "requests", "fault"),
        [(0, 1000, False), (10, 1000, False), (11, 1000, True), (1, 1, False), (2, 2, True), (2, 20, True)],
    )
    def test_they_are_too_many_as_soon_as_nothing_can_make_up_for_them(
        self, errors: int, requests: int, fault: bool
    ) -> None:
        found = clear_fault(figures(replace(GOOD, errors=errors, requests=requests)), RULES, "v1")
        assert (found is not None and found.reason == Fault.CANARY_ERRORS) == fault

    def test_none_may_be(self) -> None:
        rules = Canary(max_error_rate=0)
        assert clear_fault(figures(GOOD), rules, "v1") is None
        assert clear_fault(figures(replace(GOOD, errors=1)), rules, "v1") is not None


class TestTimes:
    def test_they_are_compared_with_the_stable_ones(self) -> None:
        found = judge(figures(replace(GOOD, seconds=4.0)), RULES, "v1").fault
        assert found is not None
        assert found.reason == Fault.CANARY_SLOW
        assert found.message == "Its answers take 20.0 ms, 20.0 times the 1.0 ms of v1; 1.5 times may be."

    def test_less_than_a_millisecond_is_noise(self) -> None:
        assert judge(figures(replace(GOOD, seconds=0.38)), RULES, "v1") == Judgement()

    def test_too_few_stable_answers_are_no_measure(self) -> None:
        found = judge(figures(replace(GOOD, seconds=4.0), replace(STABLE, requests=99)), RULES, "v1")
        assert found == Judgement(note="v1 answered 99 requests, too few to compare times")


class TestAgreement:
    def test_of_equal_shares_is_whole_and_of_permuted_ones_none(self) -> None:
        same = agreement(Side(predictions=(classes(50, 50, 0),)), Side(predictions=(classes(500, 500, 0),)))
        assert same is not None
        assert same[0] == pytest.approx(1.0)
        other = agreement(Side(predictions=(classes(100, 0),)), Side(predictions=(classes(0, 100),)))
        assert other is not None
        assert other[0] == pytest.approx(0.0)

    def test_pods_count_by_their_rows(self) -> None:
        together = Side(predictions=(classes(900, 0), classes(0, 100)))
        found = agreement(together, Side(predictions=(classes(90, 10),)))
        assert found is not None
        assert found[0] == pytest.approx(1.0)

    @pytest.mark.parametrize("rows", [100, 1000])
    def test_what_chance_explains_is_forgiven(self, rows: int) -> None:
        """Two samples of the same distribution hardly ever differ by more."""
        rng, missed = random.Random(1), 0
        for _ in range(300):
            sides = []
            for _ in range(2):
                drawn = rng.choices((0, 1, 2), (5, 3, 2), k=rows)
                sides.append(Side(predictions=(classes(*(drawn.count(each) for each in (0, 1, 2))),)))
            found = agreement(*sides)
            assert found is not None
            missed += sum(found) < 1
        assert missed <= 3

    @pytest.mark.parametrize("rows", [100, 1000])
    def test_the_same_holds_of_numbers(self, rows: int) -> None:
        rng, missed = random.Random(2), 0
        for _ in range(300):
            drawn = [numbers([rng.gauss(0, 1) for _ in range(rows)]) for _ in range(2)]
            found = agreement(Side(predictions=(drawn[0],)), Side(predictions=(drawn[1],)))
            assert found is not None
            missed += sum(found) < 1
        assert missed <= 6

    @pytest.mark.parametrize("batch", [50, 100, 250])
    def test_rows_of_one_request_may_all_be_of_a_kind(self, batch: int) -> None:
        rng, missed = random.Random(4), 0
        for _ in range(100):
            sides = []
            for _ in range(2):
                drawn = rng.choices((0, 1, 2), k=5000 // batch)
                counts = classes(*(batch * drawn.count(each) for each in (0, 1, 2)))
                sides.append(Side(predictions=(replace(counts, batch=batch),)))
            found = agreement(*sides)
            assert found is not None
            missed += sum(found) < 1
        assert missed <= 2

    def test_numbers_that_are_shifted_are_found(self) -> None:
        rng = random.Random(3)
        drawn = [rng.gauss(0, 1) for _ in range(2000)]
        found = agreement(
            Side(predictions=(numbers(drawn),)), Side(predictions=(numbers([each + 1 for each in drawn]),))
        )
        assert found is not None
        assert found[0] == pytest.approx(0.617, abs=0.03)  # 1 - (2 * Phi(1/2) - 1)

    def test_a_constant_is_like_itself_only(self) -> None:
        ones, twos = numbers([1.0] * 50), numbers([2.0] * 50)
        alike = agreement(Side(predictions=(ones,)), Side(predictions=(ones,)))
        unlike = agreement(Side(predictions=(ones,)), Side(predictions=(twos,)))
        assert alike is not None
        assert unlike is not None
        assert (alike[0], unlike[0]) == (1.0, 0.0)

    def test_nothing_is_said_of_nothing_or_of_different_things(self) -> None:
        assert agreement(Side(), Side(predictions=(classes(1, 1),))) is None
        assert agreement(Side(predictions=(numbers([1.0, 2.0]),)), Side(predictions=(classes(1, 1),))) is None

    def test_it_is_judged_with_enough_rows_of_both(self) -> None:
        candidate = replace(GOOD, predictions=(classes(200, 0),))
        found = judge(figures(candidate, replace(STABLE, predictions=(classes(0, 500),))), RULES, "v1").fault
        assert found is not None
        assert found.reason == Fault.CANARY_DISAGREES
        assert "Its latest 200 predictions agree to 0% with those of v1" in found.message
        few = judge(figures(candidate, replace(STABLE, predictions=(classes(0, 99),))), RULES, "v1")
        assert few == Judgement()  # golden samples are alike


def test_golden_samples_need_no_traffic() -> None:
    found = clear_fault(figures(Side(pods=1, asked=1, golden=0.5)), RULES, "v1")
    assert found is not None
    assert found.reason == Fault.CANARY_DISAGREES
    assert judge(figures(Side(pods=1, asked=1, golden=0.5)), Canary(min_agreement=0), "v1").fault is None


def test_the_figures_are_told_in_short() -> None:
    told = counted(figures(GOOD))
    assert (told.requests, told.latency_milliseconds, told.stable_latency_milliseconds) == (200, 1.0, 1.0)
    assert (told.agreement, told.golden_agreement) == (None, 1.0)
