"""The serving process as Kubernetes and a person see it: signals, exit codes, and what it loads."""

import json
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlplat.errors import MlplatError
from mlplat.serve.run import listen

from .conftest import FLOWER, await_ready, poll, serving

LOADED = """
import sys, threading, urllib.request
import mlplat.cli.main
from mlplat.serve.run import listen, make_server
from mlplat.settings import ServeSettings
server = make_server(ServeSettings(store=sys.argv[1], model="iris", version="v1", cache=sys.argv[2]))
listener = listen("127.0.0.1", 0)
thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
thread.start()
while not server.lifecycle.ready:
    assert thread.is_alive()
url = f"http://127.0.0.1:{listener.getsockname()[1]}/predict"
request = urllib.request.Request(url, b'{"features": [1, 2, 3, 4]}', {"Content-Type": "application/json"})
assert urllib.request.urlopen(request).status == 200
server.should_exit = True
thread.join()
print("loaded:", *sorted({name.partition(".")[0] for name in sys.modules} & {"sklearn", "scipy", "pandas", "pyarrow", "joblib"}))
"""


def test_sigterm_under_traffic_fails_no_request_and_exits_with_0(trained: Path, tmp_path: Path) -> None:
    with serving(trained, tmp_path, "--version", "v1", "--drain-seconds", "60") as (process, url, log):
        await_ready(url)
        answered = 0
        with ExitStack() as stack:
            clients = [stack.enter_context(httpx.Client(base_url=url, timeout=30)) for _ in range(8)]
            told_to_leave = 0
            signalled = False
            while told_to_leave < 50:
                for client in clients:
                    answer = client.post("/predict", json=FLOWER)
                    assert answer.status_code == 200
                    answered += 1
                    told_to_leave += answer.headers.get("connection") == "close"
                if answered >= 100 and not signalled:
                    process.send_signal(signal.SIGTERM)
                    signalled = True
        process.send_signal(signal.SIGTERM)  # nobody asks any more: the second one ends the drain
        assert process.wait(30) == 0
        events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
        assert events == ["listening", "ready", "draining", "stopped"]


def test_a_request_in_flight_when_the_drain_ends_is_finished(trained: Path, tmp_path: Path) -> None:
    with serving(trained, tmp_path, "--version", "v1", "--drain-seconds", "0") as (process, url, log):
        await_ready(url)
        body = json.dumps(FLOWER).encode()
        head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(head + body[:5])
            poll(lambda: httpx.get(f"{url}/health").status_code == 200, "the server has read the start")
            process.send_signal(signal.SIGTERM)
            poll(lambda: _refused(port), "the server stopped listening")
            connection.sendall(body[5:])
            answer = connection.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert b"setosa" in answer
        assert process.wait(30) == 0, log.read_text()


def _refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


def test_sigterm_while_starting_exits_with_0(tmp_path: Path) -> None:
    with serving(tmp_path / "none", tmp_path, "--version", "v1", "--drain-seconds", "0") as (process, url, _):
        assert httpx.get(f"{url}/ready").status_code == 503
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_control_c_ends_it_with_0_and_no_traceback(trained: Path, tmp_path: Path) -> None:
    with serving(trained, tmp_path, "--version", "v1", "--drain-seconds", "3600") as (process, url, log):
        await_ready(url)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert "Traceback" not in log.read_text()


def test_kill_9_leaves_a_cache_that_the_next_process_serves_from(trained: Path, tmp_path: Path) -> None:
    for _ in range(2):
        with serving(trained, tmp_path, "--version", "v1") as (process, url, _log):
            await_ready(url)
            assert httpx.post(f"{url}/predict", json=FLOWER).status_code == 200
            process.kill()


def test_serving_loads_no_scikit_learn_pandas_or_pyarrow(trained: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", LOADED, str(trained), str(tmp_path / "cache")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "loaded:"), done.stderr


def test_a_port_that_is_taken_is_one_sentence() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(MlplatError, match=f"Cannot listen on 127.0.0.1:{port}: Address already in use"):
            listen("127.0.0.1", port)


def test_ipv6_is_listened_on_where_the_machine_has_it() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with listen("::1", 0) as listener:
        assert listener.family == socket.AF_INET6


def test_a_rotated_key_works_without_a_restart(trained: Path, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("old\n")

    def status(url: str, key: str) -> Any:
        return httpx.get(f"{url}/version", headers={"X-API-Key": key}).status_code

    with serving(trained, tmp_path, "--version", "v1", "--api-keys-path", str(file)) as (_, url, _log):
        assert status(url, "old") == 200
        file.write_text("old\nnew\n")
        poll(lambda: status(url, "new") == 200, "the new key is taken")
        assert status(url, "old") == 200
        file.write_text("new\n")
        poll(lambda: status(url, "old") == 401, "the old key is refused")
        assert status(url, "new") == 200
