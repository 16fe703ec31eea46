"""Processes under measurement: one core for them, and stopped while another one is measured."""

import ctypes
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.load import LoadError, Measured, Stretch, ask, connect

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60.0
PROBE_SECONDS = 5.0
TICKS = os.sysconf("SC_CLK_TCK")
PR_SET_PDEATHSIG = 1  # prctl(2)
UVICORN = [
    sys.executable,
    "-m",
    "uvicorn",
    "--host",
    "127.0.0.1",
    "--port",
    "{port}",
    "--http",
    "httptools",
    "--loop",
    "uvloop",
    "--no-access-log",
    "--log-level",
    "warning",
]
"""How an app that is compared with is run, whose name follows."""


class Cores:
    """The two cores: one for what is measured, the other for the client."""

    def __init__(self) -> None:
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            sys.exit("Two cores are needed: one for the server, one for the load.")
        self.server, self.client = cores[:2]

    def busy(self) -> float:
        """Seconds that the two were used, by whomever."""
        names = {f"cpu{self.server}", f"cpu{self.client}"}
        lines = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
        # user, nice, system, (idle, waiting,) irq, softirq, steal
        ticks = [sum(map(int, (*fields[1:4], *fields[6:9]))) for fields in lines if fields[0] in names]
        return sum(ticks) / TICKS


class Child:
    """A process on the server's core; it ends with this one, however that ends.

    Args:
        log: takes what it writes to standard error, and to standard output unless that is `piped`.
    """

    def __init__(
        self, command: Sequence[str], *, cores: Cores, log: Path, environment: Mapping[str, str], piped: bool = False
    ) -> None:
        libc = ctypes.CDLL(None)

        def settle() -> None:
            os.sched_setaffinity(0, {cores.server})
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

        self._cores = cores
        self._log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
                stdout=subprocess.PIPE if piped else out,
                stderr=out,
                env=os.environ | environment,
                cwd=ROOT,
                preexec_fn=settle,  # noqa: PLW1509 - no other thread runs
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.process.kill()
        self.process.wait()

    def pause(self) -> None:
        """Stop it, so that it costs nothing while another one is measured."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it run again."""
        self.process.send_signal(signal.SIGCONT)

    def cpu(self) -> float:
        """Seconds of a core that it has used, in itself and in the kernel."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def busy(self) -> float:
        """Seconds of its core and the client's that anyone has used."""
        return self._cores.busy()

    def memory(self) -> float:
        """MiB that are resident."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024

    def last_words(self) -> str:
        """The end of its log."""
        return self._log.read_text(errors="replace")[-2000:]

    def log_lines(self) -> list[str]:
        """What it has logged."""
        return self._log.read_text(errors="replace").splitlines()


class Server(Child):
    """A process that listens.

    Args:
        command: `{port}` in it is replaced.
        probe: the request that it answers with 200 as soon as it can predict.

    Raises:
        LoadError: if it does not.
    """

    def __init__(
        self, command: Sequence[str], probe: bytes, *, cores: Cores, log: Path, environment: Mapping[str, str]
    ) -> None:
        self.port = free_port()
        began = time.perf_counter()
        filled = [part.replace("{port}", str(self.port)) for part in command]
        super().__init__(filled, cores=cores, log=log, environment=environment)
        try:
            self._await(probe)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        self.start_seconds = time.perf_counter() - began
        """From exec until the probe was answered."""

    def _await(self, probe: bytes) -> None:
        end = time.monotonic() + START_SECONDS
        found = "nothing"
        while self.process.poll() is None and time.monotonic() < end:
            try:
                with connect(self.port, PROBE_SECONDS) as connection:
                    answer = ask(connection, probe)
                if answer.status == 200:
                    return
                found = f"status {answer.status}: {answer.body[:200]!r}"
            except (OSError, LoadError) as error:
                found = repr(error)
            time.sleep(0.002)
        raise LoadError(f"it did not become ready; last found {found}; its log:\n{self.last_words()}")


class Session(Child):
    """A process that measures itself, as `bench/session.py` and `bench/queries.py` do; it must be `piped`."""

    def run(self, seconds: float) -> Measured:
        """Run the model for some seconds.

        Raises:
            LoadError: if it ends instead.
        """
        stretch = Stretch(self)
        nanoseconds = self.ask(str(seconds))
        stretch.end()
        return stretch.measured(nanoseconds, sum(nanoseconds) / 1e9)

    def ask(self, line: str) -> list[int]:
        """Nanoseconds of each run of what a line asks for.

        Raises:
            LoadError: if it ends instead.
        """
        reader, writer = self.process.stdout, self.process.stdin
        if reader is None or writer is None:
            raise LoadError("a session needs pipes")
        writer.write(f"{line}\n".encode())
        writer.flush()
        answer = reader.readline()
        if not answer:
            raise LoadError(f"it ended:\n{self.last_words()}")
        nanoseconds: list[int] = json.loads(answer)
        return nanoseconds


def mlplat(*words: str) -> str:
    """What a command prints, in the environment of this process; it must not fail."""
    command = [sys.executable, "-m", "mlplat", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return done.stdout


def free_port() -> int:
    """A port that nothing listens on, of those that the system gives to no connection.

    A client that tries a port of the other kind before its server listens can end up connected to itself.
    """
    while True:
        with suppress(OSError), socket.create_server(("127.0.0.1", random.randrange(20_000, 30_000))) as listener:
            port: int = listener.getsockname()[1]
            return port
