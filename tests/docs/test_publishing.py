"""Every command of docs/publishing.md, from top to bottom."""

from pathlib import Path

import pytest
from tests.docs.commands import blocks_of, typed

PAGE = (Path(__file__).parents[2] / "docs/publishing.md").read_text()


@pytest.mark.timeout(300)
def test_every_command_works_from_top_to_bottom(tmp_path: Path) -> None:
    done = typed("\n".join(blocks_of(PAGE, "sh")) + "\nkill %1\nwait\n", tmp_path, listening="localhost:8080")
    assert done.returncode == 0, done.stdout + done.stderr
    for words in (
        "iris v1 published",
        "champion is v1",
        "trained with --promote  ann",
        "leavers v1 is in http",
        '"prediction":"yes"',
        "Would delete (say --yes to do it): no version",
        "Deleted: no version",
    ):
        assert words in done.stdout, done.stdout + done.stderr
