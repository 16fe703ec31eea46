"""Makes the definition of ModelDeployment from its typed spec: `python charts/crd.py`."""

from pathlib import Path

import yaml

from mlplat.operator.crd import definition

FILE = Path(__file__).parent / "ml-platform" / "files" / "crd.yaml"


def text() -> str:
    """The file's contents."""
    return "# Made by charts/crd.py from src/mlplat/operator/spec.py.\n" + yaml.safe_dump(
        definition(), sort_keys=False, width=120
    )


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
