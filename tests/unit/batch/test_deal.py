from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplat.batch.chunks import Chunk, Misfit, blocks, split
from mlplat.batch.deal import Share, block_rows_for, deal
from mlplat.batch.formats import Format
from mlplat.batch.inputs import Source
from mlplat.errors import UsageError

FORMATS = st.sampled_from(Format)


def source(number: int, kind: Format) -> Source:
    return Source(f"{number}.{kind}", "", 0, kind, Path(str(number)))


@given(st.lists(st.tuples(FORMATS, st.integers(0, 9)), min_size=1, max_size=9), st.integers(1, 12))
def test_every_row_group_and_file_is_dealt_to_exactly_one_shard(files: list[tuple[Format, int]], shards: int) -> None:
    sources = [source(number, kind) for number, (kind, _) in enumerate(files)]
    block_rows = block_rows_for(sources, shards)
    dealt: Counter[tuple[str, int]] = Counter()
    for index in range(shards):
        for task in deal(sources, [groups for _, groups in files], Share(index, shards), block_rows):
            if task.share is not None:
                assert (task.share, task.block_rows) == (Share(index, shards), block_rows)
            units = task.row_groups if task.row_groups is not None else [index if task.share is not None else 0]
            dealt.update((task.source.name, unit) for unit in units)
    expected: Counter[tuple[str, int]] = Counter()
    for each, (kind, groups) in zip(sources, files, strict=True):
        count = groups if kind is Format.PARQUET else shards if block_rows is not None else 1
        expected.update((each.name, unit) for unit in range(count))
    assert dealt == expected


@given(
    st.lists(st.integers(0, 20), max_size=8),
    st.integers(1, 6),
    st.integers(1, 7),
    st.integers(1, 9),
    st.sets(st.integers(0, 100)),
)
def test_every_row_of_a_csv_file_is_in_a_block_of_exactly_one_shard(
    sizes: list[int], shards: int, block_rows: int, chunk_rows: int, odd: set[int]
) -> None:
    chunks = []
    first = 1
    for size in sizes:
        numbers = range(first, first + size)
        rows = pa.record_batch([pa.array(numbers, pa.int64())], names=["number"])
        misfits = {number - first: Misfit((str(number),), 1) for number in numbers if number in odd}
        chunks.append(Chunk(source(0, Format.CSV), first, rows, misfits, size))
        first += size
    seen: Counter[int] = Counter()
    for index in range(shards):
        parts = [
            part
            for chunk in chunks
            for block in blocks(chunk, block_rows, Share(index, shards))
            for part in split(block, chunk_rows)
        ]
        assert sum(part.progress for part in parts) == sum(sizes)
        for part in parts:
            numbers = part.rows["number"].to_pylist()
            assert numbers == list(range(part.first, part.first + len(numbers)))
            assert len(numbers) <= chunk_rows
            assert all((number - 1) // block_rows % shards == index for number in numbers)
            assert part.misfits == {
                place: Misfit((str(number),), 1) for place, number in enumerate(numbers) if number in odd
            }
            seen.update(numbers)
    assert seen == Counter(range(1, first))


@pytest.mark.parametrize("text", ["", "1", "1/", "/2", "a/2", "-1/2", "1/0", "2/2", "1/2/3", "1.0/2"])
def test_a_shard_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"shard"):
        Share.parse(text)


def test_shards_are_counted_from_zero() -> None:
    assert [Share.parse(text) for text in ("0/2", "1/2")] == [Share(0, 2), Share(1, 2)]
