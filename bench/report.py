"""Results as tables in Markdown: the goals first, then every case by group."""

import platform
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench.cases import GROUPS, MODELS, STARTS, Case, Kind, Results, Verdict, cases
from bench.load import Measured

PACKAGES = ("uvicorn", "httptools", "uvloop", "fastapi", "pydantic", "onnxruntime", "scikit-learn", "numpy")
BEGIN = "<!-- written by bench/serve.py from here -->"
END = "<!-- to here -->"
QUIET = 0.05
"""The share of the two cores that others may use without being mentioned."""


def render(verdicts: Sequence[Verdict], results: Results, machine: str) -> str:
    """All tables."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    when = datetime.now(UTC).strftime("%Y-%m-%d")
    facts = [f"{when}, {machine}, Python {platform.python_version()}, {versions}.", *_others(results), *results.notes]
    lines = [" ".join(facts), ""]
    if verdicts:
        lines += _goals(verdicts)
    for group, title in GROUPS.items():
        found = [
            case for case in cases() if case.group == group and (case in results.measured or case in results.problems)
        ]
        if found:
            lines += ["", f"### {title}", "", *_cases(found, results)]
    if results.starts:
        lines += ["", f"### {GROUPS['start']}", "", *_starts(results)]
    return "\n".join(lines)


def write(path: Path, text: str) -> None:
    """Put the tables into a document, between its two marks; all else in it stays.

    Raises:
        ValueError: if the marks are not there.
    """
    before, begin, rest = path.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} lacks the lines {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def _others(results: Results) -> Iterator[str]:
    """How quiet the machine was."""
    shares = [one.others for rounds in results.measured.values() for one in rounds]
    disturbed = sum(share > QUIET for share in shares)
    if shares:
        yield f"Others used more than {QUIET:.0%} of the two cores in {disturbed} of {len(shares)} measurements."


def _goals(verdicts: Sequence[Verdict]) -> Iterator[str]:
    yield "| goal | result | each round | wanted | met |"
    yield "| --- | --- | --- | --- | --- |"
    for verdict in verdicts:
        goal = verdict.goal
        times = "x" if goal.theirs is not None else ""
        wanted = f"{'at least' if goal.at_least else 'at most'} {goal.bound:g}{times}{goal.unit}"
        if goal.aim is not None:
            wanted += f", aim {goal.aim:g}{times}"
        value = "-" if verdict.value is None else f"**{_short(verdict.value)}{times}{goal.unit}**"
        each = ", ".join(map(_short, verdict.each))
        yield f"| {goal.text} | {value} | {each or '-'} | {wanted} | {'yes' if verdict.met else 'no'} |"


def _cases(found: Sequence[Case], results: Results) -> Iterator[str]:
    yield "| what answers | model | protocol | rows | connections | requests/s | p50 ms | p99 ms | p99.9 ms | CPU a request | memory |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for case in found:
        constant = case.kind in {Kind.CONSTANT, Kind.FASTAPI}
        plain = constant or case.kind is Kind.ALONE
        yield (
            f"| {case.kind} | {'-' if constant else MODELS[case.model]} | {'-' if plain else case.protocol} | "
            f"{case.rows:,} | {'-' if case.kind is Kind.ALONE else case.connections} | {_figures(case, results)} |"
        )


def _figures(case: Case, results: Results) -> str:
    """The figures of one case, each of the round that was best at it."""
    if case in results.problems:
        return f"{results.problems[case]} | - | - | - | - | -"
    rounds = results.measured[case]

    def lowest(pick: Callable[[Measured], float | None]) -> str:
        found = [value for one in rounds if (value := pick(one)) is not None]
        return _short(min(found)) if found else "-"

    fastest = max(rounds, key=lambda one: one.rate)
    mark = " (limited by the client)" if fastest.limited_by_client else ""
    return (
        f"{fastest.rate:,.0f}{mark} | {lowest(lambda one: one.p50)} | {lowest(lambda one: one.p99)} | "
        f"{lowest(lambda one: one.p999)} | {lowest(lambda one: one.cpu)} us | {max(one.memory for one in rounds):.0f} MiB"
    )


def _starts(results: Results) -> Iterator[str]:
    yield "| what answers | exec to first answer, s | each |"
    yield "| --- | --- | --- |"
    for kind in STARTS:
        if each := results.starts.get(kind):
            yield f"| {kind} | {_short(min(each))} | {', '.join(map(_short, each))} |"


def _short(value: float) -> str:
    """Three digits that count."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:,.{digits}f}"
