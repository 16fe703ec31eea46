"""The registry's pages in a real browser, from a real registry."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from selenium.webdriver import Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select
from tests.contract.browser import DESKTOP, PHONE, Browser, open_browser
from tests.registries import KEY, Registry
from tests.unit.serve.conftest import poll

from mlplat.bundle.features import Features, NumericColumn
from mlplat.bundle.golden import Golden
from mlplat.bundle.manifest import Charts
from mlplat.store import open_object_store

HOSTILE = "<script>window.hacked=1</script>\"><img src=x onerror='window.hacked=1'>\u202egnp.exe"
LONG = "long" * 2500
PAGES = (
    "/ui",
    "/ui?q=iris",
    "/ui/models/iris",
    "/ui/models/iris/versions/v2",
    "/ui/models/customers/versions/v1",
    "/ui/models/forecast/versions/v1",
    "/ui/models/iris/aliases/champion",
    "/ui/models/iris/compare?left=v1&right=v2",
    "/ui/audit",
    "/ui/login",
)
Start = Callable[..., Registry]

CONTRAST = """
const channel = v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
const parts = colour => colour.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => .2126 * channel(r) + .7152 * channel(g) + .0722 * channel(b);
const behind = element => {
  for (let e = element; e; e = e.parentElement) {
    const found = parts(getComputedStyle(e).backgroundColor);
    if (found.length < 4 || found[3] > 0) return found;
  }
  return [255, 255, 255];
};
const low = [];
for (const element of document.querySelectorAll('body *')) {
  if (element.closest('svg, .sr, .skip, option, datalist') || !element.checkVisibility()) continue;
  if (![...element.childNodes].some(node => node.nodeType === 3 && node.data.trim())) continue;
  const [a, b] = [light(parts(getComputedStyle(element).color)), light(behind(element))].sort((x, y) => y - x);
  if ((a + .05) / (b + .05) < 4.5) low.push(element.outerHTML.slice(0, 200));
}
return low;
"""
"""Texts whose contrast with what is behind them is less than WCAG's 4.5."""


WIDE = """
const wide = document.documentElement.clientWidth;
return [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > wide)
  .map(e => e.outerHTML.slice(0, 200));
"""
"""What sticks out where the page scrolls sideways."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with open_browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def begin(trained: Path, tmp_path: Path, browser: Browser) -> Iterator[Start]:
    """Start a registry with trained versions, for a browser that knows no one."""
    started: list[Registry] = []

    def begin(**options: Any) -> Registry:
        shutil.copytree(trained, tmp_path / "registry" / "store")
        started.append(Registry(tmp_path / "registry", **options))
        poll(lambda: len(ask(started[0], "GET", "/models")["items"]) == 3, "the store is looked through")
        return started[0]

    browser.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
    scheme(browser, "light")
    yield begin
    for registry in started:
        registry.end()


def ask(registry: Registry, method: str, path: str, **given: Any) -> Any:
    answer = httpx.request(method, registry.url + path, headers={"X-API-Key": KEY}, timeout=60, **given)
    assert answer.is_success, answer.text
    return answer.json() if answer.content else None


def make_key(registry: Registry, role: str, name: str = "ann") -> str:
    return str(ask(registry, "POST", "/keys", json={"name": name, "role": role})["key"])


def move(registry: Registry, version: str, reason: str) -> None:
    ask(registry, "PUT", "/models/iris/aliases/champion", json={"version": version, "reason": reason})


def named(registry: Registry) -> tuple[str, str, str]:
    last = ask(registry, "GET", "/models/iris/aliases/champion")
    return last["version"], last["by"], last["reason"]


def log_in(browser: Browser, url: str, key: str) -> None:
    browser.open(f"{url}/ui/login")
    browser.type("#key", key)
    browser.find("main button").click()
    browser.await_text("h1", "Models")


def press(browser: Browser, words: str) -> None:
    browser.driver.find_element(By.XPATH, f"//main//button[contains(., '{words}')]").click()


def follow(browser: Browser, words: str) -> None:
    browser.driver.find_element(By.LINK_TEXT, words).click()


def scheme(browser: Browser, name: str) -> None:
    wanted = {"features": [{"name": "prefers-color-scheme", "value": name}]}
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", wanted)


def test_from_the_log_in_to_the_log_out(browser: Browser, begin: Start) -> None:
    registry = begin()
    key = make_key(registry, "writer")
    browser.open(registry.url)  # without anything behind it
    browser.await_text("h1", "Log in")
    browser.type("#key", "wrong")
    press(browser, "Log in")
    browser.await_text("[role=alert]", "This key opens nothing")
    assert [message for message in browser.errors() if "401" not in message] == []
    browser.type("#key", key)
    press(browser, "Log in")
    browser.await_text("h1", "Models")
    assert {"customers", "forecast", "iris"} <= {link.text for link in browser.all("tbody th a")}

    browser.type("#q", "iri")
    browser.find("#q").send_keys(Keys.ENTER)
    links = "return [...document.querySelectorAll('tbody th a')].map(link => link.innerText)"
    poll(lambda: browser.run(links) == ["iris"], "only what was searched is there")
    follow(browser, "iris")
    browser.await_text("h1", "iris")
    assert browser.all(".charts svg .line")
    press(browser, "Compare")
    browser.await_text("h1", "v1 and v2")
    browser.await_text("main", "better")

    browser.driver.back()
    browser.await_text("h1", "iris")
    follow(browser, "v2")
    browser.await_text("h1", "v2")
    browser.type("#alias", "champion")
    browser.type("#reason", "simpler")
    press(browser, "Promote v2")
    browser.await_text("[role=status]", "champion names v2 since")
    assert named(registry) == ("v2", "ann", "simpler")

    follow(browser, "champion")
    browser.await_text("h1", "champion")
    browser.type("#reason", "not as good")
    move(registry, "v1", "tried")
    move(registry, "v2", "back again")
    press(browser, "Roll back champion")
    alert = browser.await_text("[role=alert]", "meanwhile")
    assert "champion was moved meanwhile, from v1 to v2, by admin" in alert
    assert "back again. Nothing was changed; look again." in alert
    assert browser.find("#reason").get_attribute("value") == "not as good"
    assert named(registry) == ("v2", "admin", "back again")
    Select(browser.find("#version")).select_by_value("v1")
    press(browser, "Roll back champion")
    browser.await_text("[role=status]", "champion names v1 since")
    assert named(registry) == ("v1", "ann", "not as good")
    history = [line.text.split(" #")[0] for line in browser.all(".moves li > p:first-child")]
    assert history[:4] == ["v2 → v1", "v1 → v2", "v2 → v1", "v1 → v2"]

    assert [message for message in browser.errors() if "412" not in message] == []
    assert [address for address in browser.requested() if not address.startswith(registry.url)] == []
    browser.find(".who button").click()
    browser.await_text("h1", "Log in")
    browser.open(f"{registry.url}/ui/models/iris")
    browser.await_text("h1", "Log in")


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_each_page_is_readable_in_light_and_dark(browser: Browser, begin: Start, width: int) -> None:
    registry = begin()
    log_in(browser, registry.url, KEY)
    backs = set()
    for each in ("light", "dark"):
        scheme(browser, each)
        for page in PAGES:
            browser.open(registry.url + page, width)
            browser.run("for (const each of document.querySelectorAll('details')) each.open = true")
            assert not browser.scrolls_sideways(), page
            assert browser.run(CONTRAST) == [], (page, each)
            assert browser.errors() == []
            assert [url for url in browser.requested() if not url.startswith(f"{registry.url}/ui")] == []
            assert browser.run("return [document.documentElement.lang, document.querySelectorAll('h1').length]") == [
                "en",
                1,
            ]
            fields = browser.all("main :is(input, select, textarea, button):not([hidden]):not([type=hidden])")
            assert all(field.accessible_name for field in fields), page
            assert (
                min((field.size["height"] for field in fields if field.get_attribute("type") != "radio"), default=40)
                >= 30
            )
        backs.add(browser.run("return getComputedStyle(document.body).backgroundColor"))
    assert len(backs) == 2


def test_a_version_is_promoted_with_the_keyboard_alone(browser: Browser, begin: Start) -> None:
    registry = begin()
    log_in(browser, registry.url, make_key(registry, "writer"))
    browser.open(f"{registry.url}/ui/models/iris/versions/v2")

    def active() -> Any:
        return browser.driver.switch_to.active_element

    active().send_keys(Keys.TAB)
    assert active().text == "Skip to the content"
    assert browser.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert active().location["x"] >= 0
    active().send_keys(Keys.ENTER)
    for _ in range(10):
        active().send_keys(Keys.TAB)
        if active().get_attribute("id") == "alias":
            break
    assert active().accessible_name.startswith("Alias")
    active().send_keys(Keys.CONTROL, "a")
    active().send_keys("champion", Keys.TAB)
    assert active().accessible_name.startswith("Reason")
    active().send_keys("by keyboard", Keys.TAB, Keys.ENTER)
    browser.await_text("[role=status]", "champion names v2 since")
    assert named(registry) == ("v2", "ann", "by keyboard")


def test_tags_are_changed_with_the_keyboard_alone(browser: Browser, begin: Start) -> None:
    registry = begin()
    log_in(browser, registry.url, make_key(registry, "writer"))
    browser.open(f"{registry.url}/ui/models/iris/versions/v2")
    browser.find("summary").send_keys(Keys.ENTER)
    poll(browser.find("#tags").is_displayed, "the field is open")
    browser.find("#tags").send_keys("stage: live", Keys.ENTER, "team: a <b>", Keys.TAB, Keys.ENTER)
    browser.await_text(".tags", "team: a <b>")
    assert ask(registry, "GET", "/models/iris/versions/v2")["tags"] == {"stage": "live", "team": "a <b>"}


def test_a_reader_sees_no_form(browser: Browser, begin: Start) -> None:
    registry = begin()
    log_in(browser, registry.url, make_key(registry, "reader"))
    for page in ("/ui/models/iris/versions/v2", "/ui/models/iris/aliases/champion"):
        browser.open(registry.url + page)
        assert browser.all("main form") == []
        browser.await_text("main", "it may look")


def test_what_others_wrote_stays_text_and_in_its_place(
    browser: Browser, begin: Start, draft: Callable[..., Any]
) -> None:
    registry = begin()
    store = open_object_store(str(registry.folder / "store"))
    for version, text in (("v1", HOSTILE), ("v2", LONG)):
        made = draft(
            version, model="hostile", contents={"model.onnx": b"x", "card.md": f"# {text}\n\n{text}\n".encode()}
        )
        classes = (f"{text}a", f"{text}b")
        manifest = made.manifest.model_copy(
            update={
                "features": Features(columns=(NumericColumn(name=text),)),
                "classes": classes,
                "metrics": {text[:190]: 1.0, "accuracy": 0.5},
                "importances": {text: 0.5},
                "charts": Charts(confusion=((2, 1), (0, 3))),
                "packages": {text: text},
                "recipe": made.manifest.recipe.model_copy(update={"name": text, "params": {text: [text]}}),
                "golden": Golden(rows=((text,),), values=(1.0,), tolerance=1),
            }
        )
        store.publish(manifest, made.files)
    store.move("hostile", "champion", "v1", reason=HOSTILE, by=HOSTILE)
    store.move("hostile", "champion", "v2", reason=LONG, by=LONG)
    ask(registry, "GET", "/models/hostile/versions/v1")
    ask(registry, "GET", "/models/hostile/versions/v2")
    ask(registry, "GET", "/models/hostile/aliases/champion")
    about = {"description": HOSTILE + LONG, "owner": HOSTILE[:200], "tags": {"a": HOSTILE[:200], "b": "long" * 60}}
    ask(registry, "PATCH", "/models/hostile", json=about)
    ask(registry, "PATCH", "/models/hostile/versions/v1", json={"tags": about["tags"]})
    log_in(browser, registry.url, KEY)
    said = HOSTILE.split("\u202e", maxsplit=1)[0]
    for width in (DESKTOP, PHONE):
        for page, is_said in (
            ("/ui", True),
            ("/ui/models/hostile", True),
            ("/ui/models/hostile/versions/v1", True),
            ("/ui/models/hostile/versions/v2", False),
            ("/ui/models/hostile/aliases/champion", True),
            ("/ui/models/hostile/compare?left=v1&right=v2", True),
            ("/ui/audit", True),
        ):
            browser.open(registry.url + page, width)
            assert not is_said or said[:20] in browser.text("main"), page
            assert browser.run("return window.hacked") is None
            assert browser.all("img, script, style, [style], [onerror]") == []
            assert browser.errors() == []
            assert not browser.scrolls_sideways(), (page, browser.run(WIDE))
            assert [url for url in browser.requested() if not url.startswith(f"{registry.url}/ui")] == []


@contextmanager
def site(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    """The port of a server of this machine, which ends with the block, however that ends."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


class Foreign(BaseHTTPRequestHandler):
    """Another site, with a page that sends a form to whatever its path names."""

    def do_GET(self) -> None:
        target = self.path.lstrip("/")
        fields = "".join(f'<input name="{name}" value="{value}">' for name, value in FORGED.items())
        page = f'<form method="post" action="{target}">{fields}<button>Win</button></form>'.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: Any) -> None:
        pass


FORGED = {"alias": "champion", "reason": "x", "seen": "champion:1", "key": KEY}


@pytest.mark.parametrize("is_open", [True, False])
def test_another_sites_form_moves_nothing_and_logs_no_one_in(browser: Browser, begin: Start, is_open: bool) -> None:
    registry = begin(is_open=is_open)
    before = named(registry)
    if not is_open:
        log_in(browser, registry.url, make_key(registry, "writer"))
    browser.open(f"{registry.url}/ui/models/iris/versions/v2")
    browser.await_text("main", "Promote v2")
    with site(Foreign) as port:
        for host in ("127.0.0.1", "localhost"):  # of the same site, and of another one
            for target in ("/ui/models/iris/versions/v2", "/ui/login"):
                browser.open(f"http://{host}:{port}/{registry.url}{target}")
                browser.find("button").click()
                browser.await_text("[role=alert]", "A page of another site may not change anything here.")
    assert named(registry) == before
    browser.open(f"{registry.url}/ui")
    assert ("anonymous" if is_open else "ann") in browser.text(".who")


def test_an_open_registry_needs_no_log_in(browser: Browser, begin: Start) -> None:
    registry = begin(is_open=True)
    browser.open(f"{registry.url}/ui/models/iris/versions/v2")
    browser.type("#alias", "champion")
    browser.type("#reason", "as anyone may")
    press(browser, "Promote v2")
    browser.await_text("[role=status]", "champion names v2 since")
    assert named(registry) == ("v2", "anonymous", "as anyone may")


def behind(registry: Registry, prefix: str) -> type[BaseHTTPRequestHandler]:
    """A proxy that hands on what is beneath a prefix, which it takes away."""

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.path.startswith(prefix):
                self.send_error(404)
                return
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = [(name, value) for name, value in self.headers.items() if name.lower() != "connection"]
            url = registry.url + self.path.removeprefix(prefix)
            answer = httpx.request(self.command, url, headers=headers, content=body, timeout=60)
            self.send_response(answer.status_code)
            for name, value in answer.headers.multi_items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.content)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: Any) -> None:
            pass

    return Proxy


def test_behind_a_proxy_with_a_prefix_all_links_and_forms_lead_there(browser: Browser, begin: Start) -> None:
    registry = begin()
    with site(behind(registry, "/team/models")) as port:
        url = f"http://127.0.0.1:{port}/team/models"
        browser.open(f"{url}/ui/models/iris/versions/v2")
        browser.type("#key", make_key(registry, "writer"))
        press(browser, "Log in")
        browser.await_text("h1", "v2")
        assert browser.driver.current_url == f"{url}/ui/models/iris/versions/v2"
        cookies = {cookie["name"]: cookie for cookie in browser.driver.get_cookies()}
        assert (cookies["mlplat_session"]["path"], cookies["mlplat_session"]["httpOnly"]) == ("/team/models/ui", True)
        browser.type("#alias", "champion")
        browser.type("#reason", "through a proxy")
        press(browser, "Promote v2")
        browser.await_text("[role=status]", "champion names v2 since")
        assert browser.driver.current_url == f"{url}/ui/models/iris/versions/v2?moved=champion"
        follow(browser, "iris")
        browser.await_text("h1", "iris")
        browser.find(".brand").click()
        browser.await_text("h1", "Models")
        assert browser.errors() == []
        browser.find(".who button").click()
        browser.await_text("h1", "Log in")
        assert "mlplat_session" not in {cookie["name"] for cookie in browser.driver.get_cookies()}
    assert named(registry) == ("v2", "ann", "through a proxy")


def test_a_file_is_downloaded_with_the_session(browser: Browser, begin: Start, tmp_path: Path) -> None:
    registry = begin()
    log_in(browser, registry.url, make_key(registry, "reader"))
    wanted = {"behavior": "allow", "downloadPath": str(tmp_path)}
    browser.driver.execute_cdp_cmd("Browser.setDownloadBehavior", wanted)
    browser.open(f"{registry.url}/ui/models/iris/versions/v1")
    follow(browser, "model.onnx")
    poll((tmp_path / "model.onnx").exists, "the file is there")
    manifest = open_object_store(str(registry.folder / "store")).manifest("iris", "v1")
    poll(lambda: (tmp_path / "model.onnx").stat().st_size == manifest.files["model.onnx"].bytes, "it is whole")
