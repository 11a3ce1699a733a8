"""The saddle lab's page in a real browser: a click, a drag, the keyboard. What it shows is what refhf computed."""

import base64
import json
import math
import re
import threading
from itertools import pairwise

import numpy as np
import pytest
from browser import BROWSER, Browser
from page_contents import page_data

from refhf.lab.saddle import page_requests, page_server, saddle_page
from refhf.lab.saddle.saddle_methods import DEFAULT_METHODS, SADDLE_METHODS
from refhf.lab.saddle.trajectories import trace_path
from refhf.surfaces.saddles import SURFACES

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed (Debian: apt-get install chromium)")
SURFACE = SURFACES["saddle"]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The page, with a coarse grid of starts, as a file, and its data."""
    text = saddle_page.saddle_page([SURFACE], DEFAULT_METHODS, starts=5)
    path = tmp_path_factory.mktemp("page") / "saddle.html"
    path.write_text(text, encoding="utf-8")
    return path, page_data(text)


@pytest.fixture(scope="module")
def browser():
    with Browser(1280, 800) as browser:
        yield browser


@pytest.fixture
def shown(browser, written):
    """The browser with the page freshly loaded; no test may leave a complaint in its console."""
    browser.open(written[0])
    browser.run("ready.then(() => 0)")
    yield browser
    assert browser.complaints == []


def place(browser, x, y):
    """The screen position of a point of the surface."""
    script = f"(() => {{const p = new DOMPoint(across({x}), down({y})).matrixTransform(plan.getScreenCTM());"
    return browser.run(script + "return [p.x, p.y];})()")


def start(browser):
    return browser.run("[Number(byId('start').dataset.x), Number(byId('start').dataset.y)]")


def move(browser, data, at):
    """Show the special start of number `at`."""
    browser.run("choose({}, {}).then(() => 0)".format(*data["starts"][data["grid"] + at]))


def drawn(browser):
    """Each method's path as it is drawn, its corners in the surface's coordinates."""
    script = (
        "Object.fromEntries([...document.querySelectorAll('#paths [data-method]')].map("
        "p => [p.dataset.method, p.getAttribute('d').slice(1).split(/[LQ]/)"
        ".map(xy => xy.split(' ').slice(-2).map(Number))]))"
    )
    x0, x1, y0, y1 = SURFACE.window
    return {
        name: [(x0 + x / 1000 * (x1 - x0), y1 - y / 1000 * (y1 - y0)) for x, y in corners]
        for name, corners in browser.run(script).items()
    }


def expected(data, at, step=None):
    """The points of each method from the start number `at`, as the page's data has them."""
    width = len(data["columns"])
    found = {}
    for method, run in zip(data["methods"], data["runs"][at], strict=True):
        numbers = run["numbers"]
        points = [tuple(numbers[i : i + 2]) for i in range(0, len(numbers), width)]
        found[method["name"]] = points[: None if step is None else step + 1]
    return found


def agree(browser, data, at, step=None):
    """The drawing agrees with the expectation to 1e-4 of the window."""
    wanted, got = expected(data, at, step), drawn(browser)
    assert got.keys() == wanted.keys()
    for name, points in wanted.items():
        assert got[name] == [pytest.approx(point, abs=2e-4) for point in points], name


def test_opens_with_the_surfaces_start(shown, written):
    """The page opens at step 0 of the surface's start with a question; the headline counts the ends at the end."""
    data = written[1]
    at = data["grid"]
    assert start(shown) == [1, 0]
    agree(shown, data, at, step=0)
    assert data["question"] in shown.run("byId('headline').textContent")
    assert shown.run("document.querySelectorAll('.bars rect').length") == 0
    shown.key("End")
    agree(shown, data, at)
    endings = [run["ending"] for run in data["runs"][at]]
    headline = shown.run("byId('headline').textContent")
    for group in set(endings):
        assert f"{endings.count(group)} {data['says'][group][endings.count(group) > 1]}" in headline


def test_click_moves_the_start(shown, written):
    """A click puts the start at the nearest computed one; at the end of the paths it draws that start's to the end."""
    data = written[1]
    shown.key("End")
    for x, y in ((0.55, 0.93), (-0.9, -0.1), (0.02, 0.03)):
        shown.click(*place(shown, x, y))
        at = min(range(data["grid"]), key=lambda i: (data["starts"][i][0] - x) ** 2 + (data["starts"][i][1] - y) ** 2)
        assert start(shown) == data["starts"][at]
        agree(shown, data, at)


def test_drag_takes_the_start_along(shown, written):
    """While the start is dragged the paths are those of where it is; letting go leaves it there."""
    data = written[1]
    first, second = data["starts"].index([0.5, 0.5]), data["starts"].index([-0.5, -1])
    shown.key("End")
    shown.mouse("mousePressed", *place(shown, 1, 0))
    shown.mouse("mouseMoved", *place(shown, 0.5, 0.5))
    assert start(shown) == [0.5, 0.5]
    agree(shown, data, first)
    shown.mouse("mouseMoved", *place(shown, -0.5, -1))
    shown.mouse("mouseReleased", *place(shown, -0.5, -1))
    shown.mouse("mouseMoved", *place(shown, 1, 1))
    assert start(shown) == [-0.5, -1]
    agree(shown, data, second)


def test_keyboard_steps_chooses_and_moves(shown, written):
    """Left and right step, up and down choose the method, on the map all four move the start, space plays."""
    data = written[1]
    at = data["grid"]
    shown.key("Home")
    agree(shown, data, at, step=0)
    shown.key("ArrowRight")
    shown.key("ArrowRight")
    agree(shown, data, at, step=2)
    shown.key("ArrowLeft")
    agree(shown, data, at, step=1)
    assert shown.run("state.chosen") == len(DEFAULT_METHODS) - 1
    shown.key("ArrowUp")
    assert shown.run("document.querySelector('.row[aria-checked=true]').id") == f"method-{DEFAULT_METHODS[-2]}"
    shown.run("plan.focus()")
    shown.key("ArrowUp")
    shown.key("ArrowLeft")
    assert start(shown) == [0.5, 0.5]
    agree(shown, data, data["starts"].index([0.5, 0.5]), step=0)
    shown.key(" ")
    assert shown.run("state.timer !== null")
    assert shown.run("state.step") == 0
    shown.key(" ")
    assert shown.run("state.timer") is None


def test_tab_reaches_every_control(shown):
    """Tab visits surface, words, map, guesses, chosen method, sliders, boxes, starts and player; each has a name."""
    visited = []
    for _ in range(27):
        shown.key("Tab")
        name = "e.ariaLabel || e.labels?.[0]?.textContent || e.textContent"
        visited.append(shown.run(f"(e => [e.id || e.type || e.tagName, {name}])(document.activeElement)"))
    names = [name for name, _ in visited]
    assert names[0:3] == ["surfaces", "SUMMARY", "plan"]
    assert names[3:11] == ["checkbox"] * len(DEFAULT_METHODS)
    assert names[11:15] == [f"method-{DEFAULT_METHODS[-1]}", "set-rate", "set-noise", "set-delta_0"]
    assert names[15:22] == ["only", "model", "log", "basins", "button", "button", "button"]
    assert names[22:] == ["save", "share", "play", "reset", "speed"]
    assert all(label.strip() for _, label in visited)


def test_detail_shows_the_numbers_of_the_step(shown, written):
    """At each step of the chosen method: its point, gradient, eigenvalues, curvature and reason, as computed."""
    data = written[1]
    at, width = data["grid"], len(data["columns"])
    run = data["runs"][at][5]
    shown.run("state.chosen = 5; 0")
    for k in range(1, len(run["numbers"]) // width):
        shown.run(f"go({k})")
        row = dict(zip(data["columns"], run["numbers"][k * width : (k + 1) * width], strict=True))
        last = k == len(run["numbers"]) // width - 1
        for element, names in {"point": "x y", "gradient": "gx gy", "eigenvalues": "low high"}.items():
            text = shown.run(f"byId('{element}').textContent").strip("()")
            assert [read(part) for part in text.split(", ")] == [pytest.approx(row[name]) for name in names.split()]
        text = shown.run("byId('curvature').textContent")
        assert text == "no step" if last else read(text) == pytest.approx(row["curvature"])
        said = shown.run("byId('reason').textContent")
        assert run["why"] in said if last else said == data["reasons"][row["reason"]]


def read(text):
    """A number as the page writes it, with a true minus sign and a power of ten."""
    digits = str.maketrans("\u2212⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "--0123456789")
    text = re.sub("^(\u2212?)10(?!\\d|$)", "\\g<1>1\u00d710", text)
    return float(text.translate(digits).replace("\u00d710", "e"))


def test_guesses_are_judged_at_the_end(shown, written):
    """A guess can be made at step 0 alone; at the end each is right or wrong, and the page counts them."""
    data = written[1]
    shown.run("document.querySelectorAll('.guess input')[7].click()")
    shown.run("document.querySelectorAll('.guess input')[0].click()")
    shown.key("ArrowRight")
    assert shown.run("[...document.querySelectorAll('.guess input')].every(box => box.disabled)")
    assert shown.run("byId('score').textContent") == ""
    shown.key("End")
    judged = shown.run("[...document.querySelectorAll('.guess span')].map(mark => mark.textContent)")
    right = [run["right"] == (i in (0, 7)) for i, run in enumerate(data["runs"][data["grid"]])]
    assert judged == ["right" if one else "wrong" for one in right]
    assert shown.run("byId('score').textContent") == f"You were right about {sum(right)} of 8."
    shown.run("byId('reset').click()")
    assert shown.run("[state.step, state.guesses.size]") == [0, 0]


def test_slider_keeps_its_arrow_keys(shown):
    """With the focus on the slider up and down move it, and do not change the method."""
    shown.run("byId('step').focus()")
    chosen = shown.run("state.chosen")
    shown.key("ArrowUp")
    shown.key("ArrowUp")
    shown.key("ArrowDown")
    assert shown.run("[state.step, state.chosen]") == [1, chosen]


def test_each_step_has_a_dot(shown, written):
    """A path is drawn with a dot for each of its points, on the map and in the chart."""
    data = written[1]
    move(shown, data, 1)
    shown.run("byId('log').click()")
    shown.key("End")
    for i, (name, points) in enumerate(expected(data, data["grid"] + 1).items()):
        for view in "paths", "chart":
            dots = shown.run(
                f"document.querySelector('#{view} [data-dots={name}]').getAttribute('d').split('M').length - 1"
            )
            assert dots == len(points), (i, view, name)
    shown.key("Home")
    assert shown.run("document.querySelector('#chart [data-dots=newton]').getAttribute('d').split('M').length - 1") == 1


def test_chart_of_gradient_descent_is_a_line(shown, written):
    """From 10 to the -6 beside the line log |y| of gradient descent grows by one amount each step: log(1 + 1/2)."""
    data = written[1]
    move(shown, data, 1)
    shown.run("byId('log').click(); go(20)")
    script = "document.querySelector('#chart [data-method=gradient-descent]').getAttribute('d').slice(1).split('L')"
    heights = [float(spot.split()[1]) for spot in shown.run(script)]
    offs = data["runs"][data["grid"] + 1][0]["numbers"][data["columns"].index("off") :: len(data["columns"])]
    decade = (heights[0] - heights[20]) / math.log10(offs[20] / offs[0])
    rises = [before - after for before, after in pairwise(heights[5:21])]
    assert rises == [pytest.approx(decade * math.log10(1.5), abs=0.15)] * 15
    assert shown.run("[...document.querySelectorAll('[data-zero]')].length") == 0
    move(shown, data, 0)
    assert shown.run("document.querySelector('#chart [data-zero]').dataset.zero") == "gradient-descent"


def test_model_is_that_of_the_point(shown, written):
    """On request the map has the eigenvectors at the chosen method's point, a dashed line for a bend down."""
    assert shown.run("document.querySelectorAll('#lens *').length") == 0
    shown.run("byId('model').click()")
    attributes = "e => [e.getAttribute('d'), e.getAttribute('stroke-dasharray')]"
    lines = shown.run(f"[...document.querySelectorAll('.eigenvector')].map({attributes})")
    assert [bool(dash) for _, dash in lines] == [True, False]
    ends = [[float(x) for x in d[1:].replace("L", " ").split()] for d, _ in lines]
    assert ends[0] == pytest.approx([0, 230, 0, -230], abs=1e-6) or ends[0] == pytest.approx(
        [0, -230, 0, 230], abs=1e-6
    )
    assert [abs(x) for x in ends[1]] == pytest.approx([230, 0, 230, 0], abs=1e-6)
    assert shown.run("document.querySelector('#lens image').getAttribute('href').startsWith('data:image/png')")


def test_address_holds_what_is_shown(browser, shown, written):
    """The address of a view opens that view; one that is wrong opens the page as it is."""
    seen = "[state.start, state.step, state.chosen, state.settings.rate, byId('only').checked]"
    shown.run(
        "choose(0.5, 0.5).then(() => set('rate', 1.9)).then(() => { go(3); state.chosen = 1; byId('only').click(); })"
    )
    shown.run("new Promise(done => setTimeout(done, 500))")
    address, view = shown.run("location.hash"), shown.run(seen)
    assert address == shown.run("address()")
    assert view[1:] == [3, 1, 1.9, True]
    shown.run("location.hash = '#start=7,x&step=x&method=none&rate=y&surface=none'")
    shown.run("new Promise(done => setTimeout(done, 100))")
    assert shown.run(seen) == [view[0], 0, 1, 1, False]
    shown.run(f"location.hash = '{address}'")
    shown.run("new Promise(done => setTimeout(done, 100))")
    assert shown.run(seen) == view


def test_image_is_a_png_of_what_is_shown(shown):
    """The saved picture is a PNG that differs between the map and the chart."""
    pictures = []
    for _ in range(2):
        shown.run("byId('log').click()")
        pictures.append(base64.b64decode(shown.run("png()").split(",")[1]))
    assert all(picture.startswith(b"\x89PNG") and len(picture) > 10_000 for picture in pictures)
    assert pictures[0] != pictures[1]


@pytest.mark.parametrize("at", [0, 1], ids=["on the line", "beside it"])
def test_animation_ends_when_nothing_moves(shown, written, at):
    """Playing takes at most 11 seconds at speed 1; when the last path has come to rest the next step is the last."""
    move(shown, written[1], at)
    waits = shown.run("delays()")
    assert sum(waits) < 11_000
    assert len(waits) < shown.run("steps()")
    shown.run("go(settled() - 1); play()")
    shown.run("new Promise(done => setTimeout(done, 600))")
    assert shown.run("[state.step === steps(), state.timer]") == [True, None]
    shown.run("byId('speed').value = 4; play()")
    shown.run("new Promise(done => { const look = () => state.timer ? setTimeout(look, 50) : done(); look(); })")
    assert shown.run("state.step === steps()")


def test_dark_mode_is_dark(browser, written):
    """If the system asks for dark, paper and map are dark, ink and all methods light."""
    browser("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    browser.open(written[0])
    browser.run("ready.then(() => 0)")
    light = "c => { const [r, g, b] = c.match(/[0-9.]+/g).map(Number); return .2126 * r + .7152 * g + .0722 * b; }"
    assert browser.run(f"({light})(getComputedStyle(document.body).backgroundColor)") < 40
    assert browser.run(f"({light})(getComputedStyle(byId('headline')).color)") > 200
    assert max(browser.run(f"['--low', '--high'].map(name => ({light})(`rgb(${{channels(css(name))}})`))")) < 70
    shades = browser.run(f"[...document.querySelectorAll('[data-now]')].map(p => ({light})(getComputedStyle(p).fill))")
    assert min(shades) > 90
    browser("Emulation.setEmulatedMedia", features=[])
    assert browser.complaints == []


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """Pages of several surfaces from few starts: with all methods, and with the default ones."""
    folder = tmp_path_factory.mktemp("pages")
    for name, surfaces, methods in (
        ("all", ("saddle", "two-weights"), SADDLE_METHODS),
        ("default", ("rotated-saddle", "monkey-saddle"), DEFAULT_METHODS),
    ):
        text = saddle_page.saddle_page([SURFACES[one] for one in surfaces], [*methods], starts=1, steps=20)
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return folder


def resized(browser, width, height, scale=1):
    browser(
        "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=width < 500
    )


CUT = (
    "[...document.querySelectorAll('h1, .row strong, .row small, dt, dd')]"
    ".filter(e => e.scrollWidth > e.clientWidth + 1)"
)


@pytest.mark.parametrize("size", [(390, 800, 1), (640, 360, 2), (1280, 720, 1)], ids=["phone", "zoomed", "projector"])
def test_controls_are_in_sight(browser, several, size):
    """With all twelve methods, on a phone or at a zoom of 200 %, nothing is too wide and the player is in sight."""
    width, height, _ = size
    resized(browser, *size)
    browser.open(several / "all.html")
    browser.run("ready.then(() => 0)")
    assert browser.run(f"{CUT}.map(e => e.textContent)") == []
    for surface in "saddle", "two-weights":
        browser.run(f"showSurface({{surface: '{surface}'}}).then(() => 0)")
        for step in "0", "steps()":
            browser.run(f"go({step}); byId('basins').checked || byId('basins').click()")
            assert browser.run("document.documentElement.scrollWidth") <= width
            for control in "play", "step", "count", "end":
                box = browser.run(f"(e => [e.bottom, e.right])(byId('{control}').getBoundingClientRect())")
                assert box[0] <= height and box[1] <= width, control
    resized(browser, 1280, 800)
    assert browser.complaints == []


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080)], ids=str)
def test_fits_on_the_screen(browser, written, several, size):
    """On a projector's screens nothing is cut off, nothing scrolls, and no text is cut short or less than 14 pixels."""
    resized(browser, *size)
    for file, surface in (
        (written[0], "saddle"),
        *((several / "default.html", n) for n in ("rotated-saddle", "monkey-saddle")),
    ):
        browser.open(file)
        browser.run(f"ready.then(() => showSurface({{surface: '{surface}'}})).then(() => byId('basins').click())")
        for at in range(browser.run("state.scene.store.starts.length")):
            browser.run(f"choose(...state.scene.store.starts[{at}]).then(() => go(steps()))")
            assert browser.run(f"{CUT}.map(e => e.textContent)") == []
            assert browser.run("document.documentElement.scrollHeight") <= size[1]
            assert browser.run("document.documentElement.scrollWidth") <= size[0]
        texts = (
            "[...document.querySelectorAll('body *')].filter(e => e.getClientRects().length && e.textContent.trim())"
        )
        assert min(browser.run(f"{texts}.map(e => parseFloat(getComputedStyle(e).fontSize))")) >= 14
    resized(browser, 1280, 800)
    assert browser.complaints == []


def test_sliders_show_the_runs_of_their_stops(shown, written):
    """Without an engine a slider goes from stop to stop, one slider at a time, and the start to one that has runs."""
    data = written[1]
    shown.run("choose(-0.5, 0.5).then(() => go(steps()))")
    shown.run("byId('set-rate').value = 2; byId('set-rate').dispatchEvent(new Event('input'))")
    variant = next(v for v in data["variants"] if v["changed"] == {"rate": 1.9} and v["method"] == "gradient-descent")
    at = data["starts"].index(start(shown))
    assert at in variant["starts"]
    numbers = variant["runs"][variant["starts"].index(at)]["numbers"]
    width = len(data["columns"])
    points = [numbers[i : i + 2] for i in range(0, len(numbers), width)]
    assert drawn(shown)["gradient-descent"] == [pytest.approx(point, abs=2e-4) for point in points]
    assert drawn(shown)["newton"] == [pytest.approx(point, abs=2e-4) for point in expected(data, at)["newton"]]
    shown.run("byId('set-noise').value = 0; byId('set-noise').dispatchEvent(new Event('input'))")
    assert shown.run("state.settings") == {"rate": 1, "noise": 0.01, "delta_0": 0.1}
    shown.run("byId('reset').click()")
    assert shown.run("moved()") == []


def test_basins_are_the_ends_of_the_runs(shown, written):
    """The cell of each start of the grid has the letter of the minimum that the chosen method's run ends at."""
    data = written[1]
    shown.run("state.chosen = 1; byId('basins').click()")
    script = "[...document.querySelectorAll('#cells rect')].map(e => e.dataset.end)"
    ends = [runs[1]["ending"] if runs[1]["end"] < 0 else f"minimum {runs[1]['end']}" for runs in data["runs"]]
    assert shown.run(script) == ends[: data["grid"]]
    assert {"saddle", "minimum 0", "minimum 1"} <= {*ends}
    letters = shown.run("[...document.querySelectorAll('#cells text')].map(e => e.textContent)")
    assert letters == [{"saddle": "\u2715", "minimum 0": "A", "minimum 1": "B"}[end] for end in ends[: data["grid"]]]
    assert "A minimum (0, 1)" in shown.run("byId('legend').textContent")


def test_ground_is_the_surface(shown):
    """Between the grid's heights the map is drawn from heights that differ from f by less than 3e-4 of its range."""
    found = np.array(shown.run("groundHeights().filter((_, i) => i % 37 === 0).map(column => column[965])"))
    x0, x1, y0, y1 = SURFACE.window
    x = x0 + (np.arange(0, 1000, 37) + 0.5) / 1000 * (x1 - x0)
    exact = SURFACE.value(np.array([x, np.full(x.size, y0 + 965.5 / 1000 * (y1 - y0))]))
    assert abs(found - exact).max() < 3e-4 * 1.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_methods_stand_out_from_the_ground(browser, written, scheme):
    """Each method's colour has a contrast of 3 to 1 with the lowest and the highest ground."""
    browser("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.open(written[0])
    tones = browser.run("data.methods.map(({colour}) => tone(colour))")
    grounds = browser.run("['--low', '--high'].map(name => channels(css(name)))")

    def light(colour):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (x / 255 for x in colour)]
        return 0.05 + np.dot(linear, [0.2126, 0.7152, 0.0722])

    for tone in tones:
        for ground in grounds:
            one, other = sorted([light([int(c) for c in re.findall(r"\d+", tone)]), light(ground)])
            assert other / one >= 3, tone
    browser("Emulation.setEmulatedMedia", features=[])


@pytest.fixture(scope="module")
def served():
    """The address of a server of the page."""
    server = page_server.page_server(DEFAULT_METHODS)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_an_engine_frees_the_start(browser, served):
    """Served, the page starts anywhere, sets any rate, and draws one's own function; a wrong one is named."""
    browser.open(served)
    browser.run("ready.then(() => choose(0.123, -0.4)).then(() => set('rate', 0.77)).then(() => go(steps()))")
    assert start(browser) == [0.123, -0.4]
    one = trace_path(SURFACE, "gradient-descent", (0.123, -0.4), learning_rate=0.77 / 2)
    assert drawn(browser)["gradient-descent"][5] == pytest.approx(one.points[5].theta, abs=2e-4)
    browser.run("showSurface({function: 'x^2 - y^2 + y^4', window: [-1, 1, -1, 1]}).then(() => 0)")
    assert browser.run("state.scene.stationary.map(({kind}) => kind)") == ["saddle", "minimum", "minimum"]
    assert browser.run("byId('own').hidden") is False
    browser.run("showSurface({function: 'z', window: [-1, 1, -1, 1]}).then(() => 0)")
    assert "got 'z'" in browser.run("document.querySelector('#score[role=alert]').textContent")
    assert browser.run("state.scene.surface") == "x\u00b2 \u2212 y\u00b2 + y\u2074"
    assert browser.complaints == []


def test_an_engine_may_come_later(shown, written):
    """An engine that is there after the page frees the start, and opens the own function; its errors are shown."""
    request = {"ask": "runs", "surface": "saddle", "start": [0.123, -0.4]}
    found = page_requests.answer(json.dumps(request))
    assert shown.run("byId('surfaces').lastChild.disabled")
    shown.run(f"window.requested = []; window.reply = {json.dumps(found)}; 0")
    said = "{...JSON.parse(text), said: byId('headline').textContent}"
    shown.run(f"window.refhfEngine = {{ask: async text => {{ requested.push({said}); return reply; }}}}; 0")
    shown.run("dispatchEvent(new Event('refhf-engine'))")
    assert not shown.run("byId('surfaces').lastChild.disabled")
    shown.run("choose(0.123, -0.4).then(() => go(steps()))")
    assert start(shown) == [0.123, -0.4]
    assert {key: shown.run(f"requested[0].{key}") for key in request} == request
    assert [path[0][0] for path in drawn(shown).values()] == [pytest.approx(0.123, abs=2e-4)] * len(DEFAULT_METHODS)
    assert shown.run("requested[0].said") == "From (0.123, \u22120.4): computing\u2026"
    shown.run("window.reply = JSON.stringify({error: 'no such thing'}); choose(0.2, 0.2).then(() => 0)")
    assert shown.run("document.querySelector('#score[role=alert]').textContent") == "no such thing"
    assert shown.run("byId('headline').textContent") == "From (0.2, 0.2): not computed"
    assert drawn(shown) == {}


# An engine whose answers wait in `answers` until they are given.
SLOW = "window.answers = []; window.refhfEngine = {ask: () => new Promise(done => answers.push(done))}; 0"


@pytest.mark.parametrize("press", ["End", "Home", "reset", "only"])
def test_no_old_results_while_python_computes(shown, press):
    """Between a new start and its answer nothing is said of the old runs, whatever is pressed, and nothing is saved."""
    found = page_requests.answer(json.dumps({"ask": "runs", "surface": "saddle", "start": [0.3, -0.2], "steps": 9}))
    shown.run(SLOW)
    shown.key("End")
    shown.run("choose(0.3, -0.2); 0")
    shown.key(press) if press in ("End", "Home") else shown.run(f"byId('{press}').click()")
    assert shown.run("byId('headline').textContent") == "From (0.3, \u22120.2): computing\u2026"
    texts = "[...new Set([...document.querySelectorAll('{}')].map(e => e.textContent))]"
    assert shown.run(texts.format(".row small, #detail dd")) == ["\u2026"]
    assert shown.run(texts.format("#score, #reason, .guess span")) == [""]
    assert shown.run("[byId('save').disabled, byId('play').disabled]") == [True, True]
    shown.run(f"answers.forEach(done => done({json.dumps(found)})); new Promise(done => setTimeout(done))")
    ended = press in ("End", "only")
    said = "1 stops at the saddle, 7 reach a minimum" if ended else shown.run("state.scene.question")
    assert shown.run("byId('headline').textContent") == f"From (0.3, \u22120.2): {said}"
    assert shown.run("state.step === steps()") == ended
    assert shown.run("[byId('save').disabled, byId('play').disabled]") == [False, False]


def test_link_to_a_function_says_that_python_starts(browser, written):
    """A link to one's own function says that Python starts; then the map has the start in its place, and a headline."""
    scene = page_requests.answer(json.dumps({"ask": "scene", "function": "x*y", "window": [-1, 1, -1, 1]}))
    script = browser("Page.addScriptToEvaluateOnNewDocument", source=SLOW)
    browser.open("about:blank")
    browser.open(written[0].as_uri() + "#function=x*y&window=-1,1,-1,1&start=0.5,0.25")
    browser("Page.removeScriptToEvaluateOnNewDocument", **script)
    assert browser.run("[byId('headline').textContent, byId('save').disabled]") == ["Starting Python\u2026", True]
    browser.run(f"answers[0]({json.dumps(scene)}); new Promise(done => setTimeout(done))")
    assert browser.run("byId('headline').textContent") == "From (0.5, 0.25): computing\u2026"
    assert browser.run("byId('start').getAttribute('transform')") == "translate(750 375)"
    assert browser.complaints == []


def test_a_scene_to_come_has_no_runs_yet(shown):
    """While another function is asked for, the start that moves is of the surface that is shown."""
    shown.run(SLOW)
    shown.run("window.requested = []; const { ask: slow } = refhfEngine; 0")
    shown.run("refhfEngine.ask = text => { requested.push(JSON.parse(text)); return slow(text); }; 0")
    shown.run("showSurface({function: 'x*y', window: [-1, 1, -1, 1]}); choose(0.3, -0.2); 0")
    assert shown.run("requested.map(one => one.surface ?? one.function)") == ["x*y", "saddle"]


def test_only_draws_the_chosen_and_the_ticked(shown):
    """With "only" the map has the chosen method's path and those of the methods that are ticked."""
    shown.run("document.querySelectorAll('.guess input')[2].click(); byId('only').click()")
    assert [*drawn(shown)] == [DEFAULT_METHODS[2], DEFAULT_METHODS[-1]]


def test_link_to_the_site(browser, shown, written, tmp_path):
    """A page with the address of the lessons has a link to the site's first page above them; another has none."""
    assert shown.run("byId('site').checkVisibility()") is False
    text = written[0].read_text(encoding="utf-8").replace('"lessons":""', '"lessons":"../tutorials/"')
    (tmp_path / "classroom").mkdir()
    page = tmp_path / "classroom" / "saddle.html"
    page.write_text(text, encoding="utf-8")
    browser.open(page)
    assert browser.run("byId('site').checkVisibility()")
    assert browser.run("byId('site').href") == (tmp_path / "index.html").as_uri()
    overlap = "(([a, b, c]) => [a.right < b.left, c.right < a.left])"
    boxes = "['#site', 'summary', '#score'].map(one => document.querySelector(one).getBoundingClientRect())"
    browser.run("ready.then(() => 0)")
    assert browser.run(f"{overlap}({boxes})") == [True, True]
