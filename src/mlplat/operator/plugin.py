"""The exec plugins of kubeconfigs, by which managed clusters let people in.

As kubectl runs them (https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins),
also of client.authentication.k8s.io/v1, which lightkube refuses.
"""

import json
import os
import subprocess
import sys
from collections.abc import Generator

import httpx2
from lightkube.config.models import UserExec

from mlplat.errors import UsageError

HINT = "Does kubectl work with this kubeconfig?"


class PluginAuth(httpx2.Auth):
    """Asks a plugin for a token, and for another one when the API server no longer takes it.

    Args:
        plugin: as the kubeconfig names it.
    """

    def __init__(self, plugin: UserExec) -> None:
        self._plugin = plugin
        self._token: str | None = None

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Send a request with the token.

        Raises:
            UsageError: if the plugin gives none.
        """
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token}"
            answer = yield request
            if answer.status_code != httpx2.codes.UNAUTHORIZED:
                return
        self._token = self._ask()
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request

    def _ask(self) -> str:
        plugin = self._plugin
        asked = {
            "apiVersion": plugin.apiVersion,
            "kind": "ExecCredential",
            "spec": {"interactive": sys.stdin.isatty()},
        }
        own = {one.name: one.value for one in plugin.env or ()}
        environment = {**os.environ, **own, "KUBERNETES_EXEC_INFO": json.dumps(asked)}
        try:
            done = subprocess.run(  # noqa: S603 - the person's own kubeconfig names it
                [plugin.command, *(plugin.args or ())], env=environment, stdout=subprocess.PIPE, check=True
            )
        except OSError as error:
            raise UsageError(
                f"The plugin {plugin.command} that the kubeconfig names cannot be run: {error}.",
                hint=plugin.installHint or HINT,
            ) from error
        except subprocess.CalledProcessError as error:
            raise UsageError(
                f"The plugin {plugin.command} that the kubeconfig names failed with exit code {error.returncode}.",
                hint=HINT,
            ) from error
        try:
            return str(json.loads(done.stdout)["status"]["token"])
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"The plugin {plugin.command} that the kubeconfig names gives no token.",
                hint="One that gives client certificates is not supported.",
            ) from error
