"""The registry's pages, as a person with a key uses them in a real browser."""

from dataclasses import dataclass

from tests.contract.browser import Browser

from .polling import poll
from .registry import CHAMPION, MODEL


@dataclass(frozen=True)
class Pages:
    """The pages at the address of a registry; whichever of its pods answers, it knows who logged in."""

    browser: Browser
    url: str

    def log_in(self, key: str) -> None:
        """Begin a session."""
        self.browser.open(f"{self.url}/ui/login")
        self.browser.type("#key", key)
        self.browser.find("main button").click()
        self._await("h1", "Models")

    def promote(self, version: str, reason: str) -> None:
        """Let the champion be a version, on the version's page."""
        self.browser.open(f"{self.url}/ui{MODEL}/versions/{version}")
        self.browser.type("#alias", "champion")
        self._send(version, reason)

    def roll_back(self, version: str, reason: str) -> None:
        """Let the champion be the one before, on the alias's page, which must offer that first."""
        self.browser.open(f"{self.url}/ui{CHAMPION}")
        assert self.browser.find("#version").get_attribute("value") == version
        self._send(version, reason)

    def _send(self, version: str, reason: str) -> None:
        self.browser.type("#reason", reason)
        self.browser.find("main form button").click()
        self._await("[role=status]", f"champion names {version} since")
        assert self.browser.errors() == []

    def _await(self, selector: str, words: str) -> None:
        poll(lambda: words in self.browser.text(selector), f"{selector} says {words!r}")
