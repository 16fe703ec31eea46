"""What is answered to everyone."""

import re

from httpx import Client

from mlplat.registry.ui.rendering import style_hash


def test_a_browser_is_led_from_the_root_to_the_pages(client: Client) -> None:
    with Client(base_url=client.base_url, headers={"Accept": "text/html,*/*"}, timeout=60) as browser:
        led = browser.get("/")
        assert (led.status_code, led.headers["location"]) == (303, "ui")
    with Client(base_url=client.base_url, timeout=60) as program:
        assert program.get("/").status_code == 401
    answer = client.get("/")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_the_style_sheet_is_kept_for_ever_under_its_hash_and_only_there(client: Client) -> None:
    with Client(base_url=client.base_url, timeout=60) as stranger:
        right = stranger.get(f"/ui/static/ui.css?v={style_hash()}")
        assert (right.status_code, right.headers["content-type"]) == (200, "text/css; charset=utf-8")
        assert right.headers["cache-control"] == "public, max-age=31536000, immutable"
        other = stranger.get("/ui/static/ui.css?v=0123456789abcdef")
        assert (other.content, other.headers["cache-control"]) == (right.content, "no-store")
        assert stranger.get("/ui/static/icon.svg").headers["content-type"] == "image/svg+xml"
        assert stranger.get("/ui/static/../../models").status_code == 401
        assert stranger.get("/ui/static/nothing").status_code == 404


def test_the_style_sheet_loads_nothing(client: Client) -> None:
    sheet = client.get("/ui/static/ui.css").text
    assert not re.findall(r"url\(|@import", sheet)
