"""Which columns come in and which go out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mlplat.batch import arrays, csvfile, parquetfile
from mlplat.batch.inputs import Source
from mlplat.bundle.answers import PREDICTION, PROBABILITY, VERSION, answer_columns, label_text
from mlplat.bundle.features import listed
from mlplat.bundle.manifest import Label, Manifest
from mlplat.errors import DataError


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of an output.

    Attributes:
        source: all columns of the input, in order.
        carried: the names of those that go to the output unchanged.
        schema: of the output: the carried ones, then the added ones.
    """

    source: pa.Schema
    carried: tuple[str, ...]
    schema: pa.Schema


def read_schema(source: Source) -> pa.Schema:
    """The columns of a file; those of CSV are strings."""
    if source.format.is_text:
        return pa.schema([(name, pa.string()) for name in csvfile.read_header(source)])
    return parquetfile.read_schema(source)


def arrange(source: Source, schema: pa.Schema, manifest: Manifest, *, to_text: bool) -> Columns:
    """What goes out for a file with the columns of `schema`.

    A file that batch wrote is scored anew: its old predictions are left out. Numeric and boolean features of CSV become
    numbers and booleans in Parquet, so that the output can be scored again; all other cells stay text.

    Raises:
        DataError: if features are missing, a column has the name of an added one, or a type that CSV cannot hold.
    """
    require(source, schema, manifest)
    added = added_fields(manifest)
    names = [name for name in schema.names if not _is_old_output(name, schema, manifest)]
    clash = [name for name in names if name in added.names]
    if clash:
        raise DataError(
            f"{source.name} has a column {listed(clash)} of its own, expected none of the names that are added.",
            hint="Rename it, or leave it out.",
        )
    kinds = {"numeric": pa.float64(), "boolean": pa.bool_()}
    fields = [schema.field(name) for name in names]
    if to_text:
        _refuse_untextual(source, fields)
        fields = [field.with_type(pa.string()) if _is_binary(field.type) else field for field in fields]
    elif source.format.is_text:
        typed = {column.name: kinds[column.kind] for column in manifest.features.columns if column.kind in kinds}
        fields = [field.with_type(typed.get(field.name, field.type)) for field in fields]
    return Columns(schema, tuple(names), pa.schema([*(field.with_nullable(True) for field in fields), *added]))


def require(source: Source, schema: pa.Schema, manifest: Manifest) -> None:
    """Refuse a file that lacks features, naming all that are missing and what is there."""
    missing = [name for name in manifest.features.names if name not in schema.names]
    if not missing:
        return
    lone = len(schema.names) == 1 and any(mark in schema.names[0] for mark in ";\t|")
    raise DataError(
        f"{source.name} lacks the column {listed(missing)} of {manifest.model} {manifest.version}; found "
        f"{listed(schema.names)}.",
        hint="Separate the columns with commas." if lone else "",
    )


def same(first: Source, schema: pa.Schema, other: Source, found: pa.Schema) -> None:
    """Refuse a file whose columns are not those of the first one; they may be in another order."""
    lacking = [name for name in schema.names if name not in found.names]
    surplus = [name for name in found.names if name not in schema.names]
    if lacking or surplus:
        parts = [f"lacks {listed(lacking)}"] * bool(lacking) + [f"has {listed(surplus)} besides"] * bool(surplus)
        raise DataError(
            f"{other.name} {' and '.join(parts)}, expected the columns of {first.name}.",
            hint="For one output per input let the output end with '/'.",
        )


def added_fields(manifest: Manifest) -> pa.Schema:
    """The columns that scoring adds."""
    prediction, *probabilities, version = answer_columns(manifest.classes)
    kind = pa.float32() if manifest.classes is None else labels(manifest.classes).type
    return pa.schema([(prediction, kind), *((name, pa.float32()) for name in probabilities), (version, pa.string())])


def labels(classes: Sequence[Label]) -> pa.Array:
    """The classes as a column holds them: of one type, text if they are of several."""
    kinds = {type(label) for label in classes}
    if kinds == {bool}:
        return arrays.booleans(np.array(classes))
    if kinds in ({int}, {float}):
        return arrays.numbers(np.array(classes))
    return arrays.texts([label_text(label) for label in classes])


def _is_old_output(name: str, schema: pa.Schema, manifest: Manifest) -> bool:
    ours = PREDICTION in schema.names and VERSION in schema.names and name not in manifest.features.names
    return ours and (name in {PREDICTION, VERSION} or name.startswith(PROBABILITY))


def _is_binary(kind: pa.DataType) -> bool:
    """Whether it holds bytes, which may be no text."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or pa.types.is_binary_view(kind)
    )


def _refuse_untextual(source: Source, fields: list[pa.Field]) -> None:
    for field in fields:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        try:
            pa.nulls(0, kind).cast(pa.string())
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise DataError(
                f"{source.name}: the column {field.name!r} is of type {field.type}, which CSV cannot hold.",
                hint="Write Parquet.",
            ) from error
