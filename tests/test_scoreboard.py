"""The scoreboard: its page, results, faults and reports agree, and its runner runs."""

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import refhf

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "benchmarks" / "scoreboard"
RESULTS = json.loads((FOLDER / "results.json").read_text(encoding="utf-8"))
ROWS = RESULTS["rows"]
LINES = 10  # of a reproduction


@pytest.fixture(scope="module")
def scoreboard():
    """The modules of the folder."""
    sys.path.insert(0, str(FOLDER))
    try:
        yield {name: importlib.import_module(name) for name in ("found_faults", "page", "problems", "solver_laws")}
    finally:
        sys.path.remove(str(FOLDER))


def test_page_and_results_agree(scoreboard):
    """README.md is the page of results.json."""
    assert (FOLDER / "README.md").read_text(encoding="utf-8") == scoreboard["page"].page(RESULTS)


def test_rows_are_complete(scoreboard):
    """There are 25 rows or more; each has its version, date and machine, each law its verdict, and no path of one."""
    assert len(ROWS) >= 25
    for row in ROWS:
        assert row["version"] and row["date"] and row["machine"] and row["cells"]
        assert (FOLDER / "adapters" / f"{row['adapter']}.py").exists()
        for cell in row["cells"].values():
            laws = {law["verdict"] for law in cell.get("laws", [])}
            assert cell["verdict"] == ("not offered" if not laws else "wrong" if "wrong" in laws else "right")
    assert str(ROOT.parent) not in json.dumps(RESULTS)


def test_faults_are_explained(scoreboard):
    """Each wrong cell has a fault, each fault a wrong cell, a report and a reproduction of at most ten lines."""
    faults, page = scoreboard["found_faults"], scoreboard["page"]
    assert page.unexplained(ROWS) == []
    wrong = [
        faults.explain(row["library"], row["route"], topic)
        for row in ROWS
        for topic, cell in row["cells"].items()
        if cell["verdict"] == "wrong"
    ]
    assert set(wrong) == set(faults.FAULTS)
    assert {path.stem for path in (FOLDER / "reports").glob("*.md")} == {fault.name for fault in faults.FAULTS}
    for fault in faults.FAULTS:
        code = page.reproduction(fault.name)
        compile(code, fault.name, "exec")
        assert len(code.splitlines()) <= LINES, fault.name
        assert "refhf" not in code
        report = (FOLDER / "reports" / f"{fault.name}.md").read_text(encoding="utf-8")
        assert f"* Kind: {fault.kind}." in report
        assert all(f"\n## {part}\n" in report for part in ("Reproduction", "Expected", "Actual", "Why"))


def test_gradient_is_the_derivative_of_the_loss(scoreboard):
    """The gradients of the normalisation problems agree with complex steps of the loss to 13 digits."""
    problems = scoreboard["problems"]
    for problem in problems.PROBLEMS:
        if not problem.norm:
            continue

        def value(theta, problem=problem):
            W, b, *affine, W2, b2 = problem.parts(theta)
            shape, axis, _ = problems.NORMS[problem.norm]
            s = (problem.X @ W.T + b).reshape(len(problem.X), *shape)
            s = s if problem.norm == "rms_norm" else s - s.mean(axis, keepdims=True)
            n = s / np.sqrt((s * s).mean(axis, keepdims=True) + problems.EPSILON)
            h = n * affine[0] + (affine[1] if len(affine) > 1 else 0.0)
            z = np.tanh(h).reshape(len(s), -1) @ W2.T + b2
            return (np.log(np.exp(z).sum(1)) - z[np.arange(len(s)), problem.y]).mean()

        steps = 1e-30j * np.eye(problem.theta.size)
        wanted = np.array([value(problem.theta + step).imag / 1e-30 for step in steps])
        np.testing.assert_allclose(problems.gradient(problem, problem.theta), wanted, rtol=0, atol=1e-13)
        assert problems.check(problem, lambda theta, v, p=problem: complex_step(problems, p, theta, v)).passed
        assert not problems.check(problem, lambda theta, v: v).passed


def complex_step(problems, problem, theta, v):
    """H v, by a complex step of the gradient."""
    return problems.gradient(problem, theta + 1e-30j * v).imag / 1e-30


def test_solver_laws(scoreboard):
    """refhf's solvers obey the laws; one that returns zeros and claims success breaks each but b = 0."""

    def zeros(A, b, x0=None, rtol=1e-5, maxiter=None):
        return np.zeros_like(b), 0

    for topic, law in scoreboard["solver_laws"].TOPICS.items():
        assert law(refhf.cg).passed and law(refhf.bicgstab).passed
        assert law(zeros).passed == (topic == "b = 0")


def test_runner(tmp_path):
    """The runner checks what needs SciPy and NumPy alone and keeps other rows; another SciPy may have other faults."""
    shutil.copy(FOLDER / "results.json", tmp_path)
    command = [sys.executable, str(FOLDER / "run.py"), "--only", "scipy", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == int("not explained" in done.stdout), done.stdout + done.stderr
    rows = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["rows"]
    assert "# Scoreboard" in (tmp_path / "README.md").read_text(encoding="utf-8")
    assert [row for row in rows if row["library"] != "scipy"] == [row for row in ROWS if row["library"] != "scipy"]
    assert {row["route"] for row in rows if row["library"] == "scipy"} >= {"cg", "bicgstab", "minres"}


def test_reproduction(scoreboard):
    """The reproduction of a fault of SciPy runs."""
    command = [sys.executable, str(FOLDER / "run.py"), "--reproduce", "scipy-minres"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    assert "relative residual" in done.stdout
