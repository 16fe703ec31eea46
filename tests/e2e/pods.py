"""Pods of the tests' own, which meet the restricted Pod Security Standard like all others."""

from .namespace import Namespace, Object
from .polling import poll

USER = 10001


def restricted_pod(name: str, image: str, command: list[str], mounts: dict[str, Object]) -> Object:
    """A pod that runs a command of the image, with volumes by the path where they are mounted."""
    volumes = {f"volume{number}": (path, volume) for number, (path, volume) in enumerate(mounts.items())}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"component": name}},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "fsGroup": USER,
                "fsGroupChangePolicy": "OnRootMismatch",
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": name,
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": command,
                    "resources": {
                        "requests": {"cpu": "50m", "memory": "64Mi"},
                        "limits": {"cpu": "1", "memory": "512Mi"},
                    },
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [{"name": each, "mountPath": path} for each, (path, _) in volumes.items()],
                }
            ],
            "volumes": [{"name": each, **volume} for each, (_, volume) in volumes.items()],
        },
    }


class Workbench:
    """A pod with the claim of a release, to look at the store and to change it as someone who can write it could."""

    NAME = "workbench"

    def __init__(self, namespace: Namespace, image: str, claim: str) -> None:
        self._namespace = namespace
        forever = ["python", "-c", "import signal; signal.pause()"]
        mounts: dict[str, Object] = {
            "/models": {"persistentVolumeClaim": {"claimName": claim}},
            "/tmp": {"emptyDir": {}},
        }
        pod = restricted_pod(self.NAME, image, forever, mounts)
        pod["spec"]["containers"][0]["env"] = [{"name": "MLPLAT_STORE", "value": "/models/store"}]
        namespace.apply(pod)
        poll(lambda: any(each["status"]["phase"] == "Running" for each in namespace.pods(self.NAME)), "it runs")

    def run(self, *words: str) -> str:
        """What a command says there."""
        return self._namespace.kubectl("exec", self.NAME, "--", *words)

    def python(self, code: str) -> str:
        """What a few lines of Python say there."""
        return self.run("python", "-c", code)
