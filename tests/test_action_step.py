"""The step of `action.yml`: some topics, the counts in the job's summary, the exit status."""

import re
import shlex
import sys
from pathlib import Path

from refhf.conformance.vectors import action_step

ROOT = Path(__file__).parents[1]
ADAPTER = shlex.join([sys.executable, str(ROOT / "examples" / "adapters" / "numpy_adapter.py")])


def step(tmp_path, **environment):
    """The exit status, and the text of the summary."""
    file = tmp_path / "summary"
    file.write_text("before\n", encoding="utf-8")
    status = action_step.main({"REFHF_ADAPTER": ADAPTER, "GITHUB_STEP_SUMMARY": str(file), **environment}, [])
    return status, file.read_text(encoding="utf-8")


def test_counts_are_posted(tmp_path, capsys):
    """The summary is appended to, and has the chosen topics alone; the log has it too."""
    status, text = step(tmp_path, REFHF_TOPICS="gradient, cg")
    assert status == 0
    heading, _, _, _, gradient, cg = text.removeprefix("before\n").splitlines()
    passed, skipped = map(
        int, re.fullmatch(r"### refhf vectors: (\d+) passed, 0 failed, (\d+) skipped", heading).groups()
    )
    assert passed and skipped and text.removeprefix("before\n") in capsys.readouterr().out
    assert re.fullmatch(rf"\| gradient \| {passed} \| 0 \| \d+ \| 1\d\.\d \|", gradient)
    assert re.fullmatch(r"\| cg \| 0 \| 0 \| \d+ \|  \|", cg)


def test_a_failure_is_a_failure(tmp_path):
    """The exit status is 1; the failures are named, an adapter's words without marks of Markdown."""
    liar = "import sys; print('<b>no</b>', file=sys.stderr)"
    status, text = step(tmp_path, REFHF_ADAPTER=shlex.join([sys.executable, "-c", liar]), REFHF_TOPICS="saddle")
    assert status == 1 and "* `saddle/" in text and "\\<b\\>no" in text and "<b>" not in text


def test_an_unknown_topic_is_named(tmp_path, capfd):
    """A mistake is a line on standard error, and the status of a usage error; nothing is posted."""
    assert step(tmp_path, REFHF_TOPICS="gradients") == (2, "before\n")
    assert "(did you mean 'gradient'?)" in capfd.readouterr().err


def test_the_action_runs_the_step():
    """`action.yml` uses the inputs that it declares, and hands each to the step."""
    text = (ROOT / "action.yml").read_text(encoding="utf-8")
    declared = re.findall(r"^  (\w+):$", text.partition("inputs:")[2].partition("runs:")[0], flags=re.M)
    assert sorted(re.findall(r"REFHF_(\w+): \$\{\{ inputs\.(\w+) \}\}", text)) == sorted(
        (x.upper(), x) for x in declared
    )
    assert f"-m {action_step.__name__} $REFHF_OPTIONS" in text
