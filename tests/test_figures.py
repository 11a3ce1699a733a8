"""figures/, and what the commands draw: the same bytes from two fresh processes (R20)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from processes import OWN_WARNINGS
from test_ranks_cli import tiny

FIGURES = Path(__file__).parent.parent / "figures"
ELSEWHERE = {  # with what they show
    "fig2_saddle": "test_saddle_app.py",
    "fig3_communications": "test_figure_3.py",
    "fig4_batch_sizes": "test_sweep.py",
}
FAST = (
    *("fig_adya_large_batches", "fig_adya_resnet", "fig_best_settings", "fig_defaults", "fig_option_effects"),
    *("fig_replicas", "fig_resnet_convnet", "fig_spectra"),
)
TOGETHER = (
    *("fig_adya_1_schedule", "fig5_scaling", "fig_adya_ablation", "fig_all_digits", "fig_autoencoder"),
    *("fig_batch_robustness", "fig_speech"),
)
COMMANDS = """
import runpy, sys
from pathlib import Path
from refhf.lab.cli import entry_point as cli
sys.stdout.reconfigure(errors="replace")
folder, figures, data = map(Path, sys.argv[1:4])
tiny = ["--data", data, "--hidden", "none", "--steps", "1", "--quiet"]
for command in (
    ["train", "--method", "gn-cg", *tiny, "--out", folder / "train"],
    ["sweep", "--methods", "gn-cg", "--batches", "9", "--seeds", "1", *tiny, "--out", folder / "sweep"],
    ["saddle", "--methods", "newton", "--steps", "5", "--out", folder / "saddle.svg"],
):
    if status := cli.main([*map(str, command)]):
        sys.exit(status)
sys.path.insert(0, str(figures))
for name in sys.argv[4:]:
    sys.argv = [name, str(folder), "--fast"]
    runpy.run_path(str(figures / f"{name}.py"), run_name="__main__")
"""


def written(folder, *command):
    """The files (name to bytes) of two processes that run the command, each with its own folder for "OUT".

    The terminal of one of them knows nothing but ASCII.
    """
    environment = {key: value for key, value in os.environ.items() if key != "REFHF_DATA_DIR"}
    places, found = [folder / "one", folder / "two"], []
    for place in places:
        place.mkdir()
    started = [
        subprocess.Popen(
            [sys.executable, *OWN_WARNINGS, *(place if word == "OUT" else word for word in command)],
            env=environment | {"OPENBLAS_NUM_THREADS": "1", "PYTHONIOENCODING": encoding},
            stdout=subprocess.DEVNULL,
        )
        for place, encoding in zip(places, ("utf-8", "ascii"), strict=True)
    ]
    assert [process.wait() for process in started] == [0, 0]
    for place in places:
        found.append({str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*.*")})
    return found


@pytest.mark.parametrize("name", FAST)
def test_a_figure_is_the_same_from_two_processes(name, tmp_path):
    """R20: a figure's script writes the same bytes twice, without warnings and without data from elsewhere."""
    one, two = written(tmp_path, FIGURES / f"{name}.py", "--fast", "OUT")
    assert {file.rpartition(".")[2] for file in one} >= {"png", "txt"}
    assert one == two


def test_what_the_commands_draw_is_the_same_from_two_processes(tmp_path):
    """R20: the pictures of train, sweep and saddle, and the figures of TOGETHER, which share two processes."""
    one, two = written(tmp_path, "-c", COMMANDS, "OUT", FIGURES, tiny(tmp_path), *TOGETHER)
    pictures = ["train/run.png", "sweep/sweep.png", "saddle.svg", *(f"{name}.png" for name in TOGETHER)]
    for name in [*pictures, *(f"{name}.txt" for name in TOGETHER[1:])]:
        assert one[name] == two[name], name


def test_every_figure_is_covered():
    """R20: there is no script but those above and those whose own tests run it in two processes."""
    scripts = {path.stem for path in FIGURES.glob("fig*.py")}
    assert scripts == {*ELSEWHERE, *FAST, *TOGETHER}
    for name, file in ELSEWHERE.items():
        assert name in Path(__file__).with_name(file).read_text(encoding="utf-8")
