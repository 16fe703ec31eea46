"""Every command in the README, from top to bottom, as a newcomer would type them."""

import re
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from tests.docs.commands import blocks_of, typed

from mlplat.operator.spec import KIND, Spec

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(kind: str) -> list[str]:
    """The code blocks of the README whose first line is exactly so."""
    return blocks_of(README, kind)


@pytest.mark.timeout(300)
def test_every_command_works_from_top_to_bottom(tmp_path: Path) -> None:
    commands = "\n".join(blocks("sh"))
    assert commands.count("mlplat ") > 15
    done = typed(commands + "\nwait\n", tmp_path, listening="localhost:8000")
    assert done.returncode == 0, done.stdout + done.stderr
    for words in (
        "iris v1 published",
        "iris v2 published",
        "champion is v1",
        '"status":"ready"',
        '"prediction":"setosa"',
        '"predictions":["virginica","setosa"]',
        '{"predictions":[[',
        '{"predictions":["setosa"]}',
        "champion is v2 (before: v1)",
        "champion is v1 (before: v2)",
        "prediction,probability_setosa",
        "wine v1 published",
        "178 scored",
    ):
        assert words in done.stdout, done.stdout
    assert "unexpected" not in done.stderr.lower(), done.stderr


@pytest.mark.parametrize("verb", re.findall(r"^(make \w+)", "\n".join(blocks("sh setup")), re.MULTILINE))
def test_every_make_verb_exists(verb: str) -> None:
    done = subprocess.run([*verb.split(), "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_link_leads_somewhere() -> None:
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    targets = [(path, target) for path in documents for target in re.findall(r"\]\(([^)#]+)\)", path.read_text())]
    assert targets
    assert [each for each in targets if "://" not in each[1] and not (each[0].parent / each[1]).exists()] == []


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_manifest_of_the_examples_is_what_kubernetes_expects(path: Path) -> None:
    for each in yaml.safe_load_all(path.read_text()):
        if each["kind"] == KIND:
            assert Spec.model_validate(each["spec"], extra="forbid").wish
        else:
            kubernetes_validate.validate(each, "1.37", strict=True)


@pytest.mark.parametrize("path", sorted((ROOT / "docs").glob("*.md")), ids=lambda path: path.stem)
def test_every_block_of_yaml_is_yaml_and_names_files_that_exist(path: Path) -> None:
    for block in re.findall(r"^```yaml\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE):
        assert isinstance(yaml.safe_load(block), dict)
    own = re.sub(r"uses: .*", "", path.read_text())  # the actions of others are called docker/..., too
    named = re.findall(r"(?<![\w./])(?:charts|values|examples|docker|docs)/[\w./-]*\w", own)
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_recipe_is_in_the_readme() -> None:
    from mlplat.recipes import recipe_names

    assert [name for name in recipe_names() if f"| `{name}` |" not in README] == []
