"""The API server: the kinds that are read and written, and how."""

import hashlib
import ssl
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import httpx2
from lightkube import ApiError, AsyncClient, KubeConfig
from lightkube.config.client_adapter import verify_cluster
from lightkube.config.kubeconfig import SingleConfig
from lightkube.config.models import User
from lightkube.core.exceptions import ConfigError
from lightkube.core.resource import NamespacedResource
from lightkube.generic_resource import create_namespaced_resource
from lightkube.types import PatchType

from mlplat.errors import UsageError
from mlplat.operator.children import MANAGER, OWNER_LABEL, Manifest, Owner
from mlplat.operator.spec import GROUP, KIND, PLURAL, VERSION
from mlplat.operator.view import Event

HANDOVER = "mlplat-handover"
"""Under this name the number of pods is applied that an autoscaler takes over: under none, it would fall to 1."""

OURS = frozenset({MANAGER, HANDOVER})
"""The names that we write under."""

ModelDeployments = create_namespaced_resource(GROUP, VERSION, KIND, PLURAL)

CHILDREN: dict[str, type[NamespacedResource]] = {
    "Deployment": create_namespaced_resource("apps", "v1", "Deployment", "deployments"),
    "Service": create_namespaced_resource("", "v1", "Service", "services"),
    "HorizontalPodAutoscaler": create_namespaced_resource(
        "autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"
    ),
    "PodDisruptionBudget": create_namespaced_resource("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    "HTTPRoute": create_namespaced_resource("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes"),
}
"""The kinds of children."""

BUILT_IN = frozenset({"Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget"})
"""Those that every cluster has, and that take a strategic merge patch."""

_Pod = create_namespaced_resource("", "v1", "Pod", "pods")

_Event = create_namespaced_resource("", "v1", "Event", "events")


class _Counted(httpx2.AsyncHTTPTransport):
    """Tells the method of each request."""

    def __init__(self, context: ssl.SSLContext, asked: Callable[[str], None]) -> None:
        super().__init__(verify=context)
        self._asked = asked

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send it."""
        self._asked(request.method)
        return await super().handle_async_request(request)


def connect(asked: Callable[[str], None]) -> AsyncClient:
    """A client of the API server that kubectl would ask, or of the one of this pod.

    Args:
        asked: is told the method of each request.

    Raises:
        UsageError: if there is none.
    """
    try:
        config = cast("SingleConfig", KubeConfig.from_env().get())
        context = verify_cluster(config.cluster, config.user or User(), config.abs_file)
    except (ConfigError, OSError, ssl.SSLError) as error:
        raise UsageError(
            f"Cannot tell where the API server is: {error}.", hint="Set KUBECONFIG, or run it in a pod of the cluster."
        ) from error
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # Python 3.13 refuses the certificates of many a cluster by it
    return AsyncClient(config, field_manager=MANAGER, transport=_Counted(context, asked))


class Cluster:
    """Writes to the API server.

    Args:
        client: of it.
    """

    def __init__(self, client: AsyncClient) -> None:
        self.client = client

    async def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """A child as it is now; None if there is none."""
        try:
            return _plain(await self.client.get(CHILDREN[kind], name, namespace=namespace))
        except httpx2.HTTPStatusError as error:
            if error.response.status_code == httpx2.codes.NOT_FOUND:
                return None
            raise

    async def pods(self, namespace: str, name: str) -> list[Manifest]:
        """All pods of a ModelDeployment."""
        listed = self.client.list(_Pod, namespace=namespace, labels={OWNER_LABEL: name})
        return [_plain(pod) async for pod in listed]

    async def knows_routes(self, namespaces: Sequence[str]) -> bool | None:
        """Whether the API server has HTTPRoutes; None if we may look at them in none of these namespaces."""
        for namespace in namespaces:
            try:
                async for _ in self.client.list(CHILDREN["HTTPRoute"], namespace=namespace, chunk_size=1):
                    break
            except httpx2.HTTPStatusError as error:
                if error.response.status_code == httpx2.codes.NOT_FOUND:
                    return False
                if error.response.status_code != httpx2.codes.FORBIDDEN:
                    raise
            else:
                return True
        return None

    async def apply(self, manifest: Manifest) -> Manifest:
        """Let the API server have a child as it is wanted; returns it as it is now."""
        resource = CHILDREN[manifest["kind"]]
        return _plain(await self.client.apply(_made(resource, manifest), field_manager=MANAGER, force=True))

    async def patch(self, manifest: Manifest, spec: Manifest) -> Manifest:
        """Change a child's spec by a strategic merge patch; returns the child as it is now."""
        metadata = manifest["metadata"]
        resource = CHILDREN[manifest["kind"]]
        patched = await self.client.patch(
            resource,
            metadata["name"],
            {"spec": spec},
            namespace=metadata["namespace"],
            patch_type=PatchType.STRATEGIC,
            field_manager=MANAGER,
        )
        return _plain(patched)

    async def hand_over(self, manifest: Manifest, replicas: int) -> None:
        """Let the number of a Deployment's pods be no longer ours, but as it is, for an autoscaler to change."""
        partial = {
            "apiVersion": manifest["apiVersion"],
            "kind": manifest["kind"],
            "metadata": {key: manifest["metadata"][key] for key in ("name", "namespace")},
            "spec": {"replicas": replicas},
        }
        await self.client.apply(_made(CHILDREN["Deployment"], partial), field_manager=HANDOVER, force=True)

    async def delete(self, kind: str, namespace: str, name: str) -> None:
        """Delete a child, if it is there."""
        try:
            await self.client.delete(CHILDREN[kind], name, namespace=namespace)
        except httpx2.HTTPStatusError as error:
            if error.response.status_code != httpx2.codes.NOT_FOUND:
                raise

    async def write_status(self, owner: Owner, status: Manifest) -> Manifest | None:
        """Tell the status; returns the resource as it is now, None if there is another one of its name."""
        body = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": KIND,
            "metadata": {"name": owner.name, "namespace": owner.namespace, "uid": owner.uid},
            "status": status,
        }
        try:
            written = await self.client.patch(
                ModelDeployments.Status,
                owner.name,
                body,
                namespace=owner.namespace,
                patch_type=PatchType.APPLY,
                field_manager=MANAGER,
                force=True,
            )
        except ApiError as error:
            if error.status.code == httpx2.codes.CONFLICT:
                return None
            raise
        return _plain(written)

    async def tell(self, owner: Owner, event: Event) -> None:
        """Record a decision, for `kubectl describe`. What fails is left: an event is no more than a help."""
        now = datetime.now(UTC)
        text = f"{owner.uid}{event.reason}{event.message}{now.isoformat()}"
        stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{owner.name}.{hashlib.sha256(text.encode()).hexdigest()[:16]}",
                "namespace": owner.namespace,
            },
            "involvedObject": {
                "apiVersion": f"{GROUP}/{VERSION}",
                "kind": KIND,
                "name": owner.name,
                "namespace": owner.namespace,
                "uid": owner.uid,
            },
            "reason": event.reason,
            "message": event.message[:1024],
            "type": "Warning" if event.warning else "Normal",
            "source": {"component": MANAGER},
            "reportingComponent": MANAGER,
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "count": 1,
        }
        try:
            await self.client.create(_made(_Event, body))
        except httpx2.HTTPError:
            return


def _made(resource: Any, manifest: Manifest) -> Any:
    return resource.from_dict(manifest)


def _plain(found: Any) -> Manifest:
    return dict(found)
