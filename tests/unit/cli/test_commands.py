"""What each command does, through the command line."""

import csv
import io
import json
import os
import re
import signal
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from itertools import repeat
from pathlib import Path

import httpx
import pytest
from tests.registries import answer, answering

from mlplat.cli import batch, demo
from mlplat.cli.demo import Demo, DemoError
from mlplat.errors import UsageError
from mlplat.store import ObjectStore

from .conftest import Done, Run

FLOWER = '{"features": [5.1, 3.5, 1.4, 0.2]}'


class TestTrain:
    def test_a_version_is_published_once_and_a_conflict_is_refused(self, run: Run) -> None:
        args = ["train", "--recipe", "iris", "--version", "v1", "--param", "n_estimators=5", "--promote", "champion"]
        first = run(*args)
        assert first.code == 0, first.err
        assert "iris v1 published" in first.out
        assert "accuracy" in first.out
        assert "champion is v1" in first.out
        assert "was there already" in run(*args).out
        other = run("train", "--recipe", "iris", "--version", "v1", "--param", "n_estimators=6")
        assert other.code == 4
        assert "new version" in other.err

    def test_a_run_names_its_version(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MLPLAT_RUN", "retrain-29481")
        args = ["train", "--recipe", "iris", "--param", "estimator=logistic_regression", "--version", "auto"]
        assert "iris retrain-29481 published" in run(*args).out

    def test_only_our_own_variable_names_a_run(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        """Jenkins sets JOB_NAME to the same in each of its runs."""
        monkeypatch.setenv("JOB_NAME", "nightly")
        args = ["train", "--recipe", "iris", "--param", "estimator=logistic_regression", "--version", "auto"]
        assert re.match(r"iris \d{8}-\d{6} published", run(*args).out)

    def test_a_run_that_is_tried_again_with_other_data_says_so(self, run: Run, tmp_path: Path) -> None:
        args = ["train", "--recipe", "tabular", "--model", "a", "--data", "a.csv", "--target", "y", "--run", "nightly"]
        rows = [f"{i % 40},{2 * (i % 40)}.5\n" for i in range(101)]
        (tmp_path / "a.csv").write_text("x,y\n" + "".join(rows[:100]))
        assert "a nightly published" in run(*args).out
        assert "made by" not in run(*args).out
        (tmp_path / "a.csv").write_text("x,y\n" + "".join(rows))
        done = run(*args)
        assert done.code == 0
        assert "a nightly was there already" in done.out
        assert "from a.csv with 100 rows; the data is another now, and nothing was trained from it" in done.out

    def test_progress_is_a_structured_line_for_each_step(self, run: Run) -> None:
        done = run("train", "--recipe", "iris", "--version", "v1", "--param", "estimator=logistic_regression")
        steps = [json.loads(line)["step"] for line in done.err.splitlines()]
        assert steps == ["load", "split", "fit", "export", "check", "publish"]

    def test_a_target_is_a_parameter(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "a.csv").write_text("x,y\n" + "\n".join(f"{i % 40},{2 * (i % 40)}.5" for i in range(100)) + "\n")
        done = run(
            "train", "--recipe", "tabular", "--model", "a", "--version", "v1", "--data", "a.csv", "--target", "y"
        )
        assert done.code == 0, done.err
        assert "r2" in done.out

    def test_a_recipe_of_a_file_beside_is_found(self, run: Run) -> None:
        example = Path(__file__).parents[3] / "examples"
        assert example.is_dir()
        done = run("train", "--recipe", "nowhere:Thing", "--version", "v1")
        assert done.code == 2
        assert "nowhere:Thing" in done.err


class TestRecipes:
    def test_the_recipes_are_listed(self, run: Run) -> None:
        listed = json.loads(run("recipes", "--output", "json").out)
        assert [row["recipe"] for row in listed] == ["iris", "churn", "forecast", "tabular"]
        assert all(row["description"] for row in listed)

    def test_the_parameters_of_a_recipe_are_listed_with_those_of_its_estimators(self, run: Run) -> None:
        listed = json.loads(run("recipes", "iris", "--output", "json").out)
        forest = next(row for row in listed if (row["name"], row["of"]) == ("n_estimators", "random_forest"))
        assert forest["default"] == "100"
        assert next(row["type"] for row in listed if row["name"] == "max_depth") == "integer or none"
        assert "n_estimators" in run("recipes", "iris").out

    def test_an_unknown_recipe_is_refused(self, run: Run) -> None:
        assert run("recipes", "nothing").code == 2


class TestModels:
    def test_models_and_versions_are_listed(self, run: Run, models: ObjectStore) -> None:
        listed = json.loads(run("models", "list", "--output", "json").out)
        assert [row["model"] for row in listed] == ["customers", "forecast", "iris"]
        assert listed[2] == {"model": "iris", "versions": ["v1", "v2"], "aliases": {"champion": "v1"}}
        versions = json.loads(run("models", "list", "iris", "--output", "json").out)
        assert [(row["version"], row["aliases"]) for row in versions] == [("v1", ["champion"]), ("v2", [])]
        assert versions[1]["params"] == {"estimator": "logistic_regression"}
        table = run("models", "list", "iris").out
        assert "VERSION" in table
        assert "estimator=logistic_regression" in table

    def test_an_empty_store_says_what_to_do(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "models").mkdir()
        assert "mlplat train" in run("models", "list").out

    def test_a_store_that_is_not_there_yet_is_an_empty_one_in_a_list(self, run: Run) -> None:
        done = run("models", "list")
        assert (done.code, "Nothing is in models yet; try: mlplat train" in done.out) == (0, True)
        assert json.loads(run("models", "list", "--output", "json").out) == []

    def test_what_is_verified_and_pruned_is_given_to_programs(self, run: Run, models: ObjectStore) -> None:
        verified = json.loads(run("models", "verify", "iris", "--output", "json").out)
        assert [(row["model"], row["version"]) for row in verified] == [("iris", "v1"), ("iris", "v2")]
        assert verified[0]["files"] == len(models.manifest("iris", "v1").files)
        args = ["models", "prune", "iris", "--older-than-days", "0", "--output", "json"]
        report = json.loads(run(*args).out)
        assert (report["versions"], report["kept"], report["dry_run"]) == (["v2"], ["v1"], True)
        assert json.loads(run(*args, "--yes").out)["versions"] == ["v2"]
        assert models.versions("iris") == ["v1"]

    def test_a_version_is_shown_by_name_or_alias(self, run: Run, models: ObjectStore) -> None:
        assert json.loads(run("models", "show", "iris", "v2", "--output", "json").out)["version"] == "v2"
        table = run("models", "show", "iris", "champion").out
        for words in ("v1", "champion", "sepal_length (numeric)", "setosa, versicolor, virginica", "accuracy="):
            assert words in table

    def test_an_alias_moves_and_keeps_its_history(self, run: Run, models: ObjectStore) -> None:
        assert "champion is v2 (before: v1)" in run("models", "promote", "iris", "v2", "--reason", "why not").out
        assert "champion is v1 (before: v2)" in run("models", "rollback", "iris", "champion", "--by", "me").out
        moves = json.loads(run("models", "history", "iris", "champion", "--output", "json").out)
        assert [(move["version"], move["previous"]) for move in moves] == [("v1", None), ("v2", "v1"), ("v1", "v2")]
        assert moves[1]["reason"] == "why not"
        assert moves[2]["by"] == "me"
        assert "why not" in run("models", "history", "iris", "champion").out

    def test_an_alias_goes_back_to_a_version_or_a_time(self, run: Run, models: ObjectStore) -> None:
        first = models.history("iris", "champion")[0].at
        run("models", "promote", "iris", "v2")
        assert "is v1" in run("models", "rollback", "iris", "champion", "--at", first.isoformat()).out
        assert "is v2" in run("models", "rollback", "iris", "champion", "--to", "v2").out
        assert run("models", "rollback", "iris", "champion", "--to", "v9").code != 0

    def test_a_time_that_history_prints_is_the_time_of_that_move(self, run: Run, models: ObjectStore) -> None:
        run("models", "promote", "iris", "v2")
        run("models", "promote", "iris", "v1")
        moves = json.loads(run("models", "history", "iris", "champion", "--output", "json").out)
        table = run("models", "history", "iris", "champion").out.splitlines()[1:]
        for move, line in zip(moves, table, strict=True):
            assert line.split()[0] == move["at"]
            done = run("models", "rollback", "iris", "champion", "--at", move["at"])
            assert f"champion is {move['version']}" in done.out

    def test_a_time_in_whole_seconds_means_all_of_that_second(self, run: Run, models: ObjectStore) -> None:
        start = datetime(2036, 1, 31, 8, tzinfo=UTC)
        for version, seconds in (("v2", 9.25), ("v1", 12.0)):
            store = ObjectStore(models.objects, clock=repeat(start + timedelta(seconds=seconds)).__next__)
            store.move("iris", "champion", version, reason="test", by="test")
        for second, version in ((8, "v1"), (9, "v2"), (10, "v2")):
            done = run("models", "rollback", "iris", "champion", "--at", f"2036-01-31T08:00:{second:02}Z")
            assert f"champion is {version}" in done.out

    def test_another_alias_can_be_made(self, run: Run, models: ObjectStore) -> None:
        assert "canary is v1" in run("models", "promote", "iris", "champion", "canary").out

    def test_bytes_are_verified(self, run: Run, models: ObjectStore, tmp_path: Path) -> None:
        assert run("models", "verify", "iris").out.count("all as published") == 2
        entry = models.manifest("iris", "v1").files["card.md"]
        (tmp_path / "models/iris/files" / entry.sha256).chmod(0o644)
        (tmp_path / "models/iris/files" / entry.sha256).write_text("forged")
        done = run("models", "verify", "iris", "v1")
        assert done.code == 1
        assert "card.md" in done.err

    def test_a_version_is_pulled_and_pushed(self, run: Run, models: ObjectStore, tmp_path: Path) -> None:
        assert run("models", "pull", "iris", "champion", "v1-folder").code == 0
        assert (tmp_path / "v1-folder/model.onnx").exists()
        done = run("models", "push", "v1-folder", "--store", "other")
        assert "iris v1 is in other" in done.out
        assert "all as published" in run("models", "verify", "iris", "--store", "other").out

    def test_pruning_is_a_dry_run_until_it_is_meant(self, run: Run, models: ObjectStore) -> None:
        args = ["models", "prune", "iris", "--older-than-days", "0"]
        assert "Would delete (say --yes to do it): v2" in run(*args).out
        assert models.versions("iris") == ["v1", "v2"]
        assert "Deleted: v2" in run(*args, "--yes").out
        assert models.versions("iris") == ["v1"]
        assert "no version" in run(*args).out


class TestPredict:
    def test_the_answer_is_a_servers(self, run: Run, models: ObjectStore) -> None:
        answer = json.loads(run("predict", "--model", "iris", "--alias", "champion", FLOWER).out)
        assert (answer["prediction"], answer["model_version"]) == ("setosa", "v1")

    def test_the_body_may_be_a_file_or_standard_input(
        self, run: Run, models: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "body.json").write_text(FLOWER)
        assert "setosa" in run("predict", "--model", "iris", "--version", "v2", "@body.json").out
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(FLOWER.encode())))
        assert "setosa" in run("predict", "--model", "iris", "--version", "v2", "-").out

    def test_a_forecast_looks_ahead(self, run: Run, models: ObjectStore) -> None:
        body = '{"values": [50, 51, 52, 53, 54], "horizon": 2}'
        answer = json.loads(run("predict", "--model", "forecast", "--version", "v1", body).out)
        assert len(answer["predictions"]) == 2

    def test_a_wrong_value_is_an_error_that_names_it(self, run: Run, models: ObjectStore) -> None:
        done = run("predict", "--model", "iris", "--version", "v1", '{"features": [1, 2, 3, "x"]}')
        assert done.code == 1
        assert "petal_width" in done.err


class TestBatch:
    def rows(self, path: Path) -> list[dict[str, str]]:
        with path.open() as file:
            return list(csv.DictReader(file))

    def test_the_held_out_sample_is_scored_and_not_twice(self, run: Run, models: ObjectStore, tmp_path: Path) -> None:
        args = ["batch", "--model", "iris", "--alias", "champion", "--input", "sample", "--output", "out.csv"]
        done = run(*args)
        assert done.code == 0, done.err
        rows = self.rows(tmp_path / "out.csv")
        assert f"{len(rows)} rows, {len(rows)} scored" in done.out
        assert {row["model_version"] for row in rows} == {"v1"}
        assert "complete already" in run(*args).out

    def test_rejected_rows_are_told(self, run: Run, models: ObjectStore, tmp_path: Path) -> None:
        header = "sepal_length,sepal_width,petal_length,petal_width\n"
        (tmp_path / "in.csv").write_text(header + "5.1,3.5,1.4,0.2\n5.1,wide,1.4,0.2\n")
        args = ["batch", "--model", "iris", "--version", "v1", "--input", "in.csv", "--output", "out.csv"]
        failed = run(*args)
        assert failed.code == 1
        assert "sepal_width" in failed.err
        done = run(*args, "--on-error", "reject")
        assert "2 rows, 1 scored, 0 left empty, 1 rejected" in done.out
        assert "which rows were rejected" in done.out

    def test_a_job_scores_the_shard_of_its_index(
        self, run: Run, models: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        args = ["batch", "--model", "iris", "--version", "v1", "--input", "sample", "--output", "out/", "--shards", "2"]
        done: list[Done] = []
        for index in ("0", "1"):
            monkeypatch.setenv("JOB_COMPLETION_INDEX", index)
            done.append(run(*args))
        assert [one.code for one in done] == [0, 0], done
        assert "still to finish" in done[0].out
        assert "still to finish" not in done[1].out

    def test_the_options_of_a_shard_must_fit(self) -> None:
        assert batch.share(None, None, "3") is None
        assert batch.share("1/4", 4, None) == batch.share(None, 4, "1")
        with pytest.raises(UsageError, match="disagree"):
            batch.share("1/4", 5, None)
        with pytest.raises(UsageError, match="--shard 0/4 to --shard 3/4"):
            batch.share(None, 4, None)


class TestDemo:
    def test_it_plays_to_the_end_and_leaves_nothing(self, run: Run, tmp_path: Path, clean: Path) -> None:
        done = run("demo")
        assert done.code == 0, done.err
        assert "Every answer was right" in done.out
        assert "0 failed" in done.out
        for command in ("mlplat train", "mlplat serve", "curl", "models promote", "models rollback", "mlplat batch"):
            assert f"$ {command}" in done.out or f"mlplat {command}" in done.out
        assert list(clean.iterdir()) == []

    def test_it_plays_behind_a_proxy_and_beside_settings_of_other_commands(
        self, run: Run, clean: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The proxy is the discard port, where nobody answers."""
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        for name, value in {"VERSION": "v7", "API_KEYS": "secret", "TARGET": "y", "SHARDS": "3"}.items():
            monkeypatch.setenv(f"MLPLAT_{name}", value)
        done = run("demo")
        assert done.code == 0, done.err
        assert "Every answer was right" in done.out

    @pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
    def test_it_can_leave_the_server_running(self, run: Run, clean: Path) -> None:
        done = run("demo", "--keep")
        assert done.code == 0, done.err
        url = next(word for word in done.out.split() if word.endswith("/docs);")).removesuffix("/docs);")
        pid = int(done.out.split("End it with: kill ")[1].split(";")[0])
        try:
            assert httpx.get(f"{url}/ready").status_code == 200
        finally:
            os.kill(pid, signal.SIGTERM)
            os.waitpid(pid, 0)

    def test_a_wrong_answer_fails_it_and_still_leaves_nothing(
        self, run: Run, clean: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Demo, "_check_scores", lambda *_: demo.check(False, "the file was scored"))
        done = run("demo")
        assert done.code == 1
        assert "expected that the file was scored" in done.err
        assert list(clean.iterdir()) == []

    def test_a_port_that_another_server_took_meanwhile_is_left_to_it(
        self, models: ObjectStore, tmp_path: Path, clean: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The other one answers just as well, as that of a second demo does."""
        with answering(answer("200 OK", b'{"status": "ready"}')) as (url, requests):
            monkeypatch.setattr(demo, "free_port", lambda: int(url.rpartition(":")[2]))
            play = Demo(tmp_path)
            try:
                play._serve()
                assert play._url != url
                assert demo.fetch(f"{play._url}/version")[1]["model_version"] == "v1"
                play.stop()
            finally:
                play.kill()
        assert requests == []

    def test_waiting_ends(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(demo, "PATIENCE_SECONDS", 0.0)
        with pytest.raises(DemoError, match="until pigs fly: the log"):
            demo.wait_for(lambda: False, "pigs fly", lambda: "the log")

    def test_no_answer_is_status_0(self) -> None:
        assert demo.fetch(f"http://127.0.0.1:{demo.free_port()}/") == (0, {})

    @pytest.fixture
    def clean(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """The folder for temporary files, which must be empty in the end."""
        folder = tmp_path / "temporary"
        folder.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        before = dict(os.environ)
        monkeypatch.setattr(os, "environ", os.environ)
        for name in ("MLPLAT_STORE", "MLPLAT_BY", "LOG_LEVEL"):
            monkeypatch.setenv(name, before.get(name, ""))
            monkeypatch.delenv(name)
        return folder
