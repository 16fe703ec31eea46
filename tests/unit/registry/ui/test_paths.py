"""Links lead from each page to each other, whatever is before them."""

from urllib.parse import urljoin

import pytest

from mlplat.registry.ui.paths import is_page, is_way_on, query, way_up


@pytest.mark.parametrize("prefix", ["", "/models", "/a/b"])
@pytest.mark.parametrize(
    "path", ["/ui", "/ui/", "/ui/login", "/ui/models/iris", "/ui/models/iris/versions/v1", "/ui/a%2Fb/c"]
)
def test_the_way_up_leads_to_where_ui_is(prefix: str, path: str) -> None:
    assert urljoin(f"https://host{prefix}{path}", f"{way_up(path.encode())}ui") == f"https://host{prefix}/ui"


def test_only_what_is_beneath_ui_is_a_page() -> None:
    assert [path for path in ("/ui", "/ui/", "/ui/x", "/uix", "/", "/models/ui", "//ui") if is_page(path)] == [
        "/ui",
        "/ui/",
        "/ui/x",
    ]


def test_a_way_on_stays_beneath_ui() -> None:
    assert all(map(is_way_on, ("", "/models/iris?sort=a&b=%20", "?q=x")))
    assert not any(map(is_way_on, ("x", "https://x", "/a\nb", '/"', "/\\", "/é", "/a b")))
    assert not any(map(is_way_on, ("/..", "/../../elsewhere", "/x/../..", "/./x", "/%2e%2E/x", "/x/..?a=b")))
    assert is_way_on("/models/a..b?q=/../")


def test_a_query_has_only_what_is_given() -> None:
    assert query(q="a b", tag=["k:v", "l"], sort=None, cursor="") == "?q=a+b&tag=k%3Av&tag=l"
    assert query(q="") == ""
