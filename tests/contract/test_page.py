"""The page in a real browser."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.browser import DESKTOP, PHONE, Browser, open_browser
from tests.unit.conftest import models as models  # noqa: PLC0414 - a fixture
from tests.unit.serve.conftest import FLOWER, Running, Start, poll, running_servers

from mlplat.serve.drift import LEAST_ROWS
from mlplat.store import Store
from mlplat.train.run import train

FLOWERS = {"features": [FLOWER["features"]] * 50}
HOSTILE = "<script>window.hacked=1</script><img src=x onerror='window.hacked=1'>"


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with open_browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def serving(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Running]]:
    """A server for each kind of model, for tests that change nothing."""
    with running_servers(tmp_path_factory.mktemp("servers")) as begin:
        yield {
            name: begin(str(trained), model=name, version="v1").ready() for name in ("iris", "customers", "forecast")
        }


def url(running: Running, credentials: str = "") -> str:
    return f"http://{credentials}127.0.0.1:{running.port}/"


@pytest.mark.parametrize("model", ["iris", "customers", "forecast"])
def test_the_page_loads_without_a_complaint_and_from_its_own_server(
    browser: Browser, serving: dict[str, Running], model: str
) -> None:
    browser.open(url(serving[model]))
    assert browser.text("h1").split() == [model, "v1", "ready"]
    browser.find("button").click()
    browser.await_text("#answer", model)
    assert browser.errors() == []
    requested = browser.requested()
    assert {address.removeprefix(url(serving[model])) for address in requested} >= {"", "page/page.js", "page/page.css"}
    assert [address for address in requested if not address.startswith(url(serving[model]))] == []


def test_the_form_predicts_what_is_typed(browser: Browser, serving: dict[str, Running]) -> None:
    browser.open(url(serving["iris"]))
    for field, value in zip(("f0", "f1", "f2", "f3"), ("6.7", "3.0", "5.2", "2.3"), strict=True):
        browser.type(f"#{field}", value)
    browser.find("#f3").send_keys("\n")  # Enter is as good as the button
    answer = browser.await_text("#answer", "virginica")
    assert answer.startswith("virginica")
    assert "setosa" in answer


def test_the_form_knows_every_kind_of_column(browser: Browser, serving: dict[str, Running]) -> None:
    browser.open(url(serving["customers"]))
    member = browser.find("#f2")
    first = member.is_selected()
    browser.find("button").click()
    browser.await_text("#answer", "no" if first else "yes")
    member.click()
    browser.type("#f0", "")  # an age may be missing
    browser.find("button").click()
    assert browser.await_text("#answer strong", "yes" if first else "no")


def test_a_series_is_forecast_and_drawn(browser: Browser, serving: dict[str, Running]) -> None:
    browser.open(url(serving["forecast"]))
    browser.type("#horizon", "7")
    browser.find("button").click()
    browser.await_text("#answer", "forecast v1")
    assert len(browser.text("#answer strong").split(", ")) == 7
    assert len(browser.all("#answer svg path")) == 2


def test_a_wrong_value_is_answered_with_what_is_wrong(browser: Browser, serving: dict[str, Running]) -> None:
    browser.open(url(serving["iris"]))
    browser.type("#f1", "")
    browser.find("button").click()
    assert "column 'sepal_width': found a missing value, expected a number" in browser.await_text(
        "#answer.error", "row"
    )
    browser.open(url(serving["forecast"]))
    browser.type("#values", "1, 2, three, 4, 5")
    browser.find("button").click()
    assert "three" in browser.await_text("#answer.error", "found")


def test_live_figures_move_with_the_requests(browser: Browser, trained: Path, start: Start) -> None:
    running = start(str(trained), model="iris", version="v1").ready()
    browser.open(url(running))
    browser.await_text("#live-requests", "0")
    texts = "return ['requests', 'errors', 'median'].map((of) => document.getElementById('live-' + of).innerText)"

    def moved() -> bool:
        running.predict(FLOWER)
        running.predict({"features": "none"})
        requests, errors, median = browser.run(texts)
        return median.endswith("ms") and float(requests) > 0 and float(errors) > 0

    poll(moved, "the page shows requests, errors and how long they take")
    assert browser.all("#trace path")


def test_drift_is_shown_after_traffic_that_drifted(browser: Browser, trained: Path, start: Start) -> None:
    running = start(str(trained), model="iris", version="v1").ready()
    browser.open(url(running))
    assert f"0 of {LEAST_ROWS} rows" in browser.text("#drift-note")
    assert browser.all(".drifted") == []
    for _ in range(LEAST_ROWS // 50):
        running.predict(FLOWERS)
    browser.driver.refresh()
    assert f"4 of 4 features drifted in the latest {LEAST_ROWS} rows." in browser.text("#drift-note")
    assert "PSI" in browser.text("[data-feature=petal_length]")
    assert browser.all("[data-feature=petal_length] .live")


@pytest.mark.parametrize("model", ["iris", "customers", "forecast"])
def test_a_phone_does_not_scroll_sideways_and_can_hit_what_is_there(
    browser: Browser, serving: dict[str, Running], model: str
) -> None:
    browser.open(url(serving[model]), PHONE)
    assert not browser.scrolls_sideways()
    browser.find("button").click()
    browser.await_text("#answer", model)
    assert not browser.scrolls_sideways()
    heights = [field.size["height"] for field in browser.all("input:not([type=checkbox]), select, button")]
    assert min(heights) >= 30


@pytest.mark.parametrize("model", ["iris", "customers", "forecast"])
def test_every_field_has_a_name_and_can_be_reached_with_the_keyboard(
    browser: Browser, serving: dict[str, Running], model: str
) -> None:
    browser.open(url(serving[model]))
    fields = browser.all("form input, form select, form textarea")
    assert fields
    assert all(field.accessible_name for field in fields)
    order = []
    for _ in range(20):
        browser.driver.switch_to.active_element.send_keys("\t")
        order.append(browser.run("return document.activeElement.id || document.activeElement.tagName"))
    assert [name for name in order if name in {field.get_attribute("id") for field in fields}]
    assert "BUTTON" in order


def test_labels_that_are_markup_stay_text(browser: Browser, models: Store, tmp_path: Path, start: Start) -> None:
    file = tmp_path / "hostile.csv"
    with file.open("w", newline="") as opened:
        table = csv.writer(opened)
        table.writerow([HOSTILE, f"{HOSTILE} kind", "target"])
        table.writerows([i % 50, f"{HOSTILE}{i % 3}", f"{HOSTILE}{i % 2}"] for i in range(200))
    train(store=models, recipe="tabular", model="hostile", version="v1", params={"target": "target"}, data=str(file))
    running = start(models.url, model="hostile", version="v1").ready()
    for width in (DESKTOP, PHONE):
        browser.open(url(running), width)
        browser.find("button").click()
        assert HOSTILE in browser.await_text("#answer", "hostile v1")
        assert HOSTILE[:30] in browser.text("#signature")
        assert HOSTILE[:30] in browser.text("form")
        assert browser.run("return window.hacked") is None
        assert browser.all("img") == []
        assert browser.errors() == []
        assert not browser.scrolls_sideways()


def test_before_it_is_ready_the_page_says_why_and_looks_again(
    browser: Browser, models: Store, tmp_path: Path, start: Start
) -> None:
    running = start(models.url, model="iris", version="v9")
    browser.open(url(running))
    assert browser.text("h1").split() == ["iris", "v9", "not", "ready"]
    browser.await_text("main", "There is no version 'v9'")
    train(store=models, recipe="iris", version="v9")
    running.ready()
    browser.await_text("h1", "iris v9 ready")
    assert browser.all("form")


def test_the_page_says_when_another_version_serves(
    browser: Browser, models: Store, tmp_path: Path, start: Start
) -> None:
    running = start(models.url, model="iris", version=None, alias="champion", poll_seconds=0.1).ready()
    browser.open(url(running))
    assert "follows the alias champion" in browser.text("header")
    models.move("iris", "champion", "v2", reason="test", by="test")
    browser.await_text("#live-note", "v2 serves now")


def test_a_key_is_the_password_of_a_browser(browser: Browser, trained: Path, start: Start) -> None:
    running = start(str(trained), model="iris", version="v1", api_keys="secret").ready()
    browser.open(url(running, "anyone:secret@"))  # a test has no window to type it into; the browser remembers it
    browser.open(url(running))
    browser.find("button").click()
    browser.await_text("#answer", "iris v1")
    assert browser.errors() == []
