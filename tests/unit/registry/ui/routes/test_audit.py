"""The audit log as a page."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from httpx import Client
from tests.unit.registry.ui.conftest import ADMIN, Person, words

Make = Callable[..., Person]


def test_changes_are_shown_and_narrowed(client: Client, stranger: Make) -> None:
    client.post("/models", json={"name": "iris", "owner": "<b>ann</b>"})
    client.post("/models", json={"name": "churn"})
    client.patch("/models/iris", json={"owner": None})
    someone = stranger().log_in(ADMIN)
    page = someone.open("/ui/audit")
    assert '"owner": "<b>ann</b>"' in words(page.replace("&lt;", "\1").replace("&gt;", "\2")).replace(
        "\1", "<"
    ).replace("\2", ">")
    assert "<b>ann" not in page
    narrowed = words(someone.open("/ui/audit?model=iris&action=model.patch&who=&since=&until="))
    assert narrowed.count("admin admin, key admin model.patch iris") == 1
    assert "model.create iris" not in narrowed
    today = datetime.now(UTC).date()
    inside = words(someone.open(f"/ui/audit?since={today - timedelta(1)}&until={today + timedelta(1)}"))
    assert "model.create churn" in inside
    assert "Nothing was written" in words(someone.open(f"/ui/audit?since={today + timedelta(2)}"))
    assert "Nothing was written" in words(someone.open(f"/ui/audit?until={today - timedelta(2)}"))


def test_it_goes_on_from_page_to_page(client: Client, stranger: Make) -> None:
    for index in range(51):
        client.post("/models", json={"name": f"m{index:02}"})
    someone = stranger().log_in(ADMIN)
    first = someone.open("/ui/audit?action=model.create")
    following = first.split('href="?action=model.create&amp;cursor')[1].split('"')[0]
    second = words(someone.open(f"/ui/audit?action=model.create&cursor{following}"))
    assert ("m50" in words(first), "m01" in words(first), "m00" in words(first)) == (True, True, False)
    assert ("m00" in second, "m01" in second) == (True, False)
