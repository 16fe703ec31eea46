"""The golden samples of a version, which are in its manifest, so in the store alone."""

from collections.abc import Sequence
from dataclasses import dataclass

from mlplat.bundle.answers import label_text
from mlplat.bundle.manifest import Manifest
from mlplat.errors import MlplatError
from mlplat.registry.service import Service
from mlplat.registry.ui.words import size
from mlplat.store import keys
from mlplat.store.versions import read_manifest
from mlplat.web.markup import cut, number, percent

MOST_BYTES = 2 << 20
"""A manifest that is larger than this is not read for a page."""

MOST_ROWS, MOST_COLUMNS = 8, 12


@dataclass(frozen=True)
class Samples:
    """Some rows with what training saw for them; or why there are none to show."""

    columns: Sequence[str] = ()
    rows: Sequence[tuple[Sequence[str], str]] = ()
    more_rows: int = 0
    more_columns: int = 0
    missing: str = ""


def read(service: Service, model: str, version: str) -> Samples:
    """The first samples; a store that is away leaves the rest of the page as it is."""
    key = keys.manifest(model, version)
    objects = service.store.objects
    try:
        held = objects.size(key)
        if held is None or held > MOST_BYTES:
            return Samples(missing=f"The manifest has {size(held or 0)}, so they are not shown here; download it.")
        return of(read_manifest(objects.get(key), model, version, source=key))
    except MlplatError as error:
        return Samples(missing=f"They cannot be read now. {error}")


def of(manifest: Manifest) -> Samples:
    """The first samples of a manifest."""
    names = manifest.features.names
    golden = manifest.golden
    answered = [
        _answer(
            manifest, value, golden.probabilities[i] if golden.probabilities and i < len(golden.probabilities) else ()
        )
        for i, value in enumerate(golden.values[:MOST_ROWS])
    ]
    rows = [
        ([_cell(value) for value in row[:MOST_COLUMNS]], answer)
        for row, answer in zip(golden.rows[:MOST_ROWS], answered, strict=False)
    ]
    return Samples(
        [cut(name, 40) for name in names[:MOST_COLUMNS]],
        rows,
        max(len(golden.rows) - len(rows), 0),
        max(len(names) - MOST_COLUMNS, 0),
    )


def _answer(manifest: Manifest, value: float, probabilities: Sequence[float]) -> str:
    classes = manifest.classes
    if classes is None:
        return number(value)
    index = int(value)
    if not 0 <= index < len(classes):
        return number(value)
    label = cut(label_text(classes[index]), 40)
    return f"{label} ({percent(probabilities[index])})" if index < len(probabilities) else label


def _cell(value: object) -> str:
    if value is None:
        return "(missing)"
    if isinstance(value, float):
        return number(value)
    return cut(str(value).lower() if isinstance(value, bool) else str(value), 40)
