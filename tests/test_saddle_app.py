"""refhf.lab.saddle: the lab's paths, its table, its picture, animation and page, its command line; and the figure."""

import json
import os
import re
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from page_contents import page_data
from processes import LONG, OWN_WARNINGS

import refhf
from refhf.lab.cli import entry_point, saddle_command
from refhf.lab.saddle import (
    escape_reasons,
    page_paths,
    page_scene,
    page_settings,
    page_store,
    saddle_figure,
    saddle_methods,
    saddle_page,
    saddle_table,
    saddle_wording,
)
from refhf.lab.saddle.saddle_methods import DEFAULT_METHODS, SADDLE_METHODS
from refhf.lab.saddle.trajectories import Ending, TrajectoryPoint, trace_path, within
from refhf.lab.saddle.trajectories import Trajectory as Trajectory
from refhf.methods.report import Source
from refhf.surfaces.saddles import SURFACES

ROOT = Path(__file__).parent.parent
SADDLE = SURFACES["saddle"]
MAGIC = {".png": b"\x89PNG", ".gif": b"GIF89a", ".svg": b"<?xml", ".pdf": b"%PDF", ".html": b"<!DOCTYPE html>"}
FLAT = [name for name, surface in SURFACES.items() if surface.window]


def can_run(name, surface):
    """Not every surface has a Gauss-Newton matrix."""
    return surface.gauss_newton is not None or SADDLE_METHODS[name].method not in ("gn-cg", "hybrid-cg")


# What a path is.


@pytest.mark.parametrize("name", SADDLE_METHODS)
@pytest.mark.parametrize("start", [(1, 0), (0.6, -0.8), (0, 0)], ids=str)
def test_path_is_what_the_library_does(name, start):
    """A path's points are those of refhf.iterate on the same objective, and what is said of each is exact."""
    one = trace_path(SADDLE, name, start, steps=12, seed=3)
    f, entry = refhf.from_functions(*SADDLE.functions), SADDLE_METHODS[name]
    options = saddle_methods.method_options(entry, SADDLE)
    reports = list(islice(refhf.iterate(f, start, method=entry.method, rng=3, **options), len(one.points) - 1))
    thetas = [np.array(start, float), *(report.theta for report in reports)]
    assert np.array_equal([p.theta for p in one.points], thetas)
    for k, point in enumerate(one.points):
        x, y = point.theta
        assert np.array_equal(point.gradient, [x, y**3 - y])
        assert np.allclose(point.eigenvalues, sorted([1, 3 * y**2 - 1]), rtol=1e-14, atol=0)
        if k == len(reports) or not reports[k].accepted:
            assert np.isnan(point.curvature)
            continue
        d = one.points[k + 1].theta - point.theta if point.tangent is None else reports[k].negative_direction
        if d.any():
            assert point.curvature == pytest.approx((d[0] ** 2 + (3 * y**2 - 1) * d[1] ** 2) / (d @ d), rel=1e-12)
        assert point.source is reports[k].source
        assert point.reason.startswith(reports[k].source.value)


def test_last_point_says_why_there_is_no_step():
    """When a method reports that it takes no step, its last point has the report's sentence."""
    one = trace_path(SADDLE, "gradient-descent", (0, 0))
    assert [(p.reason, p.source) for p in one.points] == [
        ("Stationary, not a minimum: smallest eigenvalue -1.", Source.NONE)
    ]


def test_curved_step_sets_out_along_its_tangent():
    """More and Sorensen's step from (1, 0) is the parabola (1 - t^2, +-t): it sets out at right angles to the line."""
    one = trace_path(SADDLE, "negative-curvature-newton", (1, 0))
    assert np.allclose(abs(one.points[0].tangent), [0, 1], atol=1e-12)
    assert one.points[0].curvature == pytest.approx(-1)
    assert np.allclose(abs(one.points[1].theta), [0, 1], atol=1e-12)
    drawn = saddle_figure._leg(*one.points[:2])
    assert np.allclose(drawn[:, 0], 1 - drawn[:, 1] ** 2)


@pytest.mark.parametrize("surface", SURFACES.values(), ids=lambda surface: surface.name)
@pytest.mark.parametrize("name", SADDLE_METHODS)
def test_every_method_runs_on_every_surface(surface, name):
    """From a surface's own start a path has finite points, an ending, and a table row; or the matrix is missing."""
    if not can_run(name, surface):
        with pytest.raises(ValueError, match="gauss-newton"):
            trace_path(surface, name, surface.start)
        return
    one = trace_path(surface, name, surface.start, steps=15)
    assert all(np.isfinite(p.theta).all() and np.isfinite(p.value) for p in one.points)
    assert isinstance(one.ending, Ending)
    assert len(one.points) <= 16
    assert name in saddle_table.trajectory_table([one])


# What the lab concludes.


def trajectory(*points, surface=SADDLE, source=Source.GRADIENT):
    """A path through these points, its steps all of one source."""
    made = tuple(
        TrajectoryPoint(np.array(p, float), np.ones(2), 0.0, np.ones(2), 1.0, None, "", source) for p in points
    )
    return Trajectory("newton", surface, made, Ending.MOVING)


def test_escape_tells_exact_zero_from_small():
    """A y of 1e-300 is off the line y = 0 and a y of 0 is on it; what brought it is the step's source, or rounding."""
    assert escape_reasons.find_escape(trajectory((1, 0), (0, 0))) == (None, 0.0, "nothing")
    assert escape_reasons.find_escape(trajectory((1, 1e-300), (0, 0))) == (0, 1e-300, "the start")
    assert escape_reasons.find_escape(trajectory((1, 0), (1, 0), (0, 0.5), source=Source.NOISE)) == (2, 0.5, "noise")
    assert escape_reasons.find_escape(trajectory((1, 0), (0, 1e-17))).by == "rounding, 1e-17"
    assert escape_reasons.find_escape(trajectory((1, 0), (0, 1e-17), source=Source.NOISE)).by == "noise"
    assert escape_reasons.find_escape(trajectory((1, 0), surface=SURFACES["rosenbrock"])) is None


def test_escape_allows_for_the_rounding_of_turned_axes():
    """On the rotated saddle the stable line is y = -3x/4, and a start on it counts as on it in spite of rounding."""
    turned = SURFACES["rotated-saddle"]
    for t in 1.0, 0.7, -0.3:
        assert escape_reasons.find_escape(trajectory((0.8 * t, -0.6 * t), surface=turned)).step is None
    assert escape_reasons.find_escape(trajectory((0.8, -0.6 + 1e-9), surface=turned)).step == 0


@given(inside=st.lists(st.booleans(), min_size=1, max_size=12))
def test_steps_to_leave_counts_to_the_last_return(inside):
    """A path has left after its last point within the radius; never, if it ends there; 0, if it was never within."""
    points = [(0.1, 0.2) if within else (3, 1) for within in inside]
    steps = escape_reasons.steps_to_leave(trajectory(*points), 0.5)
    if inside[-1]:
        assert steps is None
    else:
        assert not any(inside[steps:])
        assert steps == 0 or inside[steps - 1]


def test_endings_are_what_is_there():
    """Each ending, on a surface and from a start where it is known."""
    assert trace_path(SADDLE, "gradient-descent", (1, 0)).ending is Ending.SADDLE
    assert trace_path(SADDLE, "gradient-descent", (1, 0)).verdict == "stationary, not a minimum: smallest eigenvalue -1"
    assert trace_path(SADDLE, "gradient-descent", (1, 0.1)).ending is Ending.MINIMUM
    assert trace_path(SADDLE, "gradient-descent", (1, 0.1), steps=3).ending is Ending.MOVING
    assert trace_path(SADDLE, "noisy-gradient-descent", (1, 0)).ending is Ending.NEAR_MINIMUM
    assert trace_path(SURFACES["quadratic-saddle"], "gradient-descent", (1, 0.5)).ending is Ending.UNBOUNDED
    assert trace_path(SURFACES["monkey-saddle"], "hessian-cg", (1, 0)).ending is Ending.DEGENERATE
    assert trace_path(SURFACES["xor"], "hessian-cg", SURFACES["xor"].start).ending is Ending.PLATEAU


@pytest.mark.parametrize("name", ["gradient-descent", "newton", "truncated-newton", "saddle-free-newton",
                                  "hessian-bicgstab", "gn-cg", "hessian-cg", "hybrid-cg"])  # fmt: skip
def test_what_uses_g_and_h_alone_stays_on_the_line(name):
    """Claim H8: from (x, 0) every point of the path has y = 0 exactly; the path ends at the saddle and reports it."""
    for x in np.linspace(-2, 2, 50):
        one = trace_path(SADDLE, name, (x, 0))
        (row,) = saddle_table.trajectory_rows([one])
        assert all(p.theta[1] == 0 for p in one.points)
        assert np.linalg.norm(row["point"]) < 1e-8
        assert (row["ending"], row["steps_to_leave"], row["left_stable_directions_at"]) == ("saddle", None, None)
        assert row["eigenvalues"] == [-1, 1]
        assert row["why"] == "stationary, not a minimum: smallest eigenvalue -1; no step left the line y = 0"


@pytest.mark.parametrize(("name", "by", "more", "starts"), [
    ("random-start-cg", "a random start", {}, 50),
    ("negative-curvature-newton", "a Lanczos probe", {}, 50),
    ("noisy-gradient-descent", "noise", {"noise": 1e-7}, 10),
])  # fmt: skip
def test_what_has_another_source_leaves_the_line(name, by, more, starts):
    """From (x, 0) the first step brings a y, the table names its source, and the path comes within 1e-6 of (0, +-1)."""
    for seed, x in enumerate(np.linspace(-2, 2, starts)):
        one = trace_path(SADDLE, name, (x, 0), seed=seed, **more)
        (row,) = saddle_table.trajectory_rows([one])
        assert (row["left_stable_directions_at"], row["by"]) == (1, by)
        assert by in row["why"]
        assert np.allclose(abs(one.points[-1].theta), [0, 1], rtol=0, atol=1e-6)


def test_from_the_saddle_only_the_probe_and_noise_leave():
    """At (0, 0) the gradient is zero: no solver is started; the probe and noise do not ask for it."""
    endings = {name: trace_path(SADDLE, name, (0, 0), steps=60).ending for name in SADDLE_METHODS}
    left = {name for name, ending in endings.items() if ending is not Ending.SADDLE}
    assert left == {"noisy-gradient-descent", "negative-curvature-newton"}
    assert len(trace_path(SADDLE, "negative-curvature-newton", (0, 0)).points) <= 26


def test_numbers_are_zero_only_if_they_are():
    """The table writes 0 for zeros alone, however small a number is."""
    assert [saddle_table.format_number(x) for x in (0.0, -0.0, 1e-300, -5e-324, 1.0, 0.9999999)] == [
        "0", "0", "1e-300", "-4.941e-324", "1", "1",
    ]  # fmt: skip


# The command.


@pytest.fixture
def saddle_cli(capsys):
    def call(*arguments):
        return entry_point.main(["saddle", *map(str, arguments)]), *capsys.readouterr()

    return call


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--surface", "sadle"], [*SURFACES, "did you mean 'saddle'"]),
        (["--methods", "newt"], [*SADDLE_METHODS]),
        (["--methods", "newton,newton"], ["each once", "newton"]),
        (["--start", "1"], ["start", "(2,)", "(1,)"]),
        (["--start", "1,0,0"], ["start", "(2,)", "(3,)"]),
        (["--start", "nan,0"], ["start", "finite"]),
        (["--start", "-inf,0"], ["start", "finite"]),
        (["--start", "1,one"], ["start", "2 numbers"]),
        (["--steps", "0"], ["steps", ">= 1"]),
        (["--steps", "many"], ["steps", ">= 1"]),
        (["--seed", "-1"], ["seed", ">= 0"]),
        (["--out", "lab.jpg"], ["out", *saddle_command.ENDINGS, ".jpg"]),
        (["--out", "lab"], ["out", *saddle_command.ENDINGS]),
        (["--out", "no-such-folder/lab.png"], ["out", "folder"]),
        (["--surface", "xor", "--out", "lab.html"], ["two parameters", *FLAT]),
        (["--surface", "quadratic-saddle", "--methods", "gn-cg"], ["gauss-newton"]),
        (["--sruface", "saddle"], ["--surface"]),
    ],
    ids=str,
)
def test_bad_input_is_one_line(arguments, expected, saddle_cli, tmp_path, monkeypatch):
    """A mistake ends with status 2 and one line that has the valid choices; nothing is printed or written."""
    monkeypatch.chdir(tmp_path)
    status, out, err = saddle_cli(*arguments)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert [part for part in expected if part not in err] == []
    assert list(tmp_path.iterdir()) == []


def test_table_is_printed(saddle_cli):
    """The command prints the table of the paths, negative numbers in the start or not."""
    status, out, err = saddle_cli("--start", "-1,0", "--steps", 30)
    assert (status, err) == (0, "")
    assert (
        saddle_table.trajectory_table([trace_path(SADDLE, name, (-1, 0), steps=30) for name in DEFAULT_METHODS]) in out
    )
    assert all(max(map(len, line.split("  "))) < 120 for line in out.splitlines())


def test_json_is_the_table(saddle_cli):
    """--json has the rows of the table as numbers."""
    status, out, _ = saddle_cli("--methods", "gradient-descent,noisy-gradient-descent", "--json")
    found = json.loads(out, parse_constant=pytest.fail)
    assert status == 0
    assert [row["method"] for row in found["paths"]] == ["gradient-descent", "noisy-gradient-descent"]
    assert found["start"] == [1, 0]
    rows = saddle_table.trajectory_rows(
        [trace_path(SADDLE, name, (1, 0)) for name in ("gradient-descent", "noisy-gradient-descent")]
    )
    assert found["paths"] == json.loads(json.dumps(rows))


@pytest.mark.parametrize("ending", saddle_command.ENDINGS)
def test_file_is_what_its_ending_says(ending, saddle_cli, tmp_path, monkeypatch):
    """--out writes the format that the file's name ends in, the same bytes each time."""
    monkeypatch.setattr(saddle_page, "STARTS", {"saddle": 1})
    files = [tmp_path / f"{name}{ending}" for name in "ab"]
    for file in files:
        assert saddle_cli("--methods", "gradient-descent,noisy-gradient-descent", "--steps", 5, "--out", file)[0] == 0
    first, second = (file.read_bytes() for file in files)
    assert first.startswith(MAGIC[ending])
    assert first == second


@pytest.mark.parametrize("surface", SURFACES.values(), ids=lambda surface: surface.name)
def test_picture_is_legible(surface):
    """No two texts overlap, none leaves the picture, and none is smaller than 14 points on 16 inches."""
    figure = saddle_figure.saddle_figure(
        [trace_path(surface, name, surface.start, steps=40) for name in DEFAULT_METHODS]
    )
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    boxes = [(text.get_text(), text.get_window_extent(canvas.get_renderer())) for text in texts]
    boxes = [(text, box) for text, box in boxes if box.width]
    for i, (text, box) in enumerate(boxes):
        assert figure.bbox.padded(1).fully_containsx(box.x0), text
        assert figure.bbox.padded(1).fully_containsx(box.x1), text
        overlapping = [other for other, rest in boxes[i + 1 :] if Bbox.intersection(box, rest) and other != text]
        assert overlapping == [], text
    assert min(text.get_fontsize() for text in texts) >= 14


# The page.


@pytest.fixture(scope="module")
def opened():
    """The page with a coarse grid of starts, and its data."""
    text = saddle_page.saddle_page([SADDLE], DEFAULT_METHODS, starts=3)
    return text, page_data(text)


def agrees(one, run, data):
    """A run in the page is refhf's path: points to four digits, the rest to three, and zeros for rounding alone."""
    got = rows_of(data, run)
    hovers = one.ending is Ending.NEAR_MINIMUM
    points = one.points if hovers else [*one.points[: len(got) - 1], one.points[-1]]
    for k, (point, row) in enumerate(zip(points, got, strict=hovers is False)):
        assert [row["x"], row["y"]] == pytest.approx(point.theta, rel=5e-4, abs=1e-15)
        assert row["f"] == pytest.approx(point.value, rel=5e-4)
        assert [row["gx"], row["gy"]] == pytest.approx(point.gradient, rel=5e-3, abs=2e-15)
        assert [row["low"], row["high"]] == pytest.approx(point.eigenvalues, rel=5e-3, abs=2e-8)
        assert row["off"] == pytest.approx(abs(one.points[k].theta[1]), rel=5e-3, abs=0)
        if k < len(got) - 1:
            curvature = np.nan if row["curvature"] is None else row["curvature"]
            assert curvature == pytest.approx(point.curvature, rel=5e-3, abs=2e-8, nan_ok=True)
            assert data["reasons"][row["reason"]] == saddle_wording.raise_powers(point.reason)
    assert np.linalg.norm(one.points[len(got) - 1].theta - one.points[-1].theta) <= trajectory_still(one)
    assert data["reasons"][got[-1]["reason"]] == saddle_wording.raise_powers(one.points[-1].reason)
    assert run["right"] == (saddle_table.trajectory_rows([one])[0]["steps_to_leave"] is not None)


def trajectory_still(one):
    """The distance within which the page does not show the end of a path step by step."""
    return 0.5 if one.ending is Ending.NEAR_MINIMUM else page_paths.STILL


def rows_of(data, run):
    """The rows of a run in the page, each a dict with the columns' names."""
    width = len(data["columns"])
    numbers = run["numbers"]
    return [dict(zip(data["columns"], numbers[i : i + width], strict=True)) for i in range(0, len(numbers), width)]


def test_page_has_the_paths(opened):
    """From each start, and at each stop of each slider, the runs in the page are those that the library computes."""
    data = opened[1]
    every, few = page_store.grid_of_starts(SADDLE, 3)
    every += page_scene.special_starts(SADDLE, SADDLE.start).values()
    assert data["starts"] == [theta.tolist() for theta in every]
    stops = {name: set() for name in page_settings.SETTINGS}
    for variant in data["variants"]:
        options = page_settings.setting_options(SADDLE, variant["method"], variant["changed"])
        for i, run in zip(variant["starts"], variant["runs"], strict=True):
            agrees(trace_path(SADDLE, variant["method"], every[i], **options), run, data)
        for name, value in variant["changed"].items():
            stops[name].add(value)
            assert len(variant["starts"]) == len(few) + 3
    assert all(stops[name] == {*one.stops} - {one.default} for name, one in page_settings.SETTINGS.items())


@pytest.mark.parametrize("name", ["rotated-saddle", "rosenbrock"])
def test_page_agrees_with_the_table(name):
    """The page's steps are those of the command's table: a path that needs more than forty reaches its end."""
    surface, method = SURFACES[name], "truncated-newton" if name == "rosenbrock" else "saddle-free-newton"
    data = page_data(saddle_page.saddle_page([surface], [method], starts=1), name)
    run, (row,) = (
        data["runs"][data["grid"]][0],
        saddle_table.trajectory_rows([trace_path(surface, method, surface.start)]),
    )
    assert row["steps"] >= 50
    assert (run["ending"], row["ending"]) == ("minimum", "minimum")
    assert rows_of(data, run)[-1]["x"] == pytest.approx(row["point"][0], rel=1e-3)


def test_page_shows_no_negative_curvature_at_a_minimum():
    """On two-weights, whose minima have the eigenvalue 0, rounding is 0; a minimum off the map counts as that."""
    surface, names = SURFACES["two-weights"], [*DEFAULT_METHODS[:6], "negative-curvature-newton"]
    data = {"columns": page_paths.COLUMNS}
    runs = {name: page_paths.trajectory_facts(trace_path(surface, name, surface.start), {}) for name in names}
    for name, run in runs.items():
        assert rows_of(data, run)[-1]["low"] == 0, name
    away = runs["negative-curvature-newton"]
    assert rows_of(data, away)[-1]["x"] > surface.window[1]
    assert (away["ending"], away["outcome"].endswith("off the map")) == ("outside", True)
    assert all(run["ending"] == "minimum" for run in runs.values() if run is not away)


def test_page_writes_rounding_as_zero():
    """From (1, 0) the curved step ends at x = -1.7e-16, which the page shows as 0; the start's 1e-6 is 10 to the -6."""
    one = trace_path(SADDLE, "negative-curvature-newton", (1, 0))
    assert 0 < abs(one.points[-1].theta[0]) < 1e-15
    run = page_paths.trajectory_facts(one, {})
    assert rows_of({"columns": page_paths.COLUMNS}, run)[-1]["x"] == 0
    assert saddle_wording.raise_powers("1e-06 off, 2.5e-17, x^2, 1.1e+06") == (
        "10\u207b\u2076 off, 2.5\u00d710\u207b\u00b9\u2077, x\u00b2, 1.1\u00d710\u2076"
    )


def test_noise_is_shown_until_it_hovers(opened):
    """A path that ends about a minimum is shown for a few steps there, and not for all two hundred."""
    data = opened[1]
    noisy = [m["name"] for m in data["methods"]].index("noisy-gradient-descent")
    for runs in data["runs"]:
        assert len(rows_of(data, runs[noisy])) < 60


def test_methods_look_different_without_colour():
    """No two methods of the lab share a dash or a marker, and each has plain words and a source."""
    for looks in ({look.dash for look in SADDLE_METHODS.values()}, {look.marker for look in SADDLE_METHODS.values()}):
        assert len(looks) == len(SADDLE_METHODS)
    assert saddle_wording.IN_PLAIN_WORDS.keys() == saddle_wording.SOURCES.keys() == SADDLE_METHODS.keys()


def test_progress_is_on_stderr(saddle_cli, tmp_path, monkeypatch):
    """Without a terminal the page says four times how far it is, on one each per cent."""
    monkeypatch.setattr(saddle_page, "STARTS", {"saddle": 1})
    _, _, err = saddle_cli("--methods", "newton", "--out", tmp_path / "a.html")
    assert err.splitlines() == [f"{share} % of the page" for share in (25, 50, 75, 100)]
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    show = saddle_command.share_printer()
    for k in range(201):
        show(k / 200)


def test_page_has_the_line_and_the_saddle(opened):
    """Among the starts are the line y = 0 exactly, the saddle itself, and one a little off the line."""
    starts = opened[1]["starts"]
    assert [x for x, y in starts[: opened[1]["grid"]] if y == 0] == [-1, 0, 1]
    assert starts[opened[1]["grid"] :] == [[1, 0], [1, 1e-06], [0, 0]]
    assert opened[1]["special"] == ["(1, 0)", "10\u207b\u2076 beside", "the saddle"]
    assert opened[1]["named"] == starts[opened[1]["grid"] :]


def test_page_is_one_file(opened):
    """The page names no address outside itself."""
    assert re.findall(r"(?:https?:)?//[\w.]+\.\w+|@import|<link(?! rel=\"icon\" href=\"data:,\")|src=", opened[0]) == []


@pytest.mark.parametrize("name", FLAT)
def test_page_of_every_flat_surface(name):
    """Every surface of two parameters has a page; its grid is inside the window, its heights are the function's."""
    surface = SURFACES[name]
    data = page_data(saddle_page.saddle_page([surface], ["newton"], steps=3, starts=5), name)
    assert 4 <= data["grid"] <= 5**2
    assert all(within(surface, start) for start in data["starts"][: data["grid"]])
    assert len(data["levels"]) > 10
    n, (x0, x1, y0, y1) = page_scene.HEIGHTS, surface.window
    theta = np.array([x0 + 7 * (x1 - x0) / (n - 1), y0 + 2 * (y1 - y0) / (n - 1)])
    assert data["heights"][2 * n + 7] == pytest.approx(surface.value(theta), rel=1e-3)


def test_page_needs_two_parameters():
    """A surface of nine parameters has no page."""
    with pytest.raises(ValueError, match="two parameters"):
        saddle_page.saddle_page([SURFACES["xor"]], DEFAULT_METHODS)


# The figure.


def test_figure_is_reproducible(tmp_path):
    """The table has a row for each method of the lab; in a long run two fresh processes write the same bytes."""
    written = []
    for name in "ab" if LONG else "a":
        (tmp_path / name).mkdir()
        saddle_command = [sys.executable, *OWN_WARNINGS, ROOT / "figures" / "fig2_saddle.py", "--fast", tmp_path / name]
        subprocess.run(saddle_command, check=True, capture_output=True, env=os.environ | {"OPENBLAS_NUM_THREADS": "1"})
        written.append({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()})
    assert written[0] == written[-1]
    assert sorted(written[0]) == ["fig2_saddle.png", "fig2_saddle.txt"]
    lines = written[0]["fig2_saddle.txt"].decode().splitlines()
    assert all(any(line.startswith(name) for line in lines) for name in DEFAULT_METHODS)


def test_verdict_of_h8_is_that_of_the_table():
    """In fig2_saddle.txt those methods stay on the line, and those leave all discs, that H8's rows say do."""
    text = (ROOT / "figures" / "fig2_saddle.txt").read_text(encoding="utf-8").split("\n\n")[1]
    found = {line[:37].strip(): re.findall(r"(\d+)/\d+(?: in (\d+))?", line) for line in text.splitlines()[1:]}
    stay = {name for name, (line, *_) in found.items() if line[0] == "0"}
    assert stay == set(SADDLE_METHODS) - {name for name, one in SADDLE_METHODS.items() if one.options} - {
        "negative-curvature-newton"
    }
    everywhere = {name for name, (_, _, *discs) in found.items() if all(count == "100" for count, _ in discs)}
    assert set(found) - everywhere == {"newton", "hessian-bicgstab", "random-start-bicgstab"}


@pytest.mark.parametrize("size", ["1e60", "1e103", "-1e155", "1e200", "1e308"])
@pytest.mark.parametrize("surface", ["saddle", "rosenbrock", "xor"])
def test_what_overflows_is_an_ending(size, surface, capsys):
    """From a start whose value or curvature overflows the lab prints its table, and no warning."""
    start = ",".join([size] * SURFACES[surface].size)
    assert (
        entry_point.main(["saddle", "--methods", "newton", "--steps", "3", "--surface", surface, f"--start={start}"])
        == 0
    )
    said = capsys.readouterr()
    assert "newton" in said.out and said.err == ""
