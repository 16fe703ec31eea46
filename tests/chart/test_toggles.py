"""What each toggle does, on and off."""

import base64
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from .conftest import CHART, Object, Render, container, environment, of, one, pod_templates, read

ALIAS: dict[str, Any] = {"model": {"version": "", "alias": "champion"}}
RETRAINING: dict[str, Any] = ALIAS | {"training": {"retraining": {"enabled": True}}}
URL: dict[str, Any] = {"store": {"url": "s3://models/x", "existingSecret": "s3"}}
POSTGRES: dict[str, Any] = {"registry": {"enabled": True, "database": {"existingSecret": "postgres"}}}
THROUGH: dict[str, Any] = {
    "store": {
        "url": "s3://models/x",
        "existingSecret": "s3",
        "env": {"AWS_SECRET_ACCESS_KEY": "not-a-secret"},
        "through": "registry",
        "keys": {"existingSecret": "registry-keys"},
    }
}


def kinds(objects: list[Object]) -> set[str]:
    return {each["kind"] for each in objects}


def test_by_default_there_is_what_trains_and_serves_and_nothing_else(render: Render) -> None:
    assert kinds(render()) == {
        "ServiceAccount", "PersistentVolumeClaim", "ConfigMap", "Job", "Deployment", "Service", "Pod",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (RETRAINING, "CronJob"),
        ({"batch": {"enabled": True, "schedule": "* * * * *"}}, "CronJob"),
        ({"serving": {"autoscaling": {"enabled": True}}}, "HorizontalPodAutoscaler"),
        (URL | {"serving": {"podDisruptionBudget": {"enabled": True}}}, "PodDisruptionBudget"),
        ({"serving": {"ingress": {"enabled": True}}}, "Ingress"),
        ({"serving": {"httpRoute": {"enabled": True, "parentRefs": [{"name": "g"}]}}}, "HTTPRoute"),
        ({"policies": {"resourceQuota": {"enabled": True}}}, "ResourceQuota"),
        ({"policies": {"limitRange": {"enabled": True}}}, "LimitRange"),
        ({"policies": {"networkPolicy": {"enabled": True}}}, "NetworkPolicy"),
        ({"auth": {"enabled": True, "keys": {"a": "b"}}}, "Secret"),
        ({"monitoring": {"serviceMonitor": {"enabled": True}}}, "ServiceMonitor"),
        (URL | POSTGRES, "PodDisruptionBudget"),
        ({"monitoring": {"prometheusRule": {"enabled": True}}}, "PrometheusRule"),
    ],
)
def test_a_toggle_adds_its_kind(render: Render, values: dict[str, Any], kind: str) -> None:
    assert kind not in kinds(render())
    assert kind in kinds(render(values))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({"training": {"enabled": False}}, "Job"),
        ({"serving": {"enabled": False}}, "Deployment"),
        ({"serving": {"enabled": False}}, "Service"),
        ({"serving": {"enabled": False}}, "Pod"),
        (URL, "PersistentVolumeClaim"),
        ({"store": {"pvc": {"existingClaim": "models"}}}, "PersistentVolumeClaim"),
        ({"serviceAccount": {"create": False}}, "ServiceAccount"),
    ],
)
def test_a_toggle_takes_its_kind_away(render: Render, values: dict[str, Any], kind: str) -> None:
    assert kind in kinds(render())
    assert kind not in kinds(render(values))


class TestModel:
    def test_what_is_served_stands_in_the_pod_template_so_that_old_pods_keep_theirs(self, render: Render) -> None:
        """In a ConfigMap it would change under pods that restart while an update rolls, and under `rollout undo`."""
        assert container(render(), "Deployment")["args"] == ["serve", "--model", "iris", "--version", "v1"]
        assert container(render(ALIAS), "Deployment")["args"] == ["serve", "--model", "iris", "--alias", "champion"]

    def test_a_version_is_trained_if_it_is_missing(self, render: Render) -> None:
        job = container(render({"model": {"version": "v2", "params": {"n_estimators": 1000000}}}), "Job")
        assert job["args"] == ["train", "--param", "n_estimators=1000000"]
        found = environment(job)
        assert found["MLPLAT_VERSION"] == "v2"
        assert "MLPLAT_PROMOTE" not in found

    def test_an_alias_gets_a_first_version_only_where_it_is_absent(self, render: Render) -> None:
        found = environment(container(render(ALIAS), "Job"))
        assert found["MLPLAT_VERSION"] == "auto"
        assert found["MLPLAT_PROMOTE"] == "champion"
        assert found["MLPLAT_IF_ABSENT"] == "true"

    def test_parameters_of_every_type_reach_the_command_as_written(self, render: Render) -> None:
        params = {"a": "x y", "b": 0.5, "c": True, "d": 12345678, "e": "1e3"}
        args = container(render({"model": {"params": params}}), "Job")["args"]
        assert args == ["train"] + [
            word for pair in ("a=x y", "b=0.5", "c=true", "d=12345678", "e=1e3") for word in ("--param", pair)
        ]

    def test_the_rollout_history_says_what_was_served(self, render: Render) -> None:
        metadata = one(render({"model": {"version": "v2"}}), "Deployment")["metadata"]
        assert metadata["annotations"]["kubernetes.io/change-cause"] == "iris v2"


class TestTraining:
    def test_retraining_asks_the_gate(self, render: Render) -> None:
        gate = {"metric": "f1", "margin": 0.02, "floor": 0.8}
        values = ALIAS | {"training": {"retraining": {"enabled": True, "gate": gate, "keep": 5}}}
        cron = one(render(values), "CronJob", "-retrain")
        assert cron["spec"]["schedule"] == "0 2 * * 0"
        assert cron["spec"]["concurrencyPolicy"] == "Forbid"
        found = environment(container(render(values), "CronJob"))
        assert {name: found[f"MLPLAT_{name}"] for name in ("VERSION", "IF_BETTER", "MARGIN", "FLOOR", "KEEP")} == {
            "VERSION": "auto", "IF_BETTER": "f1", "MARGIN": "0.02", "FLOOR": "0.8", "KEEP": "5",
        }  # fmt: skip
        assert "MLPLAT_IF_ABSENT" not in found

    def test_a_run_is_called_after_its_job_so_that_a_pod_tried_again_finds_its_version(self, render: Render) -> None:
        values = ALIAS | {"training": {"retraining": {"enabled": True}}}
        for kind in ("Job", "CronJob"):
            env = {each["name"]: each for each in container(render(values), kind)["env"]}
            field = env["MLPLAT_RUN"]["valueFrom"]["fieldRef"]["fieldPath"]
            assert field == "metadata.labels['batch.kubernetes.io/job-name']"

    def test_a_gpu_is_asked_for_with_all_that_it_needs(self, render: Render) -> None:
        spec = one(render(read(CHART / "ci" / "gpu-values.yaml")), "Job")["spec"]["template"]["spec"]
        assert spec["runtimeClassName"] == "nvidia"
        assert spec["nodeSelector"] == {"pool": "training", "accelerator": "h100"}
        assert [each["key"] for each in spec["tolerations"]] == ["batch", "nvidia.com/gpu"]
        assert spec["containers"][0]["resources"]["limits"] == {"cpu": "1", "memory": "1Gi", "nvidia.com/gpu": 1}

    def test_without_a_gpu_nothing_of_it_is_there(self, render: Render) -> None:
        gpu = {"count": 0, "runtimeClassName": "nvidia", "nodeSelector": {"a": "b"}, "tolerations": [{"key": "c"}]}
        spec = one(render({"training": {"gpu": gpu}}), "Job")["spec"]["template"]["spec"]
        assert not {"runtimeClassName", "nodeSelector", "tolerations"} & set(spec)

    def test_an_image_of_ones_own_is_told_what_to_make(self, render: Render) -> None:
        job = container(render(read(CHART / "ci" / "own-training-image-values.yaml")), "Job")
        assert job["image"] == "registry.example.com/acme/train:3"
        assert job["command"] == ["python", "-m", "acme.train"]
        assert job["args"] == ["--param", "depth=3", "--epochs", "3"]
        assert {"MLPLAT_MODEL", "MLPLAT_VERSION", "MLPLAT_STORE", "MLPLAT_SEED"} <= set(environment(job))

    def test_a_finished_job_stays_unless_it_has_a_time_to_live(self, render: Render) -> None:
        assert "ttlSecondsAfterFinished" not in one(render(), "Job")["spec"]
        job = one(render({"training": {"ttlSecondsAfterFinished": 0}}), "Job")
        assert job["spec"]["ttlSecondsAfterFinished"] == 0

    def test_what_no_other_try_can_change_is_not_tried_again(self, render: Render) -> None:
        [first, second] = one(render(), "Job")["spec"]["podFailurePolicy"]["rules"]
        assert first["action"] == "FailJob"
        assert first["onExitCodes"] == {"operator": "In", "values": [2, 4]}
        assert second["action"] == "Ignore"


class TestServing:
    def test_the_number_of_pods_has_one_writer(self, render: Render) -> None:
        assert one(render({"serving": {"replicas": 3}}), "Deployment")["spec"]["replicas"] == 3
        scaled = render({"serving": {"replicas": 3, "autoscaling": {"enabled": True}}})
        assert "replicas" not in one(scaled, "Deployment")["spec"]

    def test_an_update_never_takes_a_pod_away_first(self, render: Render) -> None:
        strategy = one(render(), "Deployment")["spec"]["strategy"]
        assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}

    def test_the_end_of_a_pod_leaves_time_for_drain_and_deadline(self, render: Render) -> None:
        settings = {"drainSeconds": 7, "deadlineSeconds": 11}
        deployment = one(render({"serving": {"settings": settings}}), "Deployment")
        assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 28

    def test_an_update_has_the_time_that_training_takes(self, render: Render) -> None:
        values = {"training": {"activeDeadlineSeconds": 5000}}
        assert one(render(values), "Deployment")["spec"]["progressDeadlineSeconds"] == 5120

    def test_changed_settings_roll_the_pods_and_equal_ones_do_not(self, render: Render) -> None:
        def checksum(values: dict[str, Any]) -> str:
            template = one(render(values), "Deployment")["spec"]["template"]
            return str(template["metadata"]["annotations"]["checksum/settings"])

        assert checksum({}) == checksum({"serving": {"replicas": 5}})
        assert checksum({}) != checksum({"serving": {"settings": {"maxRows": 5}}})

    def test_every_setting_is_an_option_of_serve(self, render: Render) -> None:
        from mlplat.settings import ServeSettings

        data = one(render(), "ConfigMap", "-settings")["data"]
        fields = {f"MLPLAT_{field.upper()}" for field in ServeSettings.model_fields}
        assert set(data) - fields == {"LOG_LEVEL"}
        assert data["MLPLAT_MAX_BODY_BYTES"] == "16777216"

    def test_the_settings_are_the_defaults_of_serve(self, render: Render) -> None:
        """What someone learns on a laptop holds on a cluster."""
        from mlplat.settings import ServeSettings

        data = one(render(), "ConfigMap", "-settings")["data"]
        for name in set(data) - {"LOG_LEVEL"}:
            default = ServeSettings.model_fields[name.removeprefix("MLPLAT_").lower()].default
            assert type(default)(yaml.safe_load(data[name])) == default, name

    def test_pods_of_a_claim_for_one_node_find_each_other(self, render: Render) -> None:
        for whose, template in pod_templates(render({"batch": {"enabled": True}})):
            if whose.startswith("Pod/"):
                continue
            [term] = template["spec"]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
            assert term["topologyKey"] == "kubernetes.io/hostname"
            assert term["labelSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items(), whose

    def test_pods_without_such_a_claim_may_go_anywhere(self, render: Render) -> None:
        for values in (URL, {"store": {"pvc": {"accessMode": "ReadWriteMany"}}}):
            assert all("affinity" not in template["spec"] for _, template in pod_templates(render(values)))

    def test_affinity_of_ones_own_is_kept_beside_that_of_the_claim(self, render: Render) -> None:
        own = {"labelSelector": {"matchLabels": {"app": "cache"}}, "topologyKey": "zone"}
        values = {
            "serving": {
                "affinity": {
                    "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [own]},
                    "nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []},
                }
            }
        }
        affinity = one(render(values), "Deployment")["spec"]["template"]["spec"]["affinity"]
        terms = affinity["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        assert terms[0] == own
        assert len(terms) == 2
        assert "nodeAffinity" in affinity

    def test_spreading_counts_each_replica_set_for_itself(self, render: Render) -> None:
        spread = {"serving": {"spread": {"nodes": True, "zones": True}}}
        spec = one(render(URL | spread), "Deployment")["spec"]["template"]["spec"]
        nodes, zones = spec["topologySpreadConstraints"]
        assert (nodes["topologyKey"], nodes["whenUnsatisfiable"]) == ("kubernetes.io/hostname", "DoNotSchedule")
        assert (zones["topologyKey"], zones["whenUnsatisfiable"]) == ("topology.kubernetes.io/zone", "ScheduleAnyway")
        assert nodes["matchLabelKeys"] == zones["matchLabelKeys"] == ["pod-template-hash"]
        assert nodes["nodeTaintsPolicy"] == zones["nodeTaintsPolicy"] == "Honor"  # a drained node is no empty place

    def test_serving_cannot_write_the_claim(self, render: Render) -> None:
        mounts = {mount["name"]: mount for mount in container(render(), "Deployment")["volumeMounts"]}
        assert mounts["models"]["readOnly"] is True

    def test_only_prediction_paths_are_reachable_from_outside(self, render: Render) -> None:
        route = {"enabled": True, "parentRefs": [{"name": "g"}]}
        objects = render({"serving": {"ingress": {"enabled": True}, "httpRoute": route}})
        paths = ["/predict", "/v1", "/v2", "/invocations"]
        [rule] = one(objects, "Ingress")["spec"]["rules"]
        assert [path["path"] for path in rule["http"]["paths"]] == paths
        [rule] = one(objects, "HTTPRoute")["spec"]["rules"]
        assert [match["path"] for match in rule["matches"]] == [{"type": "PathPrefix", "value": path} for path in paths]

    def test_a_node_port_is_not_asked_for_where_there_can_be_none(self, render: Render) -> None:
        def port(kind: str) -> Object:
            service = {"type": kind, "nodePort": 30080}
            return dict(one(render({"serving": {"service": service}}), "Service")["spec"]["ports"][0])

        assert port("NodePort")["nodePort"] == 30080
        assert "nodePort" not in port("ClusterIP")

    def test_a_lost_node_is_left_soon(self, render: Render) -> None:
        spec = one(render(), "Deployment")["spec"]["template"]["spec"]
        assert {each["key"]: each["tolerationSeconds"] for each in spec["tolerations"]} == {
            "node.kubernetes.io/not-ready": 30,
            "node.kubernetes.io/unreachable": 30,
        }


class TestBatch:
    def test_one_job_writes_a_file_on_the_claim(self, render: Render) -> None:
        objects = [each for each in render({"batch": {"enabled": True}}) if "-batch-" in each["metadata"]["name"]]
        args = container(objects, "Job")["args"]
        assert args[args.index("--output") + 1] == "/models/batch/$(JOB_NAME).parquet"
        assert "--shards" not in args

    def test_shards_are_an_indexed_job_with_a_folder(self, render: Render) -> None:
        objects = render({"batch": {"enabled": True, "shards": 4, "schedule": "0 * * * *"}})
        spec = one(objects, "CronJob", "-batch")["spec"]["jobTemplate"]["spec"]
        assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 4, 4)
        args = container(objects, "CronJob")["args"]
        assert args[args.index("--shards") + 1] == "4"
        assert args[args.index("--output") + 1] == "/models/batch/$(JOB_NAME)/"


class TestAuth:
    def test_keys_are_files_so_that_they_rotate_without_a_restart(self, render: Render) -> None:
        values = {"auth": {"enabled": True, "existingSecret": "keys"}}
        serve = container(render(values), "Deployment")
        path = environment(serve)["MLPLAT_API_KEYS_PATH"]
        assert path in [mount["mountPath"] for mount in serve["volumeMounts"]]
        assert "Secret" not in kinds(render(values))
        changed = {"auth": {"enabled": True, "keys": {"a": "new"}}}
        old = {"auth": {"enabled": True, "keys": {"a": "old"}}}
        first, second = (one(render(each), "Deployment")["spec"]["template"] for each in (old, changed))
        assert first == second

    def test_a_key_that_is_taken_out_is_gone_from_the_secret(self, render: Render) -> None:
        """What is given as `stringData` is merged into what is there, and a revoked key would go on opening the door."""
        secret = one(render({"auth": {"enabled": True, "keys": {"a": "one", "12": "two\nthree"}}}), "Secret")
        assert "stringData" not in secret
        keys = {owner: base64.b64decode(key).decode() for owner, key in secret["data"].items()}
        assert keys == {"a": "one", "12": "two\nthree"}

    def test_the_release_test_sends_a_key(self, render: Render) -> None:
        values = {"auth": {"enabled": True, "existingSecret": "keys"}}
        args = container(render(values), "Pod")["args"]
        assert args[args.index("--api-keys-path") + 1] == "/etc/mlplat/api-keys"
        assert "--api-keys-path" not in container(render(), "Pod")["args"]


class TestRegistry:
    def test_it_is_off_by_default_and_alone_when_it_is_on(self, render: Render) -> None:
        """Serving and training are as they were until they are told to go through it."""
        plain, beside = render(), render({"registry": {"enabled": True}})
        assert [each for each in beside if each in plain] == plain
        added = [each for each in beside if each not in plain]
        assert sorted(each["kind"] for each in added) == ["ConfigMap", "Deployment", "Service"]
        assert {each["metadata"]["labels"]["app.kubernetes.io/component"] for each in added} == {"registry"}

    def test_only_the_registry_has_what_opens_the_store(self, render: Render) -> None:
        batch = {"batch": {"enabled": True, "output": "s3://b/$(JOB_NAME)"}}
        holders = [
            whose
            for whose, template in pod_templates(render(THROUGH | POSTGRES | RETRAINING | batch))
            if "'s3'" in str(template) or "AWS_" in str(template) or "s3://models" in str(template)
        ]
        assert holders == ["Deployment/ml-platform-registry"]

    def test_only_the_registry_has_the_database_and_the_key_of_the_admin(self, render: Render) -> None:
        registry = POSTGRES["registry"] | {"adminKey": {"existingSecret": "admin"}}
        for secret in ("postgres", "admin"):
            holders = [
                whose
                for whose, template in pod_templates(render(THROUGH | {"registry": registry}))
                if f"'{secret}'" in str(template)
            ]
            assert holders == ["Deployment/ml-platform-registry"]

    def test_only_the_registry_mounts_the_claim_and_only_it_is_tied_to_a_node(self, render: Render) -> None:
        objects = render({"store": {"through": "registry"}, "registry": {"enabled": True, "open": True}})
        assert one(objects, "PersistentVolumeClaim")
        for whose, template in pod_templates(objects):
            mounts = "persistentVolumeClaim" in str(template["spec"]["volumes"])
            assert mounts == ("affinity" in template["spec"]) == whose.endswith("-registry"), whose
            assert ("mlplat.dev/claim" in template["metadata"].get("labels", {})) == mounts, whose

    def test_keys_are_files_so_that_they_rotate_without_a_restart(self, render: Render) -> None:
        for whose, template in pod_templates(render(THROUGH | POSTGRES)):
            [run] = template["spec"]["containers"]
            if run["name"] in {"registry", "check"}:
                continue
            folder, _, name = environment(run)["MLPLAT_STORE_KEY_FILE"].rpartition("/")
            [mount] = [each for each in run["volumeMounts"] if each["mountPath"] == folder]
            assert "subPath" not in mount, "which would never change"
            [volume] = [each for each in template["spec"]["volumes"] if each["name"] == mount["name"]]
            [item] = volume["secret"]["items"]
            assert item == {"key": "writer" if run["name"] == "train" else "reader", "path": name}, whose

    def test_with_one_node_there_is_no_budget_that_would_block_its_drain(self, render: Render) -> None:
        assert "PodDisruptionBudget" not in kinds(render(POSTGRES))
        assert "PodDisruptionBudget" not in kinds(render({"registry": {"enabled": True}}))
        single = {"registry": POSTGRES["registry"] | {"replicas": 1}}
        assert "PodDisruptionBudget" not in kinds(render(URL | single))

    def test_while_the_database_is_away_its_pods_stay_and_say_so(self, render: Render) -> None:
        """All pods have one database: taken out of the Service they would refuse connections, not answer 503."""
        registry = container(render(POSTGRES), "Deployment", "-registry")
        probe = registry["readinessProbe"]
        assert probe["periodSeconds"] * probe["failureThreshold"] == 300
        assert {registry[f"{each}Probe"]["httpGet"]["path"] for each in ("startup", "liveness")} == {"/health"}

    def test_every_setting_is_an_option_of_registry_with_its_default(self, render: Render) -> None:
        from mlplat.cli.options import variable
        from mlplat.settings import RegistrySettings

        objects = render(POSTGRES | {"registry": POSTGRES["registry"] | {"adminKey": {"existingSecret": "admin"}}})
        data = one(objects, "ConfigMap", "-registry-settings")["data"]
        defaults = {variable(name, field): field.default for name, field in RegistrySettings.model_fields.items()}
        assert set(data) - set(defaults) == {"LOG_LEVEL"}
        for name in set(data) - {"LOG_LEVEL", "MLPLAT_UPLOADS"}:
            assert type(defaults[name])(yaml.safe_load(data[name])) == defaults[name], name
        names = {each["name"] for each in container(objects, "Deployment", "-registry")["env"]}
        assert names - set(defaults) == {"MLPLAT_CACHE"}
        assert defaults["MLPLAT_PORT"] == container(objects, "Deployment", "-registry")["ports"][0]["containerPort"]

    def test_changed_settings_roll_its_pods(self, render: Render) -> None:
        def template(**settings: int) -> Object:
            values = {"registry": {"enabled": True, "settings": settings}}
            return dict(one(render(values), "Deployment", "-registry")["spec"]["template"])

        assert template() != template(poolSize=3)


class TestPolicies:
    def test_the_network_is_closed_both_ways_for_every_pod(self, render: Render) -> None:
        policies = of(render({"policies": {"networkPolicy": {"enabled": True}}}), "NetworkPolicy")
        assert len(policies) == 3
        for policy in policies:
            assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
        with_ingress = [policy["metadata"]["name"] for policy in policies if "ingress" in policy["spec"]]
        assert with_ingress == ["ml-platform"]

    def test_the_store_is_reached_only_where_there_is_one(self, render: Render) -> None:
        policy = {"policies": {"networkPolicy": {"enabled": True, "storePorts": [9000]}}}
        closed = one(render(policy), "NetworkPolicy", "-jobs")["spec"]["egress"]
        opened = one(render(URL | policy), "NetworkPolicy", "-jobs")["spec"]["egress"]
        assert len(closed) == 1
        assert opened[1]["ports"] == [{"port": 9000, "protocol": "TCP"}]

    @pytest.mark.parametrize(
        ("values", "reached"),
        [
            ({"model": {"data": "s3://data/churn.parquet"}}, True),
            ({"batch": {"enabled": True, "input": "https://example.com/rows.csv"}}, True),
            ({"batch": {"enabled": True, "output": "gs://scored/$(JOB_NAME).parquet"}}, True),
            ({"model": {"data": "churn.csv"}, "batch": {"enabled": True, "input": "file:///models/rows.csv"}}, False),
        ],
    )
    def test_jobs_reach_data_elsewhere_and_serving_does_not(
        self, render: Render, values: dict[str, Any], reached: bool
    ) -> None:
        """With the claim as the store, too."""
        objects = render(values | {"policies": {"networkPolicy": {"enabled": True, "storePorts": [443, 9000]}}})
        jobs, serving = (one(objects, "NetworkPolicy", name)["spec"]["egress"] for name in ("-jobs", "ml-platform"))
        ports = [{"port": port, "protocol": "TCP"} for port in (443, 9000)]
        assert [rule["ports"] for rule in jobs if "ports" in rule] == ([ports] if reached else [])
        assert not [rule for rule in serving if "ports" in rule]


class TestMonitoring:
    def test_the_alerts_are_those_of_what_is_switched_on(self, render: Render) -> None:
        def alerts(values: dict[str, Any]) -> list[str]:
            rules = {"monitoring": {"prometheusRule": {"enabled": True}}}
            [group] = one(render(values | rules), "PrometheusRule")["spec"]["groups"]
            return [rule["alert"] for rule in group["rules"]]

        serving = ["ModelErrors", "ModelSlow", "ModelNotReady", "ModelLoadFailed", "ModelDrift"]
        assert alerts({}) == serving
        assert alerts(RETRAINING) == [*serving, "RetrainingFailed", "RetrainingLate"]
        operated = {"operator": {"enabled": True}, "serving": {"enabled": False}}
        assert alerts(operated) == ["OperatorBlind", "OperatorAway", "ModelDeploymentNotReady"]

    def test_a_failed_retraining_alerts_until_one_succeeds_and_none_at_all_is_late(self, render: Render) -> None:
        """A Job whose second try succeeds has not failed; before the first success the schedule's own age counts."""
        rules = {"monitoring": {"prometheusRule": {"enabled": True}}}
        [group] = one(render(RETRAINING | rules), "PrometheusRule")["spec"]["groups"]
        asked = {rule["alert"]: " ".join(rule["expr"].split()) for rule in group["rules"]}
        jobs = 'namespace="models",job_name=~"ml-platform-retrain-[0-9]+"'
        cron = 'namespace="models",cronjob="ml-platform-retrain"'
        success = f"max(kube_cronjob_status_last_successful_time{{{cron}}} or kube_cronjob_created{{{cron}}})"
        failed = f'kube_job_failed{{{jobs},condition="true"}} == 1'
        assert asked["RetrainingFailed"] == (f"max(kube_job_created{{{jobs}}} and on (job_name) {failed}) > {success}")
        assert asked["RetrainingLate"] == f"time() - {success} > 691200"

    def test_the_dashboard_shows_the_pods_of_one_deployment(self, render: Render) -> None:
        board = one(render({"monitoring": {"dashboard": {"enabled": True}}}), "ConfigMap", "-dashboard")
        text = board["data"]["ml-platform.json"]
        questions = [each["expr"] for panel in json.loads(text)["panels"] for each in panel["targets"]]
        assert all('pod=~"$release-[a-z0-9]+-[a-z0-9]{5}"' in question for question in questions)
        release = next(each for each in json.loads(text)["templating"]["list"] if each["name"] == "release")
        found = re.search(release["regex"].strip("/"), "iris-ml-platform-eu-5d8f7c9b4d-x2k7z")
        assert found is not None
        assert found[1] == "iris-ml-platform-eu"

    def test_alerts_and_dashboard_ask_for_metrics_that_exist(self, render: Render) -> None:
        from mlplat.metrics import ServeMetrics

        text = ServeMetrics().exposition().decode()
        exist = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
        objects = render(RETRAINING | {"monitoring": {k: {"enabled": True} for k in ("prometheusRule", "dashboard")}})
        asked = set(
            re.findall(r"mlplat_[a-z_]+", str(of(objects, "PrometheusRule") + of(objects, "ConfigMap", "board")))
        )
        assert len(asked) > 5
        assert {name for name in asked if name.removesuffix("_bucket") not in exist} == set()

    def test_alerts_of_the_operator_ask_for_what_it_tells(self, render: Render) -> None:
        """A label that Prometheus gives to what it scrapes is called exported_ in the metric: namespace is one."""
        from mlplat.operator.metrics import OperatorMetrics
        from mlplat.operator.status import Status

        metrics = OperatorMetrics()
        metrics.failing.labels("Deployment").set(1)
        metrics.tell("ml", "iris", Status(), Status())
        told = dict(re.findall(r"^(mlplat_\w+)(?:{(.*?)})? ", metrics.exposition().decode(), re.MULTILINE))
        values = {"operator": {"enabled": True}, "serving": {"enabled": False}}
        rules = one(render(values | {"monitoring": {"prometheusRule": {"enabled": True}}}), "PrometheusRule")
        for rule in rules["spec"]["groups"][0]["rules"]:
            [(labels, name)] = re.findall(r"^(?:max by \(([a-z_, ]+)\) |absent)\((\w+){", rule["expr"])
            given = {re.sub("^namespace$", "exported_namespace", each) for each in re.findall(r'(\w+)="', told[name])}
            assert set(filter(None, labels.split(", "))) <= given
            assert 'namespace="models",pod=~"ml-platform-operator-[a-z0-9]+-[a-z0-9]{5}"' in rule["expr"]

    def test_alerts_and_dashboard_select_predictions_by_labels_that_exist(self, render: Render) -> None:
        from mlplat.metrics import ServeMetrics

        metrics = ServeMetrics()
        metrics.tally("plain", "v1").add(0.01)
        given = {
            name: set(re.findall(r'(\w+)="', labels)) | {"namespace", "pod"}
            for name, labels in re.findall(r"^(mlplat_request\w+){(.*?)}", metrics.exposition().decode(), re.MULTILINE)
        }
        objects = render({"monitoring": {kind: {"enabled": True} for kind in ("prometheusRule", "dashboard")}})
        rules = one(objects, "PrometheusRule")["spec"]["groups"][0]["rules"]
        panels = json.loads(one(objects, "ConfigMap", "-dashboard")["data"]["ml-platform.json"])["panels"]
        questions = [rule["expr"] for rule in rules] + [each["expr"] for panel in panels for each in panel["targets"]]
        selected = re.findall(r"(mlplat_request\w+){((?:[^}\"]|\"[^\"]*\")*)}", "\n".join(questions))
        assert len(selected) > 8
        for name, labels in selected:
            assert set(re.findall(r"(\w+)(?:!=|=~|=)", labels)) <= given[name]
            assert 'protocol!="http"' in labels


class TestNotes:
    def test_they_say_what_to_type_next(self, notes: Callable[..., str]) -> None:
        text = notes()
        assert "helm test ml-platform -n models" in text
        assert "logs -l app.kubernetes.io/instance=ml-platform,app.kubernetes.io/component=training" in text
        assert "--set model.version=v2" in text
        assert "helm rollback ml-platform -n models" in text

    def test_of_an_alias_they_say_that_helm_does_not_move_it(self, notes: Callable[..., str]) -> None:
        text = notes(RETRAINING | URL)
        assert "`helm rollback` does not move it back" in text
        assert "exec deployment/ml-platform -- mlplat models rollback iris champion" in text
        assert "exec shell -- mlplat models rollback iris champion" in notes(RETRAINING)
        assert "create job --from=cronjob/ml-platform-retrain" in text

    def test_of_a_registry_they_say_how_to_reach_it_and_how_to_make_a_key(self, notes: Callable[..., str]) -> None:
        text = notes(POSTGRES)
        assert "port-forward service/ml-platform-registry 8080:80" in text
        assert "exec deployment/ml-platform-registry -- mlplat registry keys create NAME --role reader" in text
        service = {"type": "NodePort", "nodePort": 30800}
        text = notes({"registry": {"enabled": True, "open": True, "service": service}})
        assert "curl http://NODE:30800/ready" in text
        assert "keys create" not in text

    def test_through_a_registry_the_alias_is_moved_where_there_are_credentials(self, notes: Callable[..., str]) -> None:
        text = notes(THROUGH | POSTGRES | ALIAS)
        assert "exec deployment/ml-platform-registry -- mlplat models rollback iris champion" in text
        assert "exec deployment/ml-platform -- mlplat models history iris champion" in text

    def test_what_is_off_is_not_mentioned(self, notes: Callable[..., str]) -> None:
        text = notes({"serving": {"enabled": False}, "training": {"enabled": False}})
        assert "kubectl" not in text
