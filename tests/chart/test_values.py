"""What each value does: where it ends up in which object."""

from typing import Any

import pytest

from .conftest import Render, one

ABSENT = "ABSENT"
"""Expected of what must not be there."""

POD = "spec template spec"
"""Of a Deployment or a Job."""
MAIN = f"{POD} containers 0"
RUN = "spec jobTemplate spec"
"""Of a CronJob: the spec of its Jobs."""

BATCH = {"batch.enabled": True, "training.enabled": False}
"""One Job, that scores."""
CRON = BATCH | {"batch.schedule": "*/5 * * * *"}
ALIAS = {"model.version": "", "model.alias": "champion"}
RETRAIN = ALIAS | {"training.retraining.enabled": True}
SHARED = {"store.pvc.accessMode": "ReadWriteMany"}
HPA = {"serving.autoscaling.enabled": True}
PDB = SHARED | {"serving.podDisruptionBudget.enabled": True}
INGRESS = {"serving.ingress.enabled": True}
ROUTE = {"serving.httpRoute.enabled": True, "serving.httpRoute.parentRefs": [{"name": "public", "namespace": "gw"}]}
MONITOR = {"monitoring.serviceMonitor.enabled": True}
RULE = {"monitoring.prometheusRule.enabled": True}
QUOTA = {"policies.resourceQuota.enabled": True}
RANGE = {"policies.limitRange.enabled": True}
NETWORK = {"policies.networkPolicy.enabled": True}
SQLITE: dict[str, Any] = {"registry.enabled": True}
POSTGRES = SQLITE | {"registry.database.existingSecret": "postgres"}
THROUGH = {"store.through": "registry", "store.keys.existingSecret": "keys"}

DIGEST = f"sha256:{'0' * 64}"
TOLERATION = {"key": "pool", "operator": "Exists"}
VARIABLE = {"name": "MINE", "value": "1"}
SOURCE = {"configMapRef": {"name": "mine"}}
VOLUME = {"name": "mine", "emptyDir": {}}
MOUNT = {"name": "mine", "mountPath": "/mine"}
CPU_METRIC = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 55}},
}
MEMORY_METRIC = {
    "type": "Resource",
    "resource": {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 66}},
}
QUEUE_METRIC = {
    "type": "Pods",
    "pods": {"metric": {"name": "q"}, "target": {"type": "AverageValue", "averageValue": "1"}},
}
CHURN_DATA = "/models/churn.csv"

Row = tuple[dict[str, Any], str, str, Any]
"""Values by their dotted names, a kind (and the ending of a name), a path into that object, what is there."""

IMAGE: list[Row] = [
    ({}, "Deployment", f"{MAIN} image", "ml-platform:0.1.0"),
    ({"image.registry": "ghcr.io/acme"}, "Deployment", f"{MAIN} image", "ghcr.io/acme/ml-platform:0.1.0"),
    ({"image.registry": "ghcr.io/acme/"}, "Deployment", f"{MAIN} image", "ghcr.io/acme/ml-platform:0.1.0"),
    ({"image.repository": "models/serve"}, "Job", f"{MAIN} image", "models/serve:0.1.0"),
    ({"image.tag": "v9"}, "Deployment", f"{MAIN} image", "ml-platform:v9"),
    ({"image.tag": "v9"}, "Job", f"{MAIN} image", "ml-platform:v9"),
    ({"image.tag": "v9"}, "Pod", "spec containers 0 image", "ml-platform:v9"),
    (BATCH | {"image.tag": "v9"}, "Job", f"{MAIN} image", "ml-platform:v9"),
    ({"image.tag": "v9", "image.digest": DIGEST}, "Deployment", f"{MAIN} image", f"ml-platform@{DIGEST}"),
    ({}, "Deployment", f"{MAIN} imagePullPolicy", "IfNotPresent"),
    ({"image.pullPolicy": "Always"}, "Deployment", f"{MAIN} imagePullPolicy", "Always"),
    ({}, "Deployment", f"{POD} imagePullSecrets", ABSENT),
    ({"image.pullSecrets": ["a", "b"]}, "Deployment", f"{POD} imagePullSecrets", [{"name": "a"}, {"name": "b"}]),
    ({"image.pullSecrets": ["a"]}, "Job", f"{POD} imagePullSecrets", [{"name": "a"}]),
    ({"image.pullSecrets": ["a"]}, "Pod", "spec imagePullSecrets", [{"name": "a"}]),
]

IDENTITY: list[Row] = [
    ({}, "ServiceAccount", "metadata name", "ml-platform"),
    ({}, "ServiceAccount", "automountServiceAccountToken", False),
    ({}, "ServiceAccount", "metadata annotations", ABSENT),
    ({}, "Deployment", f"{POD} serviceAccountName", "ml-platform"),
    ({"serviceAccount.name": "models"}, "ServiceAccount", "metadata name", "models"),
    ({"serviceAccount.name": "models"}, "Job", f"{POD} serviceAccountName", "models"),
    ({"serviceAccount.create": False}, "Deployment", f"{POD} serviceAccountName", "default"),
    (
        {"serviceAccount.create": False, "serviceAccount.name": "mine"},
        "Deployment",
        f"{POD} serviceAccountName",
        "mine",
    ),
    ({"serviceAccount.annotations": {"role": "arn"}}, "ServiceAccount", "metadata annotations", {"role": "arn"}),
    ({}, "Deployment", f"{POD} securityContext runAsUser", 10001),
    ({}, "Deployment", f"{POD} securityContext runAsGroup", 10001),
    ({}, "Deployment", f"{POD} securityContext fsGroup", 10001),
    ({"security.runAsUser": 2000}, "Job", f"{POD} securityContext runAsUser", 2000),
    ({"security.fsGroup": 3000}, "Job", f"{POD} securityContext fsGroup", 3000),
    ({"security.runAsUser": None}, "Deployment", f"{POD} securityContext runAsUser", ABSENT),
    ({"security.runAsUser": None}, "Deployment", f"{POD} securityContext runAsGroup", ABSENT),
    ({"security.fsGroup": None}, "Deployment", f"{POD} securityContext fsGroup", ABSENT),
    ({"security.fsGroup": None}, "Deployment", f"{POD} securityContext fsGroupChangePolicy", ABSENT),
    ({"security.runAsUser": None}, "Deployment", f"{POD} securityContext runAsNonRoot", True),
]

STORE: list[Row] = [
    ({}, "Deployment", f"{MAIN} env MLPLAT_STORE value", "file:///models/store"),
    ({"store.url": "s3://b/p"}, "Deployment", f"{MAIN} env MLPLAT_STORE value", "s3://b/p"),
    ({"store.url": "s3://b/p"}, "Job", f"{MAIN} env MLPLAT_STORE value", "s3://b/p"),
    ({"store.url": "s3://b/p"}, "Deployment", f"{POD} volumes models", ABSENT),
    ({}, "Deployment", f"{MAIN} envFrom 0 configMapRef name", "ml-platform-settings"),
    ({"store.existingSecret": "s3"}, "Deployment", f"{MAIN} envFrom 0 configMapRef name", "ml-platform-settings"),
    ({"store.existingSecret": "s3"}, "Deployment", f"{MAIN} envFrom 1 secretRef name", "s3"),
    ({"store.existingSecret": "s3"}, "Job", f"{MAIN} envFrom 0 secretRef name", "s3"),
    (BATCH | {"store.existingSecret": "s3"}, "Job", f"{MAIN} envFrom 0 secretRef name", "s3"),
    ({"store.env": {"AWS_REGION": "eu"}}, "Deployment", f"{MAIN} env AWS_REGION value", "eu"),
    ({"store.env": {"AWS_REGION": "eu"}}, "Job", f"{MAIN} env AWS_REGION value", "eu"),
    (BATCH | {"store.env": {"AWS_REGION": "eu"}}, "Job", f"{MAIN} env AWS_REGION value", "eu"),
    ({}, "PersistentVolumeClaim", "metadata annotations", {"helm.sh/resource-policy": "keep"}),
    ({"store.pvc.keep": False}, "PersistentVolumeClaim", "metadata annotations", ABSENT),
    ({}, "PersistentVolumeClaim", "spec storageClassName", ABSENT),
    ({"store.pvc.storageClass": ""}, "PersistentVolumeClaim", "spec storageClassName", ""),
    ({"store.pvc.storageClass": "fast"}, "PersistentVolumeClaim", "spec storageClassName", "fast"),
    ({}, "PersistentVolumeClaim", "spec accessModes", ["ReadWriteOnce"]),
    (SHARED, "PersistentVolumeClaim", "spec accessModes", ["ReadWriteMany"]),
    ({}, "PersistentVolumeClaim", "spec resources requests storage", "1Gi"),
    ({"store.pvc.size": "7Gi"}, "PersistentVolumeClaim", "spec resources requests storage", "7Gi"),
    ({}, "Deployment", f"{POD} volumes models persistentVolumeClaim claimName", "ml-platform-store"),
    (
        {"store.pvc.existingClaim": "mine"},
        "Deployment",
        f"{POD} volumes models persistentVolumeClaim claimName",
        "mine",
    ),
    ({"store.pvc.existingClaim": "mine"}, "Job", f"{POD} volumes models persistentVolumeClaim claimName", "mine"),
]

MODEL: list[Row] = [
    ({}, "Job", f"{MAIN} env MLPLAT_RECIPE value", "iris"),
    ({"model.recipe": "churn"}, "Job", f"{MAIN} env MLPLAT_RECIPE value", "churn"),
    ({"model.recipe": "churn"}, "Job", f"{MAIN} env MLPLAT_MODEL value", "churn"),
    ({"model.name": "flowers"}, "Job", f"{MAIN} env MLPLAT_RECIPE value", "iris"),
    ({"model.name": "flowers"}, "Job", f"{MAIN} env MLPLAT_MODEL value", "flowers"),
    ({"model.name": "flowers"}, "Deployment", f"{MAIN} args --model", "flowers"),
    ({"model.name": "flowers"}, "Deployment", "spec template metadata labels model-name", "flowers"),
    ({"model.version": "v2"}, "Deployment", f"{MAIN} args --version", "v2"),
    ({"model.version": "v2"}, "Job", f"{MAIN} env MLPLAT_VERSION value", "v2"),
    (ALIAS, "Deployment", f"{MAIN} args --alias", "champion"),
    (ALIAS, "Deployment", f"{MAIN} args --version", ABSENT),
    (ALIAS, "Job", f"{MAIN} env MLPLAT_PROMOTE value", "champion"),
    ({}, "Job", f"{MAIN} env MLPLAT_DATA", ABSENT),
    ({"model.data": "churn.csv"}, "Job", f"{MAIN} env MLPLAT_DATA value", "churn.csv"),
    ({}, "Job", f"{MAIN} env MLPLAT_SEED value", "0"),
    ({"model.seed": 12345678}, "Job", f"{MAIN} env MLPLAT_SEED value", "12345678"),
    ({}, "Deployment", f"{MAIN} env MLPLAT_ALLOW_PICKLE value", "false"),
    ({"model.allowPickle": True}, "Deployment", f"{MAIN} env MLPLAT_ALLOW_PICKLE value", "true"),
    ({"model.allowPickle": True}, "Job", f"{MAIN} env MLPLAT_ALLOW_PICKLE value", "true"),
    (BATCH | {"model.allowPickle": True}, "Job", f"{MAIN} env MLPLAT_ALLOW_PICKLE value", "true"),
    ({}, "Pod", "spec containers 0 args --model", "iris"),
    ({}, "Pod", "spec containers 0 args 1", "http://ml-platform:80"),
    ({"serving.service.port": 8080}, "Pod", "spec containers 0 args 1", "http://ml-platform:8080"),
    ({"model.version": "v2"}, "Pod", "spec containers 0 args --version", "v2"),
    (ALIAS, "Pod", "spec containers 0 args --model", "iris"),
    (ALIAS, "Pod", "spec containers 0 args --version", ABSENT),
    ({}, "Pod", "metadata annotations helm.sh/hook", "test"),
]

TRAINING: list[Row] = [
    ({}, "Job", "spec backoffLimit", 3),
    ({"training.backoffLimit": 0}, "Job", "spec backoffLimit", 0),
    ({}, "Job", "spec activeDeadlineSeconds", 900),
    ({"training.activeDeadlineSeconds": 60}, "Job", "spec activeDeadlineSeconds", 60),
    ({"training.ttlSecondsAfterFinished": 90}, "Job", "spec ttlSecondsAfterFinished", 90),
    ({}, "Job", f"{POD} restartPolicy", "Never"),
    ({"training.jobs": 3}, "Job", f"{MAIN} env MLPLAT_JOBS value", "3"),
    ({"training.extraArgs": ["--verbose", "x"]}, "Job", f"{MAIN} args", ["train", "--verbose", "x"]),
    ({"training.image": "acme/train:1"}, "Job", f"{MAIN} image", "acme/train:1"),
    ({"training.image": "acme/train:1"}, "Deployment", f"{MAIN} image", "ml-platform:0.1.0"),
    ({"training.command": ["fit"]}, "Job", f"{MAIN} command", ["fit"]),
    ({"training.resources": {"requests": {"cpu": "900m"}}}, "Job", f"{MAIN} resources requests cpu", "900m"),
    ({"training.gpu": {"count": 2, "resource": "amd.com/gpu"}}, "Job", f"{MAIN} resources limits amd.com/gpu", 2),
    ({"training.gpu": {"count": 1, "runtimeClassName": "n"}}, "Job", f"{POD} runtimeClassName", "n"),
    (RETRAIN, "CronJob/-retrain", "spec schedule", "0 2 * * 0"),
    (RETRAIN | {"training.retraining.schedule": "1 1 * * *"}, "CronJob", "spec schedule", "1 1 * * *"),
    (RETRAIN, "CronJob", "spec timeZone", ABSENT),
    (RETRAIN | {"training.retraining.timeZone": "Europe/Berlin"}, "CronJob", "spec timeZone", "Europe/Berlin"),
    (RETRAIN, "CronJob", "spec suspend", False),
    (RETRAIN | {"training.retraining.suspend": True}, "CronJob", "spec suspend", True),
    (RETRAIN, "CronJob", "spec startingDeadlineSeconds", 3600),
    (RETRAIN | {"training.retraining.startingDeadlineSeconds": 77}, "CronJob", "spec startingDeadlineSeconds", 77),
    (RETRAIN, "CronJob", "spec concurrencyPolicy", "Forbid"),
    (RETRAIN | {"training.backoffLimit": 1}, "CronJob", f"{RUN} backoffLimit", 1),
    (RETRAIN | {"training.activeDeadlineSeconds": 61}, "CronJob", f"{RUN} activeDeadlineSeconds", 61),
    (RETRAIN | {"training.ttlSecondsAfterFinished": 91}, "CronJob", f"{RUN} ttlSecondsAfterFinished", 91),
    (
        RETRAIN | {"model.data": CHURN_DATA},
        "CronJob",
        f"{RUN} template spec containers 0 env MLPLAT_DATA value",
        CHURN_DATA,
    ),
    (RETRAIN, "CronJob", f"{RUN} template spec containers 0 env MLPLAT_FLOOR", ABSENT),
    (RETRAIN, "CronJob", f"{RUN} template spec containers 0 env MLPLAT_KEEP", ABSENT),
    (RETRAIN, "CronJob", f"{RUN} template spec containers 0 env MLPLAT_PROMOTE value", "champion"),
    (
        RETRAIN | {"training.retraining.gate.floor": 0},
        "CronJob",
        f"{RUN} template spec containers 0 env MLPLAT_FLOOR value",
        "0",
    ),
]

SERVING: list[Row] = [
    ({}, "Deployment", f"{MAIN} readinessProbe httpGet", {"path": "/ready", "port": "http"}),
    ({}, "Deployment", f"{MAIN} livenessProbe httpGet", {"path": "/health", "port": "http"}),
    ({}, "Deployment", f"{MAIN} startupProbe httpGet", {"path": "/health", "port": "http"}),
    ({}, "Deployment", f"{MAIN} ports", [{"name": "http", "containerPort": 8000}]),
    *(
        (
            {f"serving.probes.{probe}.{key}": number} if number else {},
            "Deployment",
            f"{MAIN} {probe}Probe {key}",
            expected,
        )
        for probe, key, number, expected in [
            ("startup", "periodSeconds", None, 1),
            ("startup", "periodSeconds", 9, 9),
            ("startup", "failureThreshold", None, 60),
            ("startup", "failureThreshold", 9, 9),
            ("liveness", "periodSeconds", None, 10),
            ("liveness", "periodSeconds", 9, 9),
            ("liveness", "timeoutSeconds", None, 5),
            ("liveness", "timeoutSeconds", 9, 9),
            ("liveness", "failureThreshold", None, 6),
            ("liveness", "failureThreshold", 9, 9),
            ("readiness", "periodSeconds", None, 2),
            ("readiness", "periodSeconds", 9, 9),
            ("readiness", "timeoutSeconds", None, 5),
            ("readiness", "timeoutSeconds", 9, 9),
            ("readiness", "failureThreshold", None, 3),
            ("readiness", "failureThreshold", 9, 9),
        ]
    ),
    *(
        ({f"serving.settings.{key}": value}, "ConfigMap/-settings", f"data {variable}", expected)
        for key, value, variable, expected in [
            ("drainSeconds", 3, "MLPLAT_DRAIN_SECONDS", "3"),
            ("drainUnready", True, "MLPLAT_DRAIN_UNREADY", "true"),
            ("deadlineSeconds", 4, "MLPLAT_DEADLINE_SECONDS", "4"),
            ("keepAliveSeconds", 620, "MLPLAT_KEEP_ALIVE_SECONDS", "620"),
            ("pollSeconds", 0.5, "MLPLAT_POLL_SECONDS", "0.5"),
            ("threads", 2, "MLPLAT_THREADS", "2"),
            ("maxRows", 12345678, "MLPLAT_MAX_ROWS", "12345678"),
            ("maxBodyBytes", 33554432, "MLPLAT_MAX_BODY_BYTES", "33554432"),
            ("maxWaiting", 12345678, "MLPLAT_MAX_WAITING", "12345678"),
            ("receiveSeconds", 2.5, "MLPLAT_RECEIVE_SECONDS", "2.5"),
            ("maxConnections", 12345678, "MLPLAT_MAX_CONNECTIONS", "12345678"),
            ("accessLog", True, "MLPLAT_ACCESS_LOG", "true"),
            ("tracing", True, "MLPLAT_TRACING", "true"),
            ("logLevel", "debug", "LOG_LEVEL", "debug"),
        ]
    ),
    ({}, "Deployment", "spec replicas", 1),
    ({"serving.replicas": 0}, "Deployment", "spec replicas", 0),
    ({}, "Deployment", "spec revisionHistoryLimit", 5),
    ({"serving.rollout.revisionHistoryLimit": 9}, "Deployment", "spec revisionHistoryLimit", 9),
    ({}, "Deployment", "spec progressDeadlineSeconds", 1020),
    ({"training.enabled": False}, "Deployment", "spec progressDeadlineSeconds", 600),
    ({"serving.rollout.progressDeadlineSeconds": 999}, "Deployment", "spec progressDeadlineSeconds", 999),
    ({"serving.rollout.minReadySeconds": 8}, "Deployment", "spec minReadySeconds", 8),
    ({"serving.rollout.maxSurge": "50%"}, "Deployment", "spec strategy rollingUpdate maxSurge", "50%"),
    ({"serving.rollout.maxUnavailable": 1}, "Deployment", "spec strategy rollingUpdate maxUnavailable", 1),
    ({}, "Deployment", f"{POD} terminationGracePeriodSeconds", 60),
    ({"serving.terminationGracePeriodSeconds": 70}, "Deployment", f"{POD} terminationGracePeriodSeconds", 70),
    ({"serving.tolerationSeconds": 5}, "Deployment", f"{POD} tolerations 0 tolerationSeconds", 5),
    ({"serving.tolerationSeconds": 5}, "Deployment", f"{POD} tolerations 1 tolerationSeconds", 5),
    ({"serving.tolerations": [TOLERATION]}, "Deployment", f"{POD} tolerations 2", TOLERATION),
    ({}, "Deployment", f"{POD} volumes tmp emptyDir sizeLimit", "2Gi"),
    ({"serving.tmpSize": "3Gi"}, "Deployment", f"{POD} volumes tmp emptyDir sizeLimit", "3Gi"),
    ({}, "Deployment", f"{POD} priorityClassName", ABSENT),
    ({"serving.priorityClassName": "high"}, "Deployment", f"{POD} priorityClassName", "high"),
    ({"serving.resources": {"limits": {"cpu": "3"}}}, "Deployment", f"{MAIN} resources limits cpu", "3"),
    (SHARED | {"serving.affinity": {"nodeAffinity": {}}}, "Deployment", f"{POD} affinity", {"nodeAffinity": {}}),
    ({}, "Service", "spec type", "ClusterIP"),
    ({"serving.service.type": "LoadBalancer"}, "Service", "spec type", "LoadBalancer"),
    ({}, "Service", "spec ports", [{"name": "http", "port": 80, "targetPort": "http"}]),
    ({"serving.service.port": 8080}, "Service", "spec ports 0 port", 8080),
    ({}, "Service", "metadata annotations", ABSENT),
    ({"serving.service.annotations": {"lb": "internal"}}, "Service", "metadata annotations", {"lb": "internal"}),
    (
        HPA,
        "HorizontalPodAutoscaler",
        "spec scaleTargetRef",
        {"apiVersion": "apps/v1", "kind": "Deployment", "name": "ml-platform"},
    ),
    (HPA, "HorizontalPodAutoscaler", "spec minReplicas", 2),
    (HPA, "HorizontalPodAutoscaler", "spec maxReplicas", 5),
    (HPA | {"serving.autoscaling.minReplicas": 4}, "HorizontalPodAutoscaler", "spec minReplicas", 4),
    (HPA | {"serving.autoscaling.maxReplicas": 9}, "HorizontalPodAutoscaler", "spec maxReplicas", 9),
    (HPA, "HorizontalPodAutoscaler", "spec metrics 0 resource target averageUtilization", 70),
    (HPA, "HorizontalPodAutoscaler", "spec metrics 1", ABSENT),
    (
        HPA | {"serving.autoscaling": {"targetCPUUtilizationPercentage": 55, "targetMemoryUtilizationPercentage": 66}},
        "HorizontalPodAutoscaler",
        "spec metrics",
        [CPU_METRIC, MEMORY_METRIC],
    ),
    (
        HPA | {"serving.autoscaling": {"targetCPUUtilizationPercentage": None, "metrics": [QUEUE_METRIC]}},
        "HorizontalPodAutoscaler",
        "spec metrics",
        [QUEUE_METRIC],
    ),
    (HPA, "HorizontalPodAutoscaler", "spec behavior", ABSENT),
    (
        HPA | {"serving.autoscaling.behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}}},
        "HorizontalPodAutoscaler",
        "spec behavior",
        {"scaleDown": {"stabilizationWindowSeconds": 60}},
    ),
    (PDB, "PodDisruptionBudget", "spec maxUnavailable", 1),
    (PDB | {"serving.podDisruptionBudget.maxUnavailable": "50%"}, "PodDisruptionBudget", "spec maxUnavailable", "50%"),
    (PDB, "PodDisruptionBudget", "spec unhealthyPodEvictionPolicy", "AlwaysAllow"),
    (INGRESS, "Ingress", "spec ingressClassName", ABSENT),
    (INGRESS | {"serving.ingress.className": "nginx"}, "Ingress", "spec ingressClassName", "nginx"),
    (INGRESS, "Ingress", "spec rules 0 host", ABSENT),
    (INGRESS | {"serving.ingress.hosts": ["a.com", "b.com"]}, "Ingress", "spec rules 0 host", "a.com"),
    (INGRESS | {"serving.ingress.hosts": ["a.com", "b.com"]}, "Ingress", "spec rules 1 host", "b.com"),
    (
        INGRESS | {"serving.ingress.hosts": ["a.com"]},
        "Ingress",
        "spec rules 0 http paths 0 backend service",
        {"name": "ml-platform", "port": {"name": "http"}},
    ),
    (INGRESS | {"serving.paths": ["/p", "/q"]}, "Ingress", "spec rules 0 http paths 1 path", "/q"),
    (INGRESS, "Ingress", "spec rules 0 http paths 0 pathType", "Prefix"),
    (INGRESS, "Ingress", "spec tls", ABSENT),
    (INGRESS | {"serving.ingress.tlsSecret": "cert"}, "Ingress", "spec tls", [{"secretName": "cert"}]),
    (
        INGRESS | {"serving.ingress.tlsSecret": "cert", "serving.ingress.hosts": ["a.com"]},
        "Ingress",
        "spec tls",
        [{"secretName": "cert", "hosts": ["a.com"]}],
    ),
    (INGRESS, "Ingress", "metadata annotations", ABSENT),
    (INGRESS | {"serving.ingress.annotations": {"a": "b"}}, "Ingress", "metadata annotations", {"a": "b"}),
    (ROUTE, "HTTPRoute", "spec parentRefs", [{"name": "public", "namespace": "gw"}]),
    (ROUTE, "HTTPRoute", "spec hostnames", ABSENT),
    (ROUTE | {"serving.httpRoute.hostnames": ["a.com"]}, "HTTPRoute", "spec hostnames", ["a.com"]),
    (ROUTE | {"serving.httpRoute.annotations": {"a": "b"}}, "HTTPRoute", "metadata annotations", {"a": "b"}),
    (
        ROUTE | {"serving.service.port": 81},
        "HTTPRoute",
        "spec rules 0 backendRefs",
        [{"name": "ml-platform", "port": 81}],
    ),
    (ROUTE | {"serving.paths": ["/p", "/q"]}, "HTTPRoute", "spec rules 0 matches 1 path value", "/q"),
]

SCORING: list[Row] = [
    (BATCH, "Job", f"{MAIN} args --model", "iris"),
    (BATCH, "Job", f"{MAIN} args --version", "v1"),
    (BATCH | ALIAS, "Job", f"{MAIN} args --alias", "champion"),
    (BATCH | ALIAS, "Job", f"{MAIN} args --version", ABSENT),
    (BATCH, "Job", f"{MAIN} args --input", "sample"),
    (BATCH | {"batch.input": "rows.csv"}, "Job", f"{MAIN} args --input", "rows.csv"),
    (BATCH | {"batch.output": "/models/o.csv"}, "Job", f"{MAIN} args --output", "/models/o.csv"),
    (BATCH, "Job", f"{MAIN} args --on-error", "fail"),
    (BATCH | {"batch.onError": "null"}, "Job", f"{MAIN} args --on-error", "null"),
    (BATCH, "Job", f"{MAIN} args --threads", "1"),
    (BATCH | {"batch.threads": 4}, "Job", f"{MAIN} args --threads", "4"),
    (BATCH | {"batch.extraArgs": ["--rows", "5"]}, "Job", f"{MAIN} args --rows", "5"),
    (BATCH | {"batch.overwrite": True}, "Job", f"{MAIN} args -1", "--overwrite"),
    (BATCH, "Job", f"{MAIN} args -1", "1"),
    (BATCH, "Job", "spec backoffLimit", 6),
    (BATCH | {"batch.backoffLimit": 2}, "Job", "spec backoffLimit", 2),
    (BATCH, "Job", "spec activeDeadlineSeconds", 3600),
    (BATCH | {"batch.activeDeadlineSeconds": 62}, "Job", "spec activeDeadlineSeconds", 62),
    (BATCH, "Job", "spec ttlSecondsAfterFinished", ABSENT),
    (BATCH | {"batch.ttlSecondsAfterFinished": 0}, "Job", "spec ttlSecondsAfterFinished", 0),
    (BATCH, "Job", f"{POD} restartPolicy", "Never"),
    (BATCH | {"batch.resources": {"limits": {"cpu": "3"}}}, "Job", f"{MAIN} resources limits cpu", "3"),
    (CRON, "CronJob/-batch", "spec schedule", "*/5 * * * *"),
    (CRON, "CronJob", "spec timeZone", ABSENT),
    (CRON | {"batch.timeZone": "Europe/Berlin"}, "CronJob", "spec timeZone", "Europe/Berlin"),
    (CRON, "CronJob", "spec suspend", False),
    (CRON | {"batch.suspend": True}, "CronJob", "spec suspend", True),
    (CRON, "CronJob", "spec concurrencyPolicy", "Forbid"),
    (CRON | {"batch.backoffLimit": 2}, "CronJob", f"{RUN} backoffLimit", 2),
    (CRON | {"batch.activeDeadlineSeconds": 62}, "CronJob", f"{RUN} activeDeadlineSeconds", 62),
]

R = "Deployment/-registry"
SETTINGS = "ConfigMap/-registry-settings"
REGISTRY: list[Row] = [
    (SQLITE, R, f"{MAIN} args", ["registry"]),
    (SQLITE, R, f"{MAIN} ports", [{"name": "http", "containerPort": 8080}]),
    (SQLITE, R, f"{MAIN} image", "ml-platform:0.1.0"),
    (SQLITE, R, f"{MAIN} startupProbe httpGet", {"path": "/health", "port": "http"}),
    (SQLITE, R, f"{MAIN} livenessProbe httpGet", {"path": "/health", "port": "http"}),
    (SQLITE, R, f"{MAIN} readinessProbe httpGet", {"path": "/ready", "port": "http"}),
    (SQLITE, R, "spec replicas", 1),
    (POSTGRES, R, "spec replicas", 2),
    (POSTGRES | {"registry.replicas": 5}, R, "spec replicas", 5),
    (POSTGRES | {"registry.replicas": 0}, R, "spec replicas", 0),
    (SQLITE, R, "spec strategy", {"type": "Recreate"}),
    (
        POSTGRES,
        R,
        "spec strategy",
        {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
    ),
    (SQLITE, R, f"{MAIN} env MLPLAT_DATABASE value", "sqlite:////models/registry/registry.db"),
    (POSTGRES, R, f"{MAIN} env MLPLAT_DATABASE valueFrom secretKeyRef", {"name": "postgres", "key": "uri"}),
    (POSTGRES | {"registry.database.key": "url"}, R, f"{MAIN} env MLPLAT_DATABASE valueFrom secretKeyRef key", "url"),
    (SQLITE, R, f"{MAIN} env MLPLAT_REGISTRY_ADMIN_KEY", ABSENT),
    (
        SQLITE | {"registry.adminKey": {"existingSecret": "admin", "key": "k"}},
        R,
        f"{MAIN} env MLPLAT_REGISTRY_ADMIN_KEY valueFrom secretKeyRef",
        {"name": "admin", "key": "k"},
    ),
    (SQLITE, R, f"{MAIN} env MLPLAT_STORE value", "file:///models/store"),
    (POSTGRES | THROUGH | {"store.url": "s3://b/p"}, R, f"{MAIN} env MLPLAT_STORE value", "s3://b/p"),
    (POSTGRES | THROUGH | {"store.existingSecret": "s3"}, R, f"{MAIN} envFrom 1 secretRef name", "s3"),
    (POSTGRES | THROUGH | {"store.env": {"AWS_REGION": "eu"}}, R, f"{MAIN} env AWS_REGION value", "eu"),
    (POSTGRES | THROUGH, R, f"{MAIN} env MLPLAT_STORE_KEY_FILE", ABSENT),
    (POSTGRES | THROUGH, R, f"{POD} volumes store-key", ABSENT),
    (SQLITE, R, f"{MAIN} envFrom 0 configMapRef name", "ml-platform-registry-settings"),
    (SQLITE, R, f"{MAIN} volumeMounts models", {"name": "models", "mountPath": "/models"}),
    (SQLITE, R, f"{MAIN} volumeMounts uploads mountPath", "/uploads"),
    (SQLITE, R, f"{POD} volumes uploads emptyDir sizeLimit", "10Gi"),
    (SQLITE | {"registry.uploadsSize": "6Gi"}, R, f"{POD} volumes uploads emptyDir sizeLimit", "6Gi"),
    (SQLITE, R, f"{POD} terminationGracePeriodSeconds", 75),
    (SQLITE | {"registry.settings.drainSeconds": 20}, R, f"{POD} terminationGracePeriodSeconds", 90),
    (SQLITE | {"registry.priorityClassName": "high"}, R, f"{POD} priorityClassName", "high"),
    (SQLITE | {"registry.resources": {"limits": {"cpu": "3"}}}, R, f"{MAIN} resources limits cpu", "3"),
    (POSTGRES | SHARED | {"registry.affinity": {"nodeAffinity": {}}}, R, f"{POD} affinity", {"nodeAffinity": {}}),
    (POSTGRES, R, f"{POD} topologySpreadConstraints", ABSENT),
    (POSTGRES | SHARED, R, f"{POD} topologySpreadConstraints 0 whenUnsatisfiable", "ScheduleAnyway"),
    (SQLITE, R, f"{POD} serviceAccountName", "ml-platform"),
    (SQLITE | {"registry.serviceAccount.create": True}, R, f"{POD} serviceAccountName", "ml-platform-registry"),
    (SQLITE | {"registry.serviceAccount.name": "mine"}, R, f"{POD} serviceAccountName", "mine"),
    (
        SQLITE | {"registry.serviceAccount": {"create": True, "name": "mine"}},
        "ServiceAccount/mine",
        "automountServiceAccountToken",
        False,
    ),
    (
        SQLITE | {"registry.serviceAccount": {"create": True, "annotations": {"role": "arn"}}},
        "ServiceAccount/-registry",
        "metadata annotations",
        {"role": "arn"},
    ),
    (SQLITE, SETTINGS, "data MLPLAT_UPLOADS", "/uploads"),
    *(
        (SQLITE | {f"registry.{key}": value}, SETTINGS, f"data {variable}", expected)
        for key, value, variable, expected in [
            ("open", True, "MLPLAT_REGISTRY_OPEN", "true"),
            ("settings.maxUploadBytes", 1073741824, "MLPLAT_MAX_UPLOAD_BYTES", "1073741824"),
            ("settings.syncSeconds", 2.5, "MLPLAT_SYNC_SECONDS", "2.5"),
            ("settings.poolSize", 3, "MLPLAT_POOL_SIZE", "3"),
            ("settings.drainSeconds", 20, "MLPLAT_DRAIN_SECONDS", "20"),
            ("settings.keepAliveSeconds", 620, "MLPLAT_KEEP_ALIVE_SECONDS", "620"),
            ("settings.logLevel", "debug", "LOG_LEVEL", "debug"),
        ]
    ),
    (SQLITE, "Service/-registry", "spec type", "ClusterIP"),
    (SQLITE, "Service/-registry", "spec ports", [{"name": "http", "port": 80, "targetPort": "http"}]),
    (SQLITE | {"registry.service.port": 8080}, "Service/-registry", "spec ports 0 port", 8080),
    (
        SQLITE | {"registry.service": {"type": "NodePort", "nodePort": 30800}},
        "Service/-registry",
        "spec ports 0 nodePort",
        30800,
    ),
    (SQLITE | {"registry.service.nodePort": 30800}, "Service/-registry", "spec ports 0 nodePort", ABSENT),
    (SQLITE, "Service/-registry", "metadata annotations", ABSENT),
    (SQLITE | {"registry.service.annotations": {"a": "b"}}, "Service/-registry", "metadata annotations", {"a": "b"}),
    (POSTGRES | SHARED, "PodDisruptionBudget/-registry", "spec maxUnavailable", 1),
    (POSTGRES | SHARED, "PodDisruptionBudget/-registry", "spec unhealthyPodEvictionPolicy", "AlwaysAllow"),
]

MOVED = "http://ml-platform-registry:81"
SCORED = BATCH | {"batch.output": "s3://b/$(JOB_NAME)"}
WHO: list[tuple[str, dict[str, Any], str]] = [
    ("Deployment/ml-platform", {}, "reader"),
    ("Job", {}, "writer"),
    ("Job", SCORED, "reader"),
]
"""Who goes through a registry, and with which key of the Secret."""

CLIENTS: list[Row] = [
    *(
        (POSTGRES | THROUGH | more, kind, f"{MAIN} {path}", expected)
        for kind, more, _ in WHO
        for path, expected in [
            ("env MLPLAT_STORE value", "http://ml-platform-registry:80"),
            ("env MLPLAT_STORE_KEY_FILE value", "/etc/mlplat/store-key/key"),
            ("volumeMounts store-key mountPath", "/etc/mlplat/store-key"),
            ("volumeMounts store-key readOnly", True),
            ("volumeMounts models", ABSENT),
        ]
    ),
    *(
        (POSTGRES | THROUGH | more | {"registry.service.port": 81}, kind, f"{MAIN} env MLPLAT_STORE value", MOVED)
        for kind, more, _ in WHO
    ),
    *(
        (POSTGRES | THROUGH | more | {"store.env": {"AWS_REGION": "eu"}}, kind, f"{MAIN} env AWS_REGION", ABSENT)
        for kind, more, _ in WHO
    ),
    *(
        (
            POSTGRES | THROUGH | more | {f"store.keys.{key}": "mine"},
            kind,
            f"{POD} volumes store-key secret",
            {"secretName": "keys", "items": [{"key": "mine", "path": "key"}]},
        )
        for kind, more, key in WHO
    ),
    (POSTGRES, "Deployment/ml-platform", f"{MAIN} env MLPLAT_STORE value", "file:///models/store"),
    (POSTGRES, "Deployment/ml-platform", f"{MAIN} env MLPLAT_STORE_KEY_FILE", ABSENT),
    (SQLITE | {"registry.open": True, "store.through": "registry"}, "Job", f"{MAIN} env MLPLAT_STORE_KEY_FILE", ABSENT),
    ({"store.url": "https://r.example.com"}, "Deployment", f"{MAIN} env MLPLAT_STORE value", "https://r.example.com"),
    ({"store.url": "https://r.example.com"}, "Deployment", f"{POD} volumes models", ABSENT),
    (
        {"store.url": "https://r.example.com", "store.keys.existingSecret": "keys"},
        "Deployment",
        f"{POD} volumes store-key secret items",
        [{"key": "reader", "path": "key"}],
    ),
]

EVERYWHERE: list[Row] = [
    ({f"{component}.{key}": value} | more, kind, path, expected)
    for component, kind, more in [
        ("serving", "Deployment", {}),
        ("training", "Job", {}),
        ("batch", "Job", BATCH),
        ("registry", "Deployment/-registry", SQLITE),
    ]
    for key, value, path, expected in [
        ("nodeSelector", {"pool": "a"}, f"{POD} nodeSelector", {"pool": "a"}),
        ("tolerations", [TOLERATION], f"{POD} tolerations -1", TOLERATION),
        ("extraEnv", [VARIABLE], f"{MAIN} env MINE value", "1"),
        ("extraEnvFrom", [SOURCE], f"{MAIN} envFrom -1", SOURCE),
        ("extraVolumes", [VOLUME], f"{POD} volumes mine", VOLUME),
        ("extraVolumeMounts", [MOUNT], f"{MAIN} volumeMounts mine", MOUNT),
        ("podAnnotations", {"a": "b"}, "spec template metadata annotations a", "b"),
        ("podLabels", {"a": "b"}, "spec template metadata labels a", "b"),
    ]
]

POLICIES: list[Row] = [
    (QUOTA, "ResourceQuota", "spec hard", {"requests.cpu": "2", "requests.memory": "4Gi"}),
    (QUOTA | {"policies.resourceQuota.cpu": 8}, "ResourceQuota", "spec hard requests.cpu", "8"),
    (QUOTA | {"policies.resourceQuota.memory": "9Gi"}, "ResourceQuota", "spec hard requests.memory", "9Gi"),
    (RANGE, "LimitRange", "spec limits 0 type", "Container"),
    (RANGE, "LimitRange", "spec limits 0 min", {"cpu": "10m", "memory": "32Mi"}),
    (RANGE, "LimitRange", "spec limits 0 max", {"cpu": "1", "memory": "1Gi"}),
    (
        RANGE | {"policies.limitRange.min": {"cpu": "20m", "memory": "64Mi"}},
        "LimitRange",
        "spec limits 0 min",
        {"cpu": "20m", "memory": "64Mi"},
    ),
    (
        RANGE | {"policies.limitRange.max": {"cpu": 4, "memory": "8Gi"}},
        "LimitRange",
        "spec limits 0 max",
        {"cpu": "4", "memory": "8Gi"},
    ),
    (
        NETWORK | {"policies.networkPolicy.allowFrom": [{"podSelector": {}}]},
        "NetworkPolicy/ml-platform",
        "spec ingress 0 from 1",
        {"podSelector": {}},
    ),
    (NETWORK, "NetworkPolicy/ml-platform", "spec ingress 0 ports", [{"port": "http", "protocol": "TCP"}]),
    (
        NETWORK | {"store.url": "s3://b/p", "policies.networkPolicy.storeTo": [{"podSelector": {}}]},
        "NetworkPolicy/ml-platform",
        "spec egress 1",
        {"ports": [{"port": 443, "protocol": "TCP"}], "to": [{"podSelector": {}}]},
    ),
    (
        NETWORK | {"policies.networkPolicy.identityCIDRs": ["169.254.169.254/32"]},
        "NetworkPolicy/-jobs",
        "spec egress 1 to",
        [{"ipBlock": {"cidr": "169.254.169.254/32"}}],
    ),
    (
        NETWORK | {"policies.networkPolicy.extraEgress": [{"to": []}]},
        "NetworkPolicy/-jobs",
        "spec egress 1",
        {"to": []},
    ),
]

FROM_OURS = {
    "podSelector": {
        "matchLabels": {"app.kubernetes.io/instance": "ml-platform"},
        "matchExpressions": [
            {
                "key": "app.kubernetes.io/component",
                "operator": "In",
                "values": ["inference-server", "training", "batch"],
            }
        ],
    }
}
TO_REGISTRY = {
    "ports": [{"port": "http", "protocol": "TCP"}],
    "to": [
        {
            "podSelector": {
                "matchLabels": {
                    "app.kubernetes.io/name": "ml-platform",
                    "app.kubernetes.io/instance": "ml-platform",
                    "app.kubernetes.io/component": "registry",
                }
            }
        }
    ],
}

POLICIES += [
    (SQLITE | NETWORK, "NetworkPolicy/-registry", "spec ingress 0 ports", [{"port": "http", "protocol": "TCP"}]),
    (SQLITE | NETWORK, "NetworkPolicy/-registry", "spec ingress 0 from", [FROM_OURS]),
    (
        SQLITE | NETWORK | {"policies.networkPolicy.registryFrom": [{"podSelector": {}}]},
        "NetworkPolicy/-registry",
        "spec ingress 0 from",
        [FROM_OURS, {"podSelector": {}}],
    ),
    (SQLITE | NETWORK, "NetworkPolicy/-registry", "spec egress 1", ABSENT),
    (
        POSTGRES | NETWORK,
        "NetworkPolicy/-registry",
        "spec egress 1",
        {"ports": [{"port": 5432, "protocol": "TCP"}]},
    ),
    (
        POSTGRES | NETWORK | {"policies.networkPolicy": {"databasePorts": [6432], "databaseTo": [{"podSelector": {}}]}},
        "NetworkPolicy/-registry",
        "spec egress 1",
        {"ports": [{"port": 6432, "protocol": "TCP"}], "to": [{"podSelector": {}}]},
    ),
    (
        POSTGRES | NETWORK | {"store.url": "s3://b/p"},
        "NetworkPolicy/-registry",
        "spec egress 2",
        {"ports": [{"port": 443, "protocol": "TCP"}]},
    ),
    (POSTGRES | NETWORK | THROUGH | {"store.url": "s3://b/p"}, "NetworkPolicy/-jobs", "spec egress 1", TO_REGISTRY),
    (POSTGRES | NETWORK | THROUGH | {"store.url": "s3://b/p"}, "NetworkPolicy/-jobs", "spec egress 2", ABSENT),
    (
        POSTGRES | NETWORK | THROUGH | {"store.url": "s3://b/p", "model.data": "s3://b/rows.csv"},
        "NetworkPolicy/-jobs",
        "spec egress 2 ports",
        [{"port": 443, "protocol": "TCP"}],
    ),
    (POSTGRES | NETWORK | THROUGH, "NetworkPolicy/ml-platform", "spec egress 1", TO_REGISTRY),
    (
        POSTGRES
        | NETWORK
        | THROUGH
        | {"store.url": "s3://b/p", "policies.networkPolicy.identityCIDRs": ["169.254.169.254/32"]},
        "NetworkPolicy/ml-platform",
        "spec egress 2",
        ABSENT,
    ),
    (
        NETWORK | {"store.url": "https://r.example.com"},
        "NetworkPolicy/ml-platform",
        "spec egress 1",
        {"ports": [{"port": 443, "protocol": "TCP"}]},
    ),
]

MONITORING: list[Row] = [
    (
        SQLITE | MONITOR | {"monitoring.serviceMonitor.interval": "30s"},
        "ServiceMonitor/-registry",
        "spec endpoints",
        [{"port": "http", "path": "/metrics", "interval": "30s"}],
    ),
    (
        SQLITE | MONITOR,
        "ServiceMonitor/-registry",
        "spec selector matchLabels app.kubernetes.io/component",
        "registry",
    ),
    (
        SQLITE | MONITOR | {"monitoring.serviceMonitor.labels": {"a": "b"}},
        "ServiceMonitor/-registry",
        "metadata labels a",
        "b",
    ),
    (
        SQLITE | {"monitoring.podAnnotations.enabled": True},
        "Deployment/-registry",
        "spec template metadata annotations prometheus.io/port",
        "8080",
    ),
    (MONITOR, "ServiceMonitor", "spec endpoints", [{"port": "http", "path": "/metrics", "interval": "15s"}]),
    (MONITOR | {"monitoring.serviceMonitor.interval": "30s"}, "ServiceMonitor", "spec endpoints 0 interval", "30s"),
    (MONITOR | {"monitoring.serviceMonitor.labels": {"a": "b"}}, "ServiceMonitor", "metadata labels a", "b"),
    (
        MONITOR,
        "ServiceMonitor",
        "spec selector matchLabels",
        {
            "app.kubernetes.io/name": "ml-platform",
            "app.kubernetes.io/instance": "ml-platform",
            "app.kubernetes.io/component": "inference-server",
        },
    ),
    (RULE | {"monitoring.prometheusRule.labels": {"a": "b"}}, "PrometheusRule", "metadata labels a", "b"),
    ({"monitoring.dashboard.enabled": True}, "ConfigMap/-dashboard", "metadata labels grafana_dashboard", "1"),
    ({}, "Deployment", "spec template metadata annotations prometheus.io/scrape", ABSENT),
    *(
        (
            {"monitoring.podAnnotations.enabled": True},
            "Deployment",
            f"spec template metadata annotations prometheus.io/{key}",
            value,
        )
        for key, value in (("scrape", "true"), ("port", "8000"), ("path", "/metrics"))
    ),
    ({"commonLabels": {"team": "a"}}, "Service", "metadata labels team", "a"),
    ({"commonLabels": {"team": "a"}}, "Deployment", "spec template metadata labels team", "a"),
    ({"commonLabels": {"team": "a"}}, "Deployment", "spec selector matchLabels team", ABSENT),
]

SECTIONS = {
    "image": IMAGE,
    "identity": IDENTITY,
    "store": STORE,
    "model": MODEL,
    "training": TRAINING,
    "serving": SERVING,
    "batch": SCORING,
    "registry": REGISTRY,
    "clients": CLIENTS,
    "everywhere": EVERYWHERE,
    "policies": POLICIES,
    "monitoring": MONITORING,
}
TABLE = [pytest.param(*row, id=f"{section}: {row[1]} {row[2]}") for section, rows in SECTIONS.items() for row in rows]


@pytest.mark.parametrize(("values", "kind", "path", "expected"), TABLE)
def test_a_value_ends_up_where_it_is_meant_to(
    render: Render, values: dict[str, Any], kind: str, path: str, expected: Any
) -> None:
    name, _, ending = kind.partition("/")
    found = at(one(render(nested(values)), name, ending), path.split())
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("alert", "expected"),
    [
        ("ModelErrors", "> 0.07"),
        ("ModelErrors", 'status=~"5.."'),
        ("ModelSlow", "> 1.5"),
        ("RetrainingLate", "> 3000000"),
    ],
)
def test_an_alert_has_the_threshold_of_its_value(render: Render, alert: str, expected: str) -> None:
    thresholds = {"errorRate": 0.07, "latencySeconds": 1.5, "retrainingLateSeconds": 3000000}
    values = RETRAIN | RULE | {f"monitoring.prometheusRule.{key}": value for key, value in thresholds.items()}
    [group] = one(render(nested(values)), "PrometheusRule")["spec"]["groups"]
    [rule] = [rule for rule in group["rules"] if rule["alert"] == alert]
    assert expected in rule["expr"]
    assert rule["labels"] == {"severity": "critical" if alert == "ModelErrors" else "warning"}


def test_without_a_number_no_retraining_is_late(render: Render) -> None:
    values = RETRAIN | RULE | {"monitoring.prometheusRule.retrainingLateSeconds": None}
    [group] = one(render(nested(values)), "PrometheusRule")["spec"]["groups"]
    assert group["rules"][-1]["alert"] == "RetrainingFailed"


def nested(values: dict[str, Any]) -> dict[str, Any]:
    """Values by dotted names as a tree: `{"image.tag": "v9"}` as `{"image": {"tag": "v9"}}`."""
    tree: dict[str, Any] = {}
    for name, value in values.items():
        *path, last = name.split(".")
        below = tree
        for key in path:
            below = below.setdefault(key, {})
        below[last] = below.get(last, {}) | value if isinstance(value, dict) else value
    return tree


def at(found: Any, path: list[str]) -> Any:
    """What is at a path. In a list a step is a number, the name of an item, or an option, after which its value stands."""
    for step in path:
        if isinstance(found, dict):
            found = found.get(step, ABSENT)
        elif not isinstance(found, list):
            return ABSENT
        elif step.removeprefix("-").isdecimal():
            found = found[int(step)] if -len(found) <= int(step) < len(found) else ABSENT
        elif step.startswith("--"):
            found = found[found.index(step) + 1] if step in found else ABSENT
        else:
            found = next((each for each in found if each["name"] == step), ABSENT)
    return found
