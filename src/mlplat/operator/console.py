"""The API server as a person asks it, by a kubeconfig: for the command line."""

import ssl
from typing import Any, cast

import httpx2
import yaml
from lightkube import KubeConfig
from lightkube.config.client_adapter import user_auth, verify_cluster
from lightkube.config.kubeconfig import SingleConfig
from lightkube.config.models import User
from lightkube.core.exceptions import ConfigError, LoadResourceError

from mlplat.errors import MlplatError, NotFoundError, UsageError
from mlplat.operator.children import OWNER_LABEL, PROMOTE_ANNOTATION, Manifest
from mlplat.operator.explain import Sight
from mlplat.operator.plugin import PluginAuth
from mlplat.operator.spec import GROUP, KIND, PLURAL, VERSION

TIMEOUT_SECONDS = 15.0
MANAGER = "mlplat"

DEPLOYMENTS = f"/apis/{GROUP}/{VERSION}"


class Console:
    """Reads and changes ModelDeployments of one namespace.

    Args:
        namespace: empty for the one of the context.
        context: of the kubeconfig; empty for the current one.

    Raises:
        UsageError: if there is no such context, or no kubeconfig that can be read.
    """

    def __init__(self, *, namespace: str = "", context: str = "") -> None:
        try:
            config = cast("SingleConfig", KubeConfig.from_env().get(context or None))
            user = config.user or User()
            verify = verify_cluster(config.cluster, user, config.abs_file)
            auth = user_auth(user) if user.exec is None else PluginAuth(user.exec)
        except (ConfigError, LoadResourceError, OSError, ssl.SSLError) as error:
            raise UsageError(f"Cannot tell where the API server is: {error}.", hint="Set KUBECONFIG.") from error
        except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise UsageError(
                f"The kubeconfig cannot be read: {error}.", hint="Does kubectl config view show it? Set KUBECONFIG."
            ) from error
        verify.verify_flags &= ~ssl.VERIFY_X509_STRICT  # as in cluster.py
        self.namespace = namespace or config.namespace
        self._client = httpx2.Client(
            base_url=str(config.cluster.server), verify=verify, auth=auth, timeout=TIMEOUT_SECONDS
        )

    def list(self, *, everywhere: bool = False) -> list[Manifest]:
        """All ModelDeployments of the namespace, or of all."""
        found: list[Manifest] = self._get(f"{DEPLOYMENTS}{'' if everywhere else self._place}/{PLURAL}")["items"]
        return found

    def get(self, name: str) -> Manifest:
        """A ModelDeployment.

        Raises:
            NotFoundError: if there is none of this name.
        """
        try:
            return self._get(self._path(name))
        except NotFoundError as error:
            known = ", ".join(one["metadata"]["name"] for one in self.list()) or "none"
            raise NotFoundError(
                f"There is no {KIND} {name} in the namespace {self.namespace}.", hint=f"There: {known}."
            ) from error

    def set_version(self, name: str, version: str, *, token: str = "") -> None:
        """Let a ModelDeployment ask for a version; with a token, without trying it."""
        change: Manifest = {"spec": {"modelVersion": version}}
        if token:
            change["metadata"] = {"annotations": {PROMOTE_ANNOTATION: token}}
        self._patch(name, change)

    def skip_steps(self, name: str, token: str) -> None:
        """Let the canary of this token go through its other steps at once."""
        self._patch(name, {"metadata": {"annotations": {PROMOTE_ANNOTATION: token}}})

    def look(self, name: str) -> Sight:
        """A ModelDeployment with all that may say what it waits for."""
        resource = self.get(name)
        labels = {"labelSelector": f"{OWNER_LABEL}={name}"}
        deployments = self._get(f"/apis/apps/v1{self._place}/deployments", **labels)["items"]
        pods = self._get(f"/api/v1{self._place}/pods", **labels)["items"]
        events = self._get(f"/api/v1{self._place}/events")["items"]
        names = {pod["metadata"]["name"] for pod in pods}
        return Sight(
            resource=resource,
            deployments=deployments,
            pods=pods,
            events=[event for event in events if event["involvedObject"].get("name") in names],
            answers={one: answer for one in names if (answer := self._ready(one)) is not None},
        )

    def _patch(self, name: str, change: Manifest) -> None:
        headers = {"Content-Type": "application/merge-patch+json"}
        self._ask("PATCH", self._path(name), params={"fieldManager": MANAGER}, headers=headers, json=change)

    @property
    def _place(self) -> str:
        return f"/namespaces/{self.namespace}"

    def _path(self, name: str) -> str:
        return f"{DEPLOYMENTS}{self._place}/{PLURAL}/{name}"

    def _ready(self, pod: str) -> str | None:
        """What a pod says at /ready, asked through the API server; None if it cannot be asked."""
        try:
            answer = self._client.get(f"/api/v1{self._place}/pods/{pod}:8000/proxy/ready")
            said = answer.json()
        except (httpx2.HTTPError, ValueError):
            return None
        return said.get("error") if isinstance(said, dict) and "kind" not in said else None

    def _get(self, path: str, **params: str) -> Manifest:
        return self._ask("GET", path, params=params)

    def _ask(self, method: str, path: str, **given: Any) -> Manifest:
        try:
            answer = self._client.request(method, path, **given)
        except ConfigError as error:  # a file with the token that is gone
            raise UsageError(f"The kubeconfig lets nobody in: {error}.", hint="Does kubectl work with it?") from error
        except httpx2.HTTPError as error:
            raise MlplatError(f"The API server at {self._client.base_url} does not answer: {error}.") from error
        if answer.is_success:
            found: Manifest = answer.json()
            return found
        said = _message(answer)
        if answer.status_code == httpx2.codes.NOT_FOUND:
            raise NotFoundError(said)
        if answer.status_code == httpx2.codes.UNPROCESSABLE_ENTITY:
            raise UsageError(said)
        raise MlplatError(said)


def _message(answer: httpx2.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return f"The API server answered {answer.status_code}."
