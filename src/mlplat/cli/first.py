"""`mlplat serve --train`: the version that is to be served is trained beside the server, if the store lacks it."""

import subprocess
import sys
from threading import Event, Thread
from typing import Self

from mlplat import logs
from mlplat.errors import MlplatError, NotFoundError
from mlplat.settings import ServeSettings
from mlplat.store import open_store

RETRY_SECONDS = 5.0
"""How long to wait before a store that did not answer is asked again."""

LOOK_SECONDS = 0.1
"""How often to look whether the training ended."""

END_SECONDS = 2.0
"""How long a training may take to end at SIGTERM before it is killed."""


class FirstTraining:
    """A context around the server: trains in a process of its own, which ends with the block at the latest.

    The server meanwhile listens and waits for the version as for any other. A training that fails is said once in the
    log, and not tried again.
    """

    def __init__(self, settings: ServeSettings, recipe: str) -> None:
        self._settings = settings
        self._recipe = recipe
        self._leaving = Event()
        self._thread = Thread(target=self._run, name="train", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.set()
        self._thread.join(2 * END_SECONDS)  # longer only if the store does not answer, and then there is no training

    def _run(self) -> None:
        if not self._lacking():
            return
        log = logs.get().bind(recipe=self._recipe, model=self._settings.model)
        log.info("training")
        code = self._train()
        if self._leaving.is_set():
            return
        if code == 0:
            log.info("trained")
        else:
            log.error("training_failed", exit_code=code, hint="Its error is above; the server waits for the version.")

    def _lacking(self) -> bool:
        """Whether the store lacks the version or alias; asks until it answers."""
        settings = self._settings
        while not self._leaving.is_set():
            try:
                store = open_store(settings.store)
                version = store.resolve(settings.model, version=settings.version, alias=settings.alias)
                store.manifest(settings.model, version)
            except NotFoundError:
                return not self._leaving.is_set()
            except MlplatError:
                self._leaving.wait(RETRY_SECONDS)  # the server says in /ready what is wrong with the store
            else:
                return False
        return False

    def _train(self) -> int:
        """Run the training until it ends, or the server does; its exit code."""
        with subprocess.Popen(  # noqa: S603 - ourselves
            command(self._settings, self._recipe),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # its logs go to standard error, as ours do
            process_group=0,  # Control-C is for the server, which ends it
        ) as child:
            while child.poll() is None:
                if self._leaving.wait(LOOK_SECONDS):
                    child.terminate()
                    try:
                        child.wait(END_SECONDS)
                    except subprocess.TimeoutExpired:
                        child.kill()
        return child.returncode


def command(settings: ServeSettings, recipe: str) -> list[str]:
    """What trains the version that `settings` name, with a recipe; parameters come from the environment as for any."""
    given = ["--recipe", recipe, "--model", settings.model, "--store", settings.store]
    if settings.alias is None:
        given += ["--version", str(settings.version)]
    else:
        given += ["--version", "v1", "--promote", settings.alias, "--if-absent"]
    return [sys.executable, "-m", "mlplat", "train", *given]
