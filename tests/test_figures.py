"""figures/, and what the commands draw: the same bytes from two fresh processes (R20)."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import pytest
from processes import LONG, OWN_WARNINGS
from test_ranks_cli import tiny

FIGURES = Path(__file__).parent.parent / "figures"
ELSEWHERE = {  # with what they show
    "fig2_saddle": "test_saddle_app.py",
    "fig3_communications": "test_figure_3.py",
    "fig4_batch_sizes": "test_sweep.py",
}
GROUPS = (  # each in two processes of its own, the first with the commands
    ("fig_adya_1_schedule", "fig5_scaling", "fig_adya_ablation", "fig_all_digits", "fig_autoencoder", "fig_speech"),
    ("fig_batch_robustness", "fig_best_settings", "fig_defaults", "fig_option_effects", "fig_spectra"),
    ("fig_adya_large_batches", "fig_adya_resnet", "fig_replicas", "fig_resnet_convnet"),
)
DRAW = """
import runpy, sys
from pathlib import Path
from refhf.lab.cli import entry_point as cli
sys.stdout.reconfigure(errors="replace")
folder, figures = map(Path, sys.argv[1:3])
names, data = sys.argv[3].split(","), sys.argv[4:]
tiny = ["--data", *data, "--hidden", "none", "--steps", "1", "--quiet"]
for command in (
    ["train", "--method", "gn-cg", *tiny, "--out", folder / "train"],
    ["sweep", "--methods", "gn-cg", "--batches", "9", "--seeds", "1", *tiny, "--out", folder / "sweep"],
    ["saddle", "--methods", "newton", "--steps", "5", "--out", folder / "saddle.svg"],
):
    if data and (status := cli.main([*map(str, command)])):
        sys.exit(status)
sys.path.insert(0, str(figures))
for name in names:
    sys.argv = [name, str(folder), "--fast"]
    runpy.run_path(str(figures / f"{name}.py"), run_name="__main__")
"""


def written(folder, *command, processes=2):
    """The files (name to bytes) of processes that run the command, each with its own folder for "OUT".

    The terminal of the first knows nothing but ASCII.
    """
    environment = {key: value for key, value in os.environ.items() if key != "REFHF_DATA_DIR"}
    places, found = [folder / "one", folder / "two"][:processes], []
    for place in places:
        place.mkdir()
    started = [
        subprocess.Popen(
            [sys.executable, *OWN_WARNINGS, *(place if word == "OUT" else word for word in command)],
            env=environment | {"OPENBLAS_NUM_THREADS": "1", "PYTHONIOENCODING": encoding},
            stdout=subprocess.DEVNULL,
        )
        for place, encoding in zip(places, ("ascii", "utf-8"), strict=False)
    ]
    assert {process.wait() for process in started} == {0}
    for place in places:
        found.append({str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*.*")})
    return found


@pytest.mark.parametrize("names", GROUPS, ids=lambda names: names[0])
def test_figures_are_the_same_from_two_processes(names, tmp_path):
    """R20: the scripts write the same bytes twice, without warnings and without data from elsewhere.

    So do train, sweep and saddle, in the processes of the first group. The other groups run once but in a long run.
    """
    commands = names == GROUPS[0]
    command = ["-c", DRAW, "OUT", FIGURES, ",".join(names), *[tiny(tmp_path)] * commands]
    one, *others = written(tmp_path, *command, processes=2 if LONG or commands else 1)
    drawn = ["train/run.png", "sweep/sweep.png", "saddle.svg"] * commands
    drawn += [name for name in one if name.startswith("fig")]
    assert sum(name.endswith(".png") for name in drawn) >= len(names) + 2 * commands
    for name, other in itertools.product(drawn, others):
        assert one[name] == other[name], name


def test_every_figure_is_covered():
    """R20: there is no script but those above and those whose own tests run it in two processes."""
    scripts = {path.stem for path in FIGURES.glob("fig*.py")}
    assert scripts == {*ELSEWHERE, *itertools.chain(*GROUPS)}
    for name, file in ELSEWHERE.items():
        assert name in Path(__file__).with_name(file).read_text(encoding="utf-8")


PICTURES = [*FIGURES.glob("*.png"), *(FIGURES.parent / "docs").glob("*.png")]


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_no_text_is_cut(picture):
    """The outermost two pixels of a picture are empty: no title or label is longer than the picture."""
    grey = matplotlib.image.imread(picture)[..., :3].mean(axis=-1)
    edges = [*grey[:2], *grey[-2:], *grey[:, :2].T, *grey[:, -2:].T]
    assert min(edge.min() for edge in edges) > 0.9
