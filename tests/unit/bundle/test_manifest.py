"""The manifest: read back as it was written, and whatever else there is refused in one way."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlplat.bundle.manifest import SCHEMA_VERSION, Manifest, RecipeInfo, fingerprint, parse, sha256_of, utc
from mlplat.bundle.names import is_valid
from mlplat.errors import SchemaError

names = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?", fullmatch=True)
hashes = st.from_regex(r"[0-9a-f]{64}", fullmatch=True)
numbers = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(codec="utf-8"), max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, database=None)


@st.composite
def changes(draw: st.DrawFn) -> dict[str, Any]:
    """New values for the free fields of a manifest."""
    entry = st.fixed_dictionaries({"sha256": hashes, "bytes": st.integers(0, 2**53)})
    file_names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
    moment = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
    return {
        "model": draw(names),
        "version": draw(names),
        "created_at": draw(moment).isoformat(),
        "writer": draw(texts),
        "fingerprint": draw(hashes),
        "recipe": {
            "name": draw(texts),
            "params": draw(st.dictionaries(texts, json_values, max_size=3)),
            "revision": draw(st.integers(0, 9)),
        },
        "classes": draw(st.lists(st.booleans() | st.integers() | texts, min_size=1, max_size=4)),
        "metrics": draw(st.dictionaries(texts, numbers, max_size=4)),
        "importances": draw(st.dictionaries(texts, numbers, max_size=4)),
        "files": {"model.onnx": draw(entry), **draw(st.dictionaries(file_names, entry, max_size=3))},
        "packages": draw(st.dictionaries(texts, texts, max_size=3)),
    }


@pytest.fixture
def manifest(draft: Callable[..., Any]) -> Manifest:
    """A manifest."""
    made: Manifest = draft("v1").manifest
    return made


@pytest.fixture
def raw(manifest: Manifest) -> dict[str, Any]:
    """A manifest as plain JSON values."""
    values: dict[str, Any] = json.loads(manifest.to_json())
    return values


def encoded(values: Any) -> bytes:
    return json.dumps(values).encode()


@given(change=changes())
@SHARED
def test_a_manifest_is_read_back_as_it_was_written(raw: dict[str, Any], change: dict[str, Any]) -> None:
    written = Manifest.model_validate(json.loads(encoded({**raw, **change})))
    assert parse(written.to_json(), source="v1.json") == written
    assert written.to_json() == parse(written.to_json(), source="v1.json").to_json()


@given(data=st.binary(max_size=200))
def test_bytes_that_are_no_manifest_are_a_schema_error_that_names_the_source(data: bytes) -> None:
    with pytest.raises(SchemaError, match=r"iris/v1\.json"):
        parse(data, source="iris/v1.json")


@given(values=json_values, version=st.sampled_from([SCHEMA_VERSION, "1", "1.99", "2.0", "x", "", "٣", "²", "1²"]))
def test_json_that_is_no_manifest_is_a_schema_error(values: Any, version: str) -> None:
    for each in (values, {"schema_version": version, "model": values}, {"schema_version": values}, [values]):
        with pytest.raises(SchemaError, match=r"v1\.json"):
            parse(encoded(each), source="v1.json")


@given(data=st.data())
@SHARED
def test_a_manifest_with_one_field_replaced_by_anything_is_read_or_a_schema_error(
    raw: dict[str, Any], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(raw)))
    changed = encoded({**raw, name: data.draw(json_values)})
    try:
        manifest = parse(changed, source="v1.json")
    except SchemaError as error:
        assert "v1.json" in str(error)
    else:
        assert parse(manifest.to_json(), source="v1.json") == manifest


@given(data=st.data())
@SHARED
def test_a_manifest_with_damaged_bytes_is_read_or_a_schema_error(manifest: Manifest, data: st.DataObject) -> None:
    damaged = bytearray(manifest.to_json())
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        parse(bytes(damaged), source="v1.json")
    except SchemaError as error:
        assert "v1.json" in str(error)


@pytest.mark.parametrize("declared", ["2.0", "2", "10.1", "0.9"])
def test_another_major_schema_is_refused_with_a_sentence(raw: dict[str, Any], declared: str) -> None:
    with pytest.raises(SchemaError) as caught:
        parse(encoded({"schema_version": declared}), source="v1.json")
    assert caught.value.message == f"v1.json has schema {declared}; this release of mlplat reads schema 1.0."
    assert "release that wrote it" in caught.value.hint
    with pytest.raises(SchemaError, match=f"has schema {declared}"):
        parse(encoded({**raw, "schema_version": declared}), source="v1.json")


@given(extra=st.dictionaries(texts.filter(lambda name: name not in Manifest.model_fields), json_values, max_size=3))
@SHARED
def test_unknown_fields_of_a_newer_minor_schema_are_ignored(raw: dict[str, Any], extra: dict[str, Any]) -> None:
    newer = {**extra, **raw, "schema_version": "1.7"}
    newer["data"] = {**extra, **raw["data"]}
    newer["files"] = {name: {**extra, **entry} for name, entry in raw["files"].items()}
    read = parse(encoded(newer), source="v1.json")
    assert read == Manifest.model_validate(raw).model_copy(update={"schema_version": "1.7"})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "../etc"}, "model"),
        ({"version": "a/b"}, "version"),
        ({"files": {"../x": {"sha256": "0" * 64, "bytes": 1}}}, "files"),
        ({"files": {".hidden": {"sha256": "0" * 64, "bytes": 1}}}, "files"),
        ({"files": {"model.onnx": {"sha256": "../../etc/passwd", "bytes": 1}}}, "sha256"),
        ({"files": {"model.onnx": {"sha256": "0" * 64, "bytes": -1}}}, "bytes"),
        ({"files": {}}, "files lack model.onnx"),
        ({"runtime": "sklearn"}, "files lack model.joblib"),
        ({"runtime": "pickle"}, "runtime"),
        ({"classes": None}, "a classification has classes"),
        ({"task": "regression"}, "a classification has classes"),
        ({"created_at": "2026-01-01T00:00:00"}, "created_at"),
        ({"metrics": {"accuracy": "high"}}, "metrics.accuracy"),
    ],
)
def test_a_field_that_cannot_be_is_named(raw: dict[str, Any], change: dict[str, Any], said: str) -> None:
    with pytest.raises(SchemaError, match=r"v1\.json is not a valid manifest") as caught:
        parse(encoded({**raw, **change}), source="v1.json")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "field", ["model", "version", "created_at", "writer", "files", "golden", "features", "metrics"]
)
def test_a_field_that_is_missing_is_named(raw: dict[str, Any], field: str) -> None:
    del raw[field]
    with pytest.raises(SchemaError, match=f"{field}: Field required"):
        parse(encoded(raw), source="v1.json")


def test_numbers_that_are_not_json_are_refused(raw: dict[str, Any]) -> None:
    for number in ("NaN", "Infinity", "1e999"):
        data = encoded(raw).replace(b"0.9375", number.encode())
        with pytest.raises(SchemaError):
            parse(data, source="v1.json")


def test_deep_nesting_is_a_schema_error() -> None:
    with pytest.raises(SchemaError):
        parse(b'{"schema_version": "1.0", "x": ' + b"[" * 100_000, source="v1.json")


@given(
    params=st.dictionaries(texts, json_values, min_size=2, max_size=4),
    sha256=hashes,
    revision=st.integers(0, 5),
)
def test_a_fingerprint_depends_on_what_was_given_and_not_on_its_order(
    params: dict[str, Any], sha256: str, revision: int
) -> None:
    recipe = RecipeInfo(name="iris", params=params, revision=revision)
    same = RecipeInfo(name="iris", params=dict(reversed(params.items())), revision=revision)
    assert fingerprint(recipe, sha256) == fingerprint(same, sha256)
    assert len(fingerprint(recipe, sha256)) == 64
    others = [
        fingerprint(recipe.model_copy(update={"revision": revision + 1}), sha256),
        fingerprint(recipe.model_copy(update={"name": "churn"}), sha256),
        fingerprint(recipe.model_copy(update={"params": {}}), sha256),
        fingerprint(recipe, sha256_of(sha256.encode())),
    ]
    assert fingerprint(recipe, sha256) not in others


@given(names)
def test_the_names_that_tests_draw_are_valid(name: str) -> None:
    assert is_valid(name)


def test_a_moment_is_shown_in_utc_to_the_second() -> None:
    assert utc(datetime(2026, 1, 1, 0, 0, 0, 999, tzinfo=UTC)) == "2026-01-01T00:00:00Z"
