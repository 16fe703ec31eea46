"""Whose turn it is when the base changes: a few Deployments roll at a time, the others serve on as they are.

What is kept here is found again in the cluster after a restart: each Deployment says which base it was made from.
"""

from collections.abc import Mapping

from mlplat.operator.children import BASE_ANNOTATION, Manifest
from mlplat.operator.informer import Key
from mlplat.operator.rollout import read_rollout


class Turns:
    """Lets a few Deployments at a time be rolled by a changed base. Belongs to one event loop.

    Args:
        deployments: all that are known, by namespace and name.
        digest: of the present base.
        most: so many at a time.
    """

    def __init__(self, deployments: Mapping[Key, Manifest], *, digest: str, most: int) -> None:
        self._deployments = deployments
        self._digest = digest
        self._most = most
        self._rolling: set[Key] | None = None

    def waits(self, key: Key) -> bool:
        """Whether a Deployment is not to be touched yet; if it is, it has its turn from now on until it has rolled."""
        found = self._deployments.get(key)
        if found is None or self._is_new(found):
            return False
        if self._rolling is None:  # after a restart: those that were under way
            self._rolling = {each for each, one in self._deployments.items() if self._is_new(one)}
        self._rolling = {each for each in self._rolling if self._is_rolling(each)}
        if key in self._rolling:
            return False
        if len(self._rolling) >= self._most:
            return True
        self._rolling.add(key)
        return False

    def give_back(self, key: Key) -> None:
        """Let another one have the turn of a Deployment that could not be written; one that was, and so rolls, keeps it."""
        found = self._deployments.get(key)
        if self._rolling is not None and (found is None or not self._is_new(found)):
            self._rolling.discard(key)

    def _is_new(self, deployment: Manifest) -> bool:
        return bool(deployment["metadata"].get("annotations", {}).get(BASE_ANNOTATION) == self._digest)

    def _is_rolling(self, key: Key) -> bool:
        """One that makes no progress holds up none of the others: its own pods of before serve on."""
        found = self._deployments.get(key)
        if found is None:
            return False
        rollout = read_rollout(found)
        return not (self._is_new(found) and (rollout.complete or rollout.late))
