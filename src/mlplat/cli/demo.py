"""`mlplat demo`: the whole life of a model, as commands that a person would type, each answer checked."""

import io
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import chdir, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from mlplat.cli.app import app
from mlplat.cli.options import ENV_PREFIX, command
from mlplat.errors import MlplatError
from mlplat.settings import DemoSettings

if TYPE_CHECKING:
    from rich.console import Console

PATIENCE_SECONDS = 60.0
"""How long the demo waits for anything before it fails."""

FLOWERS = "flowers.parquet"
SERVER_LOG = "serve.log"
LISTENING = re.compile(r'"url": "(http://[^"]+)".*"event": "listening"')
"""What a server logs when nobody else can have its port any more."""


@command(app, DemoSettings, name="demo")
def demo(settings: DemoSettings) -> None:
    """Train, publish, serve, move, roll back and score on this machine, in half a minute.

    Works in a temporary folder and leaves nothing behind. Fails if any step's answer is not right.
    """
    folder = Path(tempfile.mkdtemp(prefix="mlplat-demo-"))
    play = Demo(folder)
    kept = False
    try:
        play.run()
        kept = settings.keep
        if kept:
            play.leave()
        else:
            play.stop()
    finally:
        if not kept:
            play.kill()
            shutil.rmtree(folder, ignore_errors=True)


class DemoError(MlplatError):
    """A step of the demo gave a wrong answer."""

    code = "demo_failed"


class Demo:
    """One run of the demo in `folder`."""

    def __init__(self, folder: Path, console: "Console | None" = None) -> None:
        self._folder = folder
        from rich.console import Console

        self._console = console or Console(highlight=False, soft_wrap=True)
        self._server: subprocess.Popen[bytes] | None = None
        self._url = ""
        for name in [each for each in os.environ if each.startswith(ENV_PREFIX)]:
            del os.environ[name]  # an option that was meant for another command
        os.environ.setdefault("LOG_LEVEL", "warning")
        os.environ |= {"MLPLAT_CACHE": str(folder / "cache"), "MLPLAT_STORE": "models", "MLPLAT_BY": "demo"}
        self._start = time.monotonic()

    def run(self) -> None:
        """All steps but the end.

        Raises:
            DemoError: if an answer is not right.
        """
        self._title("Train two versions of a model on real data, and publish them")
        first = self._mlplat("train", "--recipe", "iris", "--version", "v1", "--promote", "champion")
        check("v1" in first, "v1 was published")
        second = self._mlplat(
            "train", "--recipe", "iris", "--version", "v2", "--param", "estimator=logistic_regression"
        )
        check("v2" in second, "v2 was published")
        listed = self._mlplat("models", "list", "iris", "--output", "json", quiet=True)
        check([row["version"] for row in json.loads(listed)] == ["v1", "v2"], "both versions are in the store")
        self._mlplat("models", "list", "iris")

        self._title("Serve what the alias 'champion' names")
        self._serve()
        answer = self._predict({"features": [5.1, 3.5, 1.4, 0.2]})
        check(answer["prediction"] == "setosa" and answer["model_version"] == "v1", "v1 knows a setosa")
        answer = self._predict({"features": [[6.7, 3.0, 5.2, 2.3], [5.1, 3.5, 1.4, 0.2]], "return_probabilities": True})
        check(answer["predictions"] == ["virginica", "setosa"], "v1 knows two flowers at once")
        self._refused({"features": [5.1, "wide", 1.4, 0.2]})

        self._title("Move to v2 and back while requests come in: not one fails")
        with Traffic(self._url) as traffic:
            moved = self._mlplat("models", "promote", "iris", "v2")
            check("champion is v2" in moved, "champion moved to v2")
            self._await_version("v2")
            back = self._mlplat("models", "rollback", "iris", "champion")
            check("champion is v1" in back, "champion moved back to v1")
            self._await_version("v1")
        self._say(f"{traffic.answered.total()} requests meanwhile: {dict(traffic.answered)}, {traffic.failed} failed")
        check(traffic.failed == 0 and set(traffic.answered) == {"v1", "v2"}, "both versions answered, nothing failed")
        history = json.loads(self._mlplat("models", "history", "iris", "champion", "--output", "json", quiet=True))
        check([move["version"] for move in history] == ["v1", "v2", "v1"], "the history of champion is kept")
        self._mlplat("models", "history", "iris", "champion")

        self._title("Score a file")
        species = write_flowers(self._folder / FLOWERS)
        self._mlplat(
            "batch", "--model", "iris", "--alias", "champion", "--input", FLOWERS, "--output", "scored.parquet"
        )
        self._check_scores(species)

    def stop(self) -> None:
        """End the server as Kubernetes would, and say how long all took.

        Raises:
            DemoError: if the server does not end well.
        """
        self._title("Stop the server")
        if self._server is None:
            return
        self._command(f"kill -TERM {self._server.pid}")
        self._server.send_signal(signal.SIGTERM)
        code = self._server.wait(PATIENCE_SECONDS)
        check(code == 0, f"the server finished what was in flight and ended with exit code {code}")
        self._done()

    def leave(self) -> None:
        """Say where the server stays."""
        self._done()
        pid = self._server.pid if self._server is not None else 0
        self._say(f"The server stays at {self._url} (try {self._url}/docs); its store is in {self._folder}.")
        self._say(f"End it with: kill {pid}; rm -r {self._folder}")

    def kill(self) -> None:
        """End the server, whatever happened."""
        if self._server is not None and self._server.poll() is None:
            self._server.kill()
            self._server.wait()

    def _serve(self) -> None:
        for port in (free_port(), 0):  # another may take the first one before the server does
            self._start_server(port)
            wait_for(self._has_begun, "the server listens", self._server_log)
            if self._url:
                break
        wait_for(self._is_ready, "the server is ready", self._server_log)
        self._command(f"curl {self._url}/ready")
        self._json(fetch(f"{self._url}/ready")[1])

    def _start_server(self, port: int) -> None:
        args = ["serve", "--model", "iris", "--alias", "champion", "--host", "127.0.0.1"]
        args += ["--port", str(port), "--poll-seconds", "0.2", "--drain-seconds", "0"]
        self._command(shlex.join(["mlplat", *args]) + " &")
        with (self._folder / SERVER_LOG).open("wb") as log:
            self._server = subprocess.Popen(  # noqa: S603 - our own command line
                [sys.executable, "-m", "mlplat", *args],
                cwd=self._folder,
                env=os.environ | {"LOG_LEVEL": "info"},  # so that it says where it listens
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _has_begun(self) -> bool:
        """Whether the server listens, and so is who answers at its URL, or could not and ended."""
        ended = self._server is not None and self._server.poll() is not None
        listening = LISTENING.search((self._folder / SERVER_LOG).read_text())
        self._url = listening[1] if listening else ""
        return ended or bool(self._url)

    def _is_ready(self) -> bool:
        if self._server is not None and self._server.poll() is not None:
            raise DemoError(f"The server ended with exit code {self._server.returncode}: {self._server_log()}")
        return fetch(f"{self._url}/ready")[0] == 200

    def _server_log(self) -> str:
        return (self._folder / SERVER_LOG).read_text()[-2000:]

    def _await_version(self, version: str) -> None:
        wait_for(
            lambda: fetch(f"{self._url}/version")[1].get("model_version") == version,
            f"the server swapped to {version}",
            self._server_log,
        )
        self._say(f"the server answers with {version}")

    def _predict(self, body: dict[str, Any]) -> dict[str, Any]:
        text = json.dumps(body)
        self._command(f"curl {self._url}/predict -H 'Content-Type: application/json' -d '{text}'")
        status, answer = fetch(f"{self._url}/predict", text)
        self._json(answer)
        check(status == 200, f"the server answered {status}")
        return answer

    def _refused(self, body: dict[str, Any]) -> None:
        text = json.dumps(body)
        self._command(f"curl {self._url}/predict -H 'Content-Type: application/json' -d '{text}'")
        status, answer = fetch(f"{self._url}/predict", text)
        self._json(answer)
        check(status == 422 and "sepal_width" in answer["error"], "a wrong value is refused, naming its column")

    def _check_scores(self, species: Sequence[str]) -> None:
        import pyarrow.parquet as pq

        table = pq.read_table(self._folder / "scored.parquet")
        predicted = table.column("prediction").to_pylist()
        right = sum(a == b for a, b in zip(predicted, species, strict=True))
        self._say(f"{table.num_rows} rows: {', '.join(table.column_names)}")
        self._say(f"{right} of {len(species)} flowers got their right name")
        check(right >= 0.95 * len(species), "the file was scored")
        check(set(table.column("model_version").to_pylist()) == {"v1"}, "by the version that the alias names")

    def _mlplat(self, *args: str, quiet: bool = False) -> str:
        """Run a command as a person would, but in this process, which is faster; its standard output."""
        if not quiet:
            self._command(shlex.join(["mlplat", *args]))
        out = io.StringIO()
        with chdir(self._folder), redirect_stdout(out):
            app(list(args), standalone_mode=False)
        if not quiet:
            self._say(out.getvalue().rstrip())
        return out.getvalue()

    def _title(self, text: str) -> None:
        self._console.print()
        self._console.print(text, style="bold cyan", markup=False)

    def _command(self, text: str) -> None:
        self._console.print("$ ", style="dim", markup=False, end="")
        self._console.print(text, style="bold green", markup=False)

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False)

    def _json(self, value: dict[str, Any]) -> None:
        from rich.highlighter import JSONHighlighter

        self._console.print(JSONHighlighter()(json.dumps(value)))

    def _done(self) -> None:
        seconds = time.monotonic() - self._start
        self._console.print()
        self._console.print(f"Every answer was right, in {seconds:.1f} s.", style="bold green", markup=False)


class Traffic:
    """Sends one request after the other until it is left, and counts the answers by version."""

    def __init__(self, url: str) -> None:
        self.answered: Counter[str] = Counter()
        self.failed = 0
        self._url = url
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._send, name="traffic")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _send(self) -> None:
        body = json.dumps({"features": [5.1, 3.5, 1.4, 0.2]})
        give_up = time.monotonic() + 2 * PATIENCE_SECONDS
        while not self._end.is_set() and time.monotonic() < give_up:
            status, answer = fetch(f"{self._url}/predict", body)
            if status == 200:
                self.answered[answer["model_version"]] += 1
            else:
                self.failed += 1


def check(right: bool, what: str) -> None:
    """Go on only if an answer was right.

    Raises:
        DemoError: if it was not.
    """
    if not right:
        raise DemoError(f"The demo expected that {what}, and it is not so.")


def wait_for(condition: Callable[[], bool], what: str, log: Callable[[], str]) -> None:
    """Poll until `condition` holds.

    Raises:
        DemoError: with the end of the log, if it does not hold in time.
    """
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise DemoError(f"Waited {PATIENCE_SECONDS:g} s until {what}: {log()}")
        time.sleep(0.05)


def fetch(url: str, body: str | None = None) -> tuple[int, dict[str, Any]]:
    """The status and JSON of a URL; status 0 where there is no answer. With a body it is a POST."""
    import urllib.error
    import urllib.request

    directly = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # this very machine is behind no proxy
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, body.encode() if body else None, headers)  # noqa: S310 - our own URL
    try:
        with directly.open(request, timeout=PATIENCE_SECONDS) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)
    except OSError:
        return 0, {}


def free_port() -> int:
    """8000 if nothing listens there, else any free port."""
    for port in (8000, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise DemoError("There is no free port on 127.0.0.1.")


def write_flowers(path: Path) -> list[str]:
    """Write the 150 measured flowers to a Parquet file; the species of each, in order."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from sklearn.datasets import load_iris

    iris = load_iris()
    names = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
    columns = {"flower": list(range(len(iris.data)))} | {name: iris.data[:, i] for i, name in enumerate(names)}
    pq.write_table(pa.table(columns), path)
    return [str(iris.target_names[index]) for index in iris.target]
