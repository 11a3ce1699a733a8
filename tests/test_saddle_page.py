"""The saddle lab's page in a real browser: a click, a drag, the keyboard. What it shows is what refhf computed."""

import json

import pytest
from browser import BROWSER, Browser

from refhf.lab.saddle import saddle_page
from refhf.lab.saddle.saddle_methods import DEFAULT_METHODS
from refhf.surfaces.saddles import SURFACES

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed (Debian: apt-get install chromium)")
SURFACE = SURFACES["saddle"]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The page, with a coarse grid of starts, as a file, and its data."""
    text = saddle_page.saddle_page(SURFACE, DEFAULT_METHODS, starts=5)
    path = tmp_path_factory.mktemp("page") / "saddle.html"
    path.write_text(text, encoding="utf-8")
    return path, json.loads(text.split('id="data">')[1].split("</script>")[0])


@pytest.fixture(scope="module")
def browser():
    with Browser(1280, 800) as browser:
        yield browser


@pytest.fixture
def shown(browser, written):
    """The browser with the page freshly loaded; no test may leave a complaint in its console."""
    browser.open(written[0])
    yield browser
    assert browser.complaints == []


def place(browser, x, y):
    """The screen position of a point of the surface."""
    script = f"(() => {{const p = new DOMPoint(across({x}), down({y})).matrixTransform(plan.getScreenCTM());"
    return browser.run(script + "return [p.x, p.y];})()")


def start(browser):
    return browser.run("[Number(byId('start').dataset.x), Number(byId('start').dataset.y)]")


def drawn(browser):
    """Each method's path as it is drawn, its corners in the surface's coordinates."""
    script = (
        "Object.fromEntries([...document.querySelectorAll('#paths path')].map("
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
    """The first thing shown is the surface's own start with all paths to their ends, counted in the headline."""
    data = written[1]
    at = data["grid"]
    assert start(shown) == [1, 0]
    agree(shown, data, at)
    endings = [run["ending"] for run in data["runs"][at]]
    headline = shown.run("byId('headline').textContent")
    for group in set(endings):
        assert f"{endings.count(group)} {data['says'][group][endings.count(group) > 1]}" in headline


def test_click_moves_the_start(shown, written):
    """A click puts the start at the nearest computed one, and draws that start's paths."""
    data = written[1]
    for x, y in ((0.55, 0.93), (-0.9, -0.1), (0.02, 0.03)):
        shown.click(*place(shown, x, y))
        at = min(range(data["grid"]), key=lambda i: (data["starts"][i][0] - x) ** 2 + (data["starts"][i][1] - y) ** 2)
        assert start(shown) == data["starts"][at]
        agree(shown, data, at)


def test_drag_takes_the_start_along(shown, written):
    """While the start is dragged the paths are those of where it is; letting go leaves it there."""
    data = written[1]
    first, second = data["starts"].index([0.5, 0.5]), data["starts"].index([-0.5, -1])
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
    agree(shown, data, data["starts"].index([0.5, 0.5]))
    shown.key(" ")
    assert shown.run("state.timer !== null")
    assert shown.run("state.step") == 0
    shown.key(" ")
    assert shown.run("state.timer") is None


def test_tab_reaches_every_control(shown):
    """The tab key visits the map, the chosen method, play, the slider, the box and the starts; each has a name."""
    visited = []
    for _ in range(8):
        shown.key("Tab")
        name = "e.ariaLabel || e.labels?.[0]?.textContent || e.textContent"
        visited.append(shown.run(f"(e => [e.id || e.type, {name}])(document.activeElement)"))
    assert [name for name, _ in visited[:5]] == ["plan", f"method-{DEFAULT_METHODS[-1]}", "play", "step", "only"]
    assert all(label.strip() for _, label in visited)


def test_detail_shows_the_numbers_of_the_step(shown, written):
    """At each step of the chosen method: its point, gradient, eigenvalues, curvature and reason, as computed."""
    data = written[1]
    at, width = data["grid"], len(data["columns"])
    run = data["runs"][at][-1]
    for k in range(len(run["numbers"]) // width):
        shown.run(f"go({k})")
        x, y, gx, gy, low, high, curvature, reason = run["numbers"][k * width : (k + 1) * width]
        last = k == len(run["numbers"]) // width - 1
        for element, numbers in {"point": (x, y), "gradient": (gx, gy), "eigenvalues": (low, high)}.items():
            text = shown.run(f"byId('{element}').textContent").strip("()")
            assert [read(part) for part in text.split(", ")] == [pytest.approx(n) for n in numbers]
        text = shown.run("byId('curvature').textContent")
        assert text == "no step" if last else read(text) == pytest.approx(curvature)
        said = shown.run("byId('reason').textContent")
        assert run["why"] in said if last else said == data["reasons"][reason]


def read(text):
    """A number as the page writes it, with a true minus sign and a power of ten."""
    digits = str.maketrans("\u2212⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "--0123456789")
    return float(text.translate(digits).replace("\u00d710", "e"))


@pytest.mark.parametrize("size", [(1280, 800), (1920, 1080)], ids=str)
@pytest.mark.parametrize("surface", ["saddle", "rotated-saddle", "monkey-saddle"])
def test_fits_on_the_screen(browser, written, tmp_path, surface, size):
    """On a projector's screens nothing is cut off, nothing needs scrolling, and no row's text is cut short."""
    file = written[0]
    if surface != "saddle":
        file = tmp_path / "page.html"
        file.write_text(
            saddle_page.saddle_page(SURFACES[surface], DEFAULT_METHODS, starts=3, steps=20), encoding="utf-8"
        )
    browser("Emulation.setDeviceMetricsOverride", width=size[0], height=size[1], deviceScaleFactor=1, mobile=False)
    browser.open(file)
    cut = "[...document.querySelectorAll('h1, .row small, dt, dd')].filter(e => e.scrollWidth > e.clientWidth + 1)"
    for at in range(browser.run("data.starts.length")):
        browser.run(f"choose({at})")
        assert browser.run(f"{cut}.map(e => e.textContent)") == []
        assert browser.run("document.documentElement.scrollHeight") <= size[1]
        assert browser.run("document.documentElement.scrollWidth") <= size[0]
    browser("Emulation.setDeviceMetricsOverride", width=1280, height=800, deviceScaleFactor=1, mobile=False)
    assert browser.complaints == []
