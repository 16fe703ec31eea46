"""One chunk at a time: decode, predict, and put the answers beside the rows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlplat.batch import arrays, csvfile
from mlplat.batch.chunks import Chunk
from mlplat.batch.columns import Columns, labels
from mlplat.batch.decode import Decoded, decode
from mlplat.batch.rejects import Reject
from mlplat.bundle.prediction import UNDEFINED, Prediction
from mlplat.errors import DataError
from mlplat.runtime.predictor import Predictor

OnError = Literal["fail", "null", "reject"]


@dataclass(frozen=True, slots=True)
class Scored:
    """What became of a chunk.

    Attributes:
        encoded: the rows with their predictions, as the writer takes them.
        rows: how many came in.
        bad: how many of them could not be scored.
        rejects: these, if they are to be left out.
        progress: as of the chunk.
    """

    encoded: Any
    rows: int
    bad: int
    rejects: list[Reject]
    progress: int


@dataclass(frozen=True, slots=True)
class Scorer:
    """Scores chunks of one output. Safe to call from several threads."""

    predictor: Predictor
    columns: Columns
    on_error: OnError
    encode: Callable[[pa.RecordBatch], Any]

    def __call__(self, chunk: Chunk) -> Scored:
        """Score a chunk.

        Raises:
            DataError: for the first row that cannot be scored, if that is to end the run.
        """
        decoded = decode(self.predictor.manifest.features, chunk.rows, text=chunk.source.format.is_text)
        prediction = self.predictor.predict(decoded.inputs)
        reasons = _reasons(chunk, decoded, prediction)
        if reasons and self.on_error == "fail":
            raise _refusal(chunk, *min(reasons.items()))
        bad = np.zeros(chunk.rows.num_rows, dtype=bool)
        bad[list(reasons)] = True
        rows = self._beside(chunk, decoded, prediction, bad)
        rejects: list[Reject] = []
        if reasons and self.on_error == "reject":
            rows = rows.filter(arrays.booleans(~bad))
            rejects = _rejects(chunk, reasons)
        return Scored(self.encode(rows), chunk.rows.num_rows, len(reasons), rejects, chunk.progress)

    def _beside(self, chunk: Chunk, decoded: Decoded, prediction: Prediction, bad: NDArray[np.bool_]) -> pa.RecordBatch:
        schema = self.columns.schema
        carried = []
        for name in self.columns.carried:
            wanted = schema.field(name).type
            cells = chunk.rows.column(name)
            if not cells.type.equals(wanted):
                typed = decoded.typed.get(name)
                cells = typed if typed is not None and typed.type.equals(wanted) else _cast(chunk, name, cells, wanted)
            carried.append(cells)
        return pa.record_batch([*carried, *self._answers(prediction, bad)], schema=schema)

    def _answers(self, prediction: Prediction, bad: NDArray[np.bool_]) -> list[pa.Array]:
        manifest = self.predictor.manifest
        version = arrays.texts([manifest.version]).take(arrays.numbers(np.zeros(len(bad), dtype=np.int64)))
        if manifest.classes is None or prediction.probabilities is None:
            return [arrays.numbers(prediction.values, bad), version]
        answers = labels(manifest.classes).take(arrays.numbers(prediction.values, bad))
        by_class = np.ascontiguousarray(prediction.probabilities.T)
        return [answers, *(arrays.numbers(each, bad) for each in by_class), version]


def _cast(chunk: Chunk, name: str, cells: pa.Array, wanted: pa.DataType) -> pa.Array:
    try:
        return cells.dictionary_decode().cast(wanted) if pa.types.is_dictionary(cells.type) else cells.cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"{chunk.source.name}: the column {name!r} is of type {cells.type}, expected {wanted}: {error}.",
            hint="Leave it out, or let all files, and the output, be of a format and type that hold it.",
        ) from error


def _reasons(chunk: Chunk, decoded: Decoded, prediction: Prediction) -> dict[int, str]:
    """What is wrong, by index of the row."""
    reasons = {index: str(misfit) for index, misfit in chunk.misfits.items()}
    for problem in decoded.problems:
        if problem.row not in chunk.misfits:
            text = f"column {problem.column!r}: found {problem.found}, expected {problem.expected}"
            before = reasons.get(problem.row)
            reasons[problem.row] = text if before is None else f"{before}; {text}"
    if prediction.undefined is not None:
        for index in np.flatnonzero(prediction.undefined).tolist():
            reasons.setdefault(index, UNDEFINED)
    return reasons


def _refusal(chunk: Chunk, index: int, reason: str) -> DataError:
    row = chunk.first + index
    line = csvfile.line_of(chunk.source, row) if chunk.source.format.is_text else None
    where = f"row {row}" if line is None else f"row {row} (line {line})"
    return DataError(
        f"{chunk.source.name}, {where}, {reason}.",
        hint="To go on without such rows use --on-error null or --on-error reject.",
    )


def _rejects(chunk: Chunk, reasons: dict[int, str]) -> list[Reject]:
    indices = sorted(reasons)
    taken = chunk.rows.take(pa.array(indices))
    columns = [column.to_pylist() for column in taken.columns]
    rejects = []
    for place, index in enumerate(indices):
        cells = tuple(column[place] for column in columns)
        reason = reasons[index]
        misfit = chunk.misfits.get(index)
        if misfit is not None and len(misfit.cells) > len(cells):
            reason += f"; the surplus: {', '.join(misfit.cells[len(cells) :])}"
        rejects.append(Reject(chunk.source.name, chunk.first + index, reason, cells))
    return rejects
