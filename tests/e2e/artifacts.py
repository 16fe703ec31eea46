"""What is kept of a scenario that failed."""

import shutil
from pathlib import Path

import pykube

from .cluster import CommandError
from .namespace import Namespace

FOLDER = Path(__file__).with_name(".artifacts")

DESCRIPTIONS = {
    "pods.txt": ("describe", "pods"),
    "events.txt": ("get", "events", "--sort-by=.lastTimestamp", "--output=wide"),
    "objects.yaml": (
        "get",
        "all,pvc,configmap,hpa,pdb,networkpolicy,resourcequota,limitrange,ingress",
        "--output=yaml",
    ),
}


def folder_of(test: str) -> Path:
    """An empty folder for the files of a test, by its name."""
    folder = FOLDER / "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in test)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def keep(namespace: Namespace, folder: Path) -> None:
    """Write logs of all pods, events and descriptions of a namespace as files."""
    for name, words in DESCRIPTIONS.items():
        try:
            text = namespace.kubectl(*words)
        except CommandError as error:
            text = str(error)
        (folder / name).write_text(text)
    for pod in namespace.objects(pykube.Pod):
        name = pod["metadata"]["name"]
        (folder / f"{name}.log").write_text(namespace.logs(name, "--all-containers", "--timestamps"))
        if before := namespace.logs(name, "--all-containers", "--timestamps", "--previous"):
            (folder / f"{name}.previous.log").write_text(before)
