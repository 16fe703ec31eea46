"""Values as people read them."""

from datetime import UTC, datetime, timedelta, timezone

from mlplat.registry.ui.words import as_json, counted, moment, said, size


def test_what_someone_wrote_is_escaped_apart_and_cut() -> None:
    assert said("<b>\u202e") == "<bdi>&lt;b&gt;\u202e</bdi>"
    assert said("x" * 10, 10) == "<bdi>xxxxxxxxxx</bdi>"
    assert said("x" * 10_000, 2) == "<bdi>xx… <small>(9,998 more characters)</small></bdi>"


def test_times_are_utc_for_people_and_programs() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    shown = '<time datetime="2026-01-02T03:04:05Z" title="2026-01-02T03:04:05Z">2026-01-02 03:04 UTC</time>'
    assert moment(at) == shown
    assert moment(at.astimezone(timezone(timedelta(hours=2)))) == shown


def test_sizes_have_three_digits() -> None:
    shown = {
        0: "0 B",
        1023: "1,023 B",
        1024: "1 KiB",
        1536: "1.5 KiB",
        1 << 20: "1 MiB",
        5 << 40: "5 TiB",
        1 << 60: "1048576 TiB",
    }
    assert {count: size(count) for count in shown} == shown


def test_numbers_of_things_and_json() -> None:
    assert [counted(count, "row") for count in (0, 1, 2, 1000)] == ["0 rows", "1 row", "2 rows", "1,000 rows"]
    assert as_json({"a": [1, None, "é"]}) == "<bdi>{&quot;a&quot;: [1, null, &quot;é&quot;]}</bdi>"
    assert as_json("text") == "<bdi>text</bdi>"
    assert "more characters" in as_json({"a": "x" * 1000})
