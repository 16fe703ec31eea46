"""The cluster that the tests run on: the command that owns it, and programs with its environment."""

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]

ENVIRONMENT = """
eval "$("$0" env)"
env -0
"""


class CommandError(AssertionError):
    """A program failed; the message holds what it said."""


@dataclass(frozen=True)
class Cluster:
    """A running cluster. `command` is `cluster`, `environment` has KUBECONFIG, kubectl, helm (4) and helm3."""

    command: Path
    environment: dict[str, str] = field(repr=False)

    @classmethod
    def up(cls, command: Path) -> "Cluster":
        """The cluster, brought up if it is not; it stays up."""
        subprocess.run([command, "up"], check=True)
        lines = subprocess.run(["sh", "-c", ENVIRONMENT, command], check=True, capture_output=True, text=True).stdout
        return cls(command, dict(line.split("=", 1) for line in lines.split("\0") if line))

    def run(self, *words: str, stdin: str | None = None, timeout: float = 600.0) -> str:
        """What a program writes to stdout.

        Raises:
            CommandError: if it fails.
        """
        done = subprocess.run(
            words,
            input=stdin,
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if done.returncode:
            raise CommandError(f"{' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def build(self, image: str) -> None:
        """Build the image of this tree and put it on every node."""
        self.run(str(self.command), "build", image, ".", "-f", "docker/Dockerfile", timeout=1200)
        self.run(str(self.command), "load", image)

    def addon(self, name: str) -> None:
        """Start a service for the pods, if it is not there."""
        self.run(str(self.command), "addon", name)

    def stop(self, what: str) -> None:
        """Kill a component of the control plane, or a node."""
        self.run(str(self.command), "stop", what)

    def start(self, what: str) -> None:
        """Start what was stopped; returns when it is ready."""
        self.run(str(self.command), "start", what)
