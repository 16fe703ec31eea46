"""Scenarios 2 and 4 over and over, until so many requests were asked, and a table of what came of them: `make soak`.

SOAK_REQUESTS says how many; further words go to pytest, e.g. `-k evictions`. What crashes on purpose is left out.
"""

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET

REQUESTS = 100_000

SCENARIOS = [f"tests/e2e/test_{name}.py" for name in ("rollout", "disruption", "keys")]
PLANNED = ["-k", "not killed_process and not without_power"]

LOAD = re.compile(r"^\S+: ([\d,]+) failed of ([\d,]+) in .*, longest silence ([\d.]+) s", re.MULTILINE)
"""What `under_load` says of each client."""


@dataclass
class Event:
    """What came of one event, each time that it was tried."""

    times: int = 0
    broken: int = 0
    requests: int = 0
    failed: int = 0
    silence_seconds: float = 0.0


@dataclass
class Table:
    """All events by the name of their test."""

    events: dict[str, Event] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """All requests."""
        return sum(event.requests for event in self.events.values())

    def add(self, report: Path) -> None:
        """Count what pytest reported as JUnit has it."""
        for case in ET.parse(report).iter("testcase"):
            event = self.events.setdefault(case.attrib["name"].removeprefix("test_"), Event())
            event.times += 1
            event.broken += case.find("failure") is not None or case.find("error") is not None
            for failed, requests, silence in LOAD.findall(case.findtext("system-out", "")):
                event.failed += int(failed.replace(",", ""))
                event.requests += int(requests.replace(",", ""))
                event.silence_seconds = max(event.silence_seconds, float(silence))

    def __str__(self) -> str:
        lines = [f"{'event':<72} {'times':>5} {'broken':>6} {'requests':>9} {'failed':>6} {'longest silence':>15}"]
        lines += [
            f"{name:<72} {event.times:>5} {event.broken:>6} {event.requests:>9,} {event.failed:>6,}"
            f" {event.silence_seconds:>13.2f} s"
            for name, event in self.events.items()
        ]
        return "\n".join(lines)


def main(words: list[str]) -> int:
    """Pass after pass; ends early, and not with 0, after one in which something was wrong."""
    wanted = int(os.environ.get("SOAK_REQUESTS", REQUESTS))
    table = Table()
    status = 0
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        command = [sys.executable, "-m", "pytest", *SCENARIOS, *PLANNED, f"--junitxml={report}", *words]
        while status == 0 and table.requests < wanted:
            before = table.requests
            status = subprocess.run([*command, "-o", "junit_logging=system-out"], check=False).returncode
            table.add(report)
            sys.stdout.write(f"{table}\n{table.requests:,} requests of {wanted:,}\n")
            assert table.requests > before, "nothing was asked"
            os.environ.setdefault("E2E_IMAGE", "localhost/ml-platform:e2e")  # which the first pass has built
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
