"""benchmarks/record.py: a run's ratios are kept, its page is that of the lines, and a fall of a tenth is told."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def record():
    """The script."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import record
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
    return record


def results(jax, rate=0.8, threads=1):
    """What curvature_products.py writes, of one product."""
    rows = [
        {"peer": "refhf", "ms": 1.0, "ratio": 1.0, "of_gemm": rate},
        {"peer": "jax keeps", "ms": jax, "ratio": jax, "of_gemm": rate / jax},
        {"peer": "curvlinops", "absent": "missing"},
    ]
    return {"threads": threads, "products": [{"product": "G", "rows": rows}]}


def test_ratios_are_the_peers_and_the_own_rate(record):
    """A peer's ratio is its time over refhf's; refhf's own row gives its rate; who is absent has no ratio."""
    assert record.ratios(results(1.25)) == {f"G: {record.RATE}": 0.8, "G: jax keeps": 1.25}


@pytest.mark.parametrize(("jax", "rate", "told"), [(0.91, 0.73, 0), (0.89, 0.8, 1), (2.0, 0.71, 1), (0.5, 0.5, 2)])
def test_a_fall_of_more_than_a_tenth_is_told(record, tmp_path, jax, rate, told):
    """Ratios below 90 % of the last of the same machine are told, each once; a gain or a smaller fall is not."""
    history, page = tmp_path / "history.jsonl", tmp_path / "history.md"
    assert record.record(results(3.0, 0.9), history, page) == []
    assert len(record.record(results(1.0), history, page)) == 2
    assert len(record.record(results(jax, rate), history, page)) == told
    assert len(record.read(history)) == 3


def test_other_machines_are_not_compared(record, tmp_path):
    """A run with another number of threads, or on another processor, is compared with nothing and has its own table."""
    history, page = tmp_path / "history.jsonl", tmp_path / "history.md"
    record.record(results(2.0), history, page)
    assert record.record(results(1.0, threads=2), history, page) == []
    lines = record.read(history)
    other = lines[0] | {"machine": lines[0]["machine"] | {"cpu": "another"}}
    assert record.falls(results_line(record, 1.0), [other]) == []
    assert page.read_text().count("\n## ") == 2


def results_line(record, jax):
    """The line of a run."""
    return record.line_of(results(jax))


def test_a_line_says_where_it_was_measured(record):
    """A line has the processor, the versions of Python and NumPy, and is JSON."""
    line = json.loads(json.dumps(results_line(record, 1.0)))
    assert line["machine"]["cpu"] and line["machine"]["threads"] == 1
    assert {"python", "numpy"} <= set(line["versions"])


def test_the_page_is_that_of_the_lines(record):
    """docs/history.md is what the script makes of benchmarks/history.jsonl."""
    assert record.PAGE.read_text(encoding="utf-8") == record.page(record.read())


@pytest.mark.parametrize(("jax", "told"), [(2.0, 0), (1.0, 1)])
@pytest.mark.parametrize(("where", "word"), [("", "warning: "), ("true", "::warning title=benchmark::")])
def test_the_guard_tells_and_keeps_nothing(record, tmp_path, monkeypatch, capsys, jax, told, where, word):
    """With --compare a fall is told, in GitHub's words there, the command returns, and the history is as it was."""
    history, run = tmp_path / "history.jsonl", tmp_path / "bench.json"
    monkeypatch.setattr(record, "HISTORY", history)
    monkeypatch.setenv("GITHUB_ACTIONS", where)
    record.record(results(2.0), history, tmp_path / "history.md")
    run.write_text(json.dumps(results(jax)))
    before = history.read_text()
    record.main(["--compare", str(run)])
    *warnings, last = capsys.readouterr().out.splitlines()
    assert [line.startswith(f"{word}G: jax keeps: 1.00, 50% below") for line in warnings] == [True] * told
    assert last == f"{told} ratios fell by more than 10%; runs before on such a machine: 1"
    assert history.read_text() == before
