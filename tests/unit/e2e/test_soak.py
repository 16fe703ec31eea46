"""The table of the soak."""

from pathlib import Path

from tests.e2e.load import Result, Seen
from tests.e2e.soak import Event, Table

REPORT = """<?xml version="1.0"?><testsuites><testsuite>
<testcase name="test_drain"><system-out>{0}</system-out></testcase>
<testcase name="test_drain"><failure message="no"/><system-out>{1}</system-out></testcase>
<testcase name="test_keys"><error message="never began"/></testcase>
</testsuite></testsuites>"""


def test_the_table_counts_what_every_client_said(tmp_path: Path) -> None:
    """The lines are those of `under_load`, one of each client, whatever else a scenario prints."""
    good = Result(seconds=12, answered=1200, versions={"v1": Seen(1200, 0, 1)}, silence_seconds=0.25)
    bad = Result(seconds=3, answered=7, failed=1003, kinds={"cut": 1003}, silence_seconds=1.5, outage_seconds=2)
    report = tmp_path / "report.xml"
    report.write_text(
        REPORT.format(f"a: {good.summary()}\nb: {good.summary()}\nall well\n", f"node-1: {bad.summary()}\n")
    )
    table = Table()

    table.add(report)

    assert table.requests == 3410
    assert table.events == {"drain": Event(2, 1, 3410, 1003, 1.5), "keys": Event(1, 1)}
    assert str(table).splitlines()[1].split() == ["drain", "2", "1", "3,410", "1,003", "1.50", "s"]
