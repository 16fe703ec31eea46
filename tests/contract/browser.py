"""A real Chromium without a window, for tests of pages."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome, ChromeOptions, Keys
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from tests.unit.serve.conftest import poll

DESKTOP, PHONE = 1280, 390

ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


class Browser:
    """One browser, and what a person does with it."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def open(self, url: str, width: int = DESKTOP) -> "Browser":
        """Load a page in a window of this width, as a phone where it is narrow; forgets what was noted before."""
        size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.get("about:blank")
        self.errors()
        self.requested()
        self.driver.get(url)
        return self

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        """The text of an element as the page has it now; empty while there is none."""
        text: str = self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)
        return text

    def await_text(self, selector: str, words: str) -> str:
        """Wait for words in the text of an element, also of a page that is still to come; that text."""
        found: list[str] = []

        def said() -> bool:
            with suppress(WebDriverException):  # one page goes as the other comes
                found[:] = [self.text(selector)]
            return bool(found) and words in found[0]

        poll(said, f"{selector} says {words!r}")
        return found[0]

    def type(self, selector: str, text: str) -> None:
        """Replace what a field holds, as a person does."""
        self.find(selector).send_keys(Keys.CONTROL, "a")
        self.find(selector).send_keys(text or Keys.DELETE)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def errors(self) -> list[str]:
        """What the console complained about since it was asked last."""
        return [entry["message"] for entry in self._log("browser")]

    def requested(self) -> list[str]:
        """The URLs that the page requested since it was asked last; `data:` is no request, the browser's icons are such."""
        events = [json.loads(entry["message"])["message"] for entry in self._log("performance")]
        urls = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
        return [url for url in urls if not url.startswith("data:")]

    def _log(self, kind: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self.driver.get_log(kind)  # type: ignore[no-untyped-call]
        return entries

    def scrolls_sideways(self) -> bool:
        wide: bool = self.run("return document.documentElement.scrollWidth > document.documentElement.clientWidth")
        return wide


def programs() -> tuple[str, str]:
    """Chromium and its driver; without them the test is skipped, and fails in CI."""
    chromium = os.environ.get("MLPLAT_CHROMIUM") or shutil.which("chromium")
    driver = os.environ.get("MLPLAT_CHROMEDRIVER") or shutil.which("chromedriver")
    if chromium is None or driver is None:
        reason = "tests of pages need chromium and chromedriver (Debian: chromium, chromium-driver)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return chromium, driver


@contextmanager
def open_browser(folder: Path) -> Iterator[Browser]:
    """A browser with a profile of its own in `folder`, which ends with the block."""
    chromium, driver = programs()
    options = ChromeOptions()
    options.binary_location = chromium
    for argument in (*ARGUMENTS, f"--user-data-dir={folder}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = Chrome(options=options, service=Service(driver))
    try:
        yield Browser(chrome)
    finally:
        chrome.quit()
