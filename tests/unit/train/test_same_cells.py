"""Training, batch and serving read the same cells as the same inputs."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mlplat.batch.decode import decode
from mlplat.recipes import Dataset, read_table
from mlplat.recipes.inference import encode, infer_features
from mlplat.train import samples


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("strings", [False, True])
def test_batch_encodes_the_training_file_as_training_did(
    mixed: pd.DataFrame, write_csv: Any, tmp_path: Any, form: str, strings: bool
) -> None:
    path = write_csv(mixed)
    if form == "parquet":
        path = str(tmp_path / "data.parquet")
        mixed.assign(since=pd.to_datetime(mixed["since"])).to_parquet(path)
    data = Dataset.from_table(read_table(path), target="grade")
    features = infer_features(data, np.ones(len(data), dtype=bool), strings=strings)
    trained = encode(features, data, np.arange(len(data)))
    (batch,) = data.table.arrow.combine_chunks().to_batches()
    decoded = decode(features, batch, text=form == "csv")
    assert not decoded.problems
    assert {n: v.tolist() for n, v in decoded.inputs.items()} == {n: v.tolist() for n, v in trained.items()}


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_the_json_values_of_a_row_encode_as_the_row_did(
    mixed: pd.DataFrame, write_csv: Any, tmp_path: Any, form: str
) -> None:
    path = write_csv(mixed)
    if form == "parquet":
        path = str(tmp_path / "data.parquet")
        mixed.assign(since=pd.to_datetime(mixed["since"])).to_parquet(path)
    data = Dataset.from_table(read_table(path), target="grade")
    features = infer_features(data, np.ones(len(data), dtype=bool))
    rows = [samples.raw_row(data, row) for row in range(len(data))]
    inputs, problems = features.encode(samples.by_column(features, rows))
    assert not problems
    assert inputs["input"].tolist() == encode(features, data, np.arange(len(data)))["input"].tolist()


def test_held_out_rows_in_the_version_encode_as_they_did(mixed: pd.DataFrame, write_csv: Any, tmp_path: Any) -> None:
    data = Dataset.from_table(read_table(write_csv(mixed)), target="grade")
    features = infer_features(data, np.ones(len(data), dtype=bool))
    held_out = np.arange(0, len(data), 5)
    samples.write_held_out(tmp_path / "held_out.parquet", data, held_out)
    table = read_table(tmp_path / "held_out.parquet").arrow
    assert isinstance(table, pa.Table)
    (batch,) = table.combine_chunks().to_batches()
    decoded = decode(features, batch, text=False)
    assert not decoded.problems
    assert decoded.inputs["input"].tolist() == encode(features, data, held_out)["input"].tolist()
