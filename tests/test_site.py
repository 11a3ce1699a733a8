"""docs/site: the scripts that make the site, and, where `make site` has built it, the site itself in a real browser."""

import doctest
import json
import re
import runpy
import sys
from pathlib import Path

import pytest
from browser import BROWSER, Browser
from test_tutorials import TUTORIALS, claims, printed

import refhf

ROOT = Path(__file__).parents[1]
SITE = ROOT / "build" / "site" / "html"
FORM = ROOT / "docs" / "site" / "lesson_form.py"
WIDTHS = 1280, 390
FIT = "[...document.querySelectorAll('html, .main, .content')]"
SETTLED = "Promise.all(document.getAnimations().map(a => a.finished)).then(() => 0)"  # what moves has moved
MADE_FROM = [*(ROOT / "docs" / "site").rglob("*.*"), *TUTORIALS, ROOT / "README.md"]


def script(name):
    """The names that a script of docs/site defines."""
    return runpy.run_path(str(ROOT / "docs" / "site" / f"{name}.py"))


@pytest.fixture
def main_module(monkeypatch):
    """A tutorial becomes the main module; afterwards it is pytest again."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


def test_a_page_has_what_the_cells_print_and_draw(main_module, tmp_path):
    """Text and TeX stay; below each code cell are its output, its value and its figures, with a text for each."""
    text = script("run_tutorial")["page"](FORM, tmp_path)
    assert printed(claims(FORM)[-1], text)
    assert r"$$\phi(x) = \tfrac12 x^\top A x" in text and "\n</details>\n" in text
    (picture,) = tmp_path.glob("*.png")
    assert f"![Two steps of conjugate gradients reach the minimum]({picture.name})" in text
    blocks = re.findall(r"^``````(\S+)", text, flags=re.M)
    assert blocks == ["python", "{code-block}", "python", "python"]


@pytest.mark.parametrize(
    ("cell", "fold"), [("# Answer to exercise 1, checked\nprint(2 + 2)", True), ("print(2 + 2)", False)]
)
def test_the_cell_of_an_answer_is_folded(cell, fold, main_module, tmp_path):
    """The cell that checks an answer is in the answer's fold with what it prints; any other cell is below it."""
    file = tmp_path / "lesson.py"
    answer = "# <details><summary>Answer</summary>\n#\n# Four.\n#\n# </details>"
    file.write_text(f"# %% [markdown]\n{answer}\n\n# %%\n{cell}\n\n# %%\nprint(5)\n")
    text = script("run_tutorial")["page"](file, tmp_path)
    assert re.findall("^(Four|4|5|</details>)", text, flags=re.M) == (
        ["Four", "4", "</details>", "5"] if fold else ["Four", "</details>", "4", "5"]
    )


@pytest.mark.parametrize("live", [False, True])
def test_the_front_page_names_what_the_site_has(live, tmp_path):
    """With Python in its pages, the front page says so, and has its page next after the doors; else it does not."""
    pages = script("pages")
    site = pages["Site"](tmp_path)
    pages["add_doors"](site, (ROOT / "docs" / "site" / "index.md").read_text(encoding="utf-8"), live)
    text = site.texts["index"]
    assert ("Run and edit" in text) == live and re.search(r"\[lessons\]\(\w+/00_\w+\.md\)", text)
    captions = re.findall(":caption: (.*)", text)
    assert captions[:2] == ["Three doors", "In the browser" if live else "Lessons"]
    assert not re.search(r"\((?:edit|live|first|lead|rest|\w+_title)\)", text)


@pytest.mark.parametrize(
    ("value", "shown"), [("2 < 3", "<pre>True</pre>"), ("print(1)", None), ("type('T', (), HTML)()", "<table>")]
)
def test_the_value_of_a_cell_is_shown_as_in_a_notebook(value, shown, main_module, tmp_path):
    """A last line that is an expression shows its value, as a table where it has one; None is not shown."""
    file = tmp_path / "lesson.py"
    file.write_text(f"# %%\nHTML = {{'_repr_html_': lambda self: '<table>'}}\n{value}\n")
    text = script("run_tutorial")["page"](file, tmp_path)
    assert ('<div class="value">' in text) == (shown is not None)
    assert shown is None or shown in text


def test_a_wrong_assertion_ends_the_build(main_module, tmp_path):
    """An assertion that fails in a cell is raised with the line of the script."""
    file = tmp_path / "lesson.py"
    file.write_text("# %% [markdown]\n# # A lesson\n\n# %%\nx = 1\nassert x == 2\n")
    with pytest.raises(AssertionError) as failure:
        script("run_tutorial")["page"](file, tmp_path)
    assert (failure.traceback[-1].path, failure.traceback[-1].lineno + 1) == (file, 6)


@pytest.mark.parametrize(
    ("link", "fault"),
    [
        ('<a href="b.html#there">', None),
        ('<a href="#here">', None),
        ('<a href="https://example.org/x">', None),
        ('<img src="data:image/png;base64,xx">', None),
        ('<a href="c.html">', "no c.html"),
        ('<a href="b.html#nowhere">', "no such place"),
        ('<a href="../index.html">', "no ../index.html"),
        ('<img src="https://example.org/x.png">', "fetches"),
        ('<script src="//example.org/x.js">', "fetches"),
        ('<link rel="stylesheet" href="http://example.org/x.css">', "fetches"),
    ],
)
def test_dead_links_and_foreign_fetches_are_found(link, fault, tmp_path):
    """A link to no page or no place of it is a fault, and so is what a browser would fetch from another host."""
    (tmp_path / "site").mkdir()
    (tmp_path / "index.html").write_text("outside the site")
    (tmp_path / "site" / "a.html").write_text(f'<p id="here">{link}')
    (tmp_path / "site" / "b.html").write_text('<a name="there">')
    found = script("links")["faults"](tmp_path / "site")
    assert found == [] if fault is None else len(found) == 1 and fault in found[0]


def test_links_of_the_repository_are_links_of_the_site(tmp_path):
    """A link to a page goes to the page, also from a section that has moved; other files are copied; none is dead."""
    pages = script("pages")
    site = pages["Site"](tmp_path)
    site.add("docs/promises", "docs/promises.md", "[m](../tests/MUTATION.md) [r](#r1) [w](https://example.org)")
    site.add("figures/README/one", "figures/README.md", "![p](fig2_saddle.png) [d](../docs/promises.md#a)")
    site.write()
    assert "(../tests/MUTATION.md) [r](#r1) [w](https://example.org)" in (tmp_path / "docs/promises.md").read_text()
    assert (tmp_path / "tests/MUTATION.md").is_file()
    moved = (tmp_path / "figures" / "README" / "one.md").read_text()
    assert "(../fig2_saddle.png)" in moved and "(../../docs/promises.md#a)" in moved
    site.add("figures/README", "figures/README.md", "[s](#one) [t](#two) [u](README.md#one)")
    site.places["figures/README.md", "one"] = "figures/README/one"
    site.write()
    assert (tmp_path / "figures/README.md").read_text() == "[s](README/one.md) [t](#two) [u](README/one.md)"
    site.add("a", "figures/README.md", "[x](nothing.txt)")
    with pytest.raises(SystemExit, match=r"figures/README\.md: the link to nothing\.txt is dead"):
        site.write()


def test_verdicts_are_counted():
    """Each verdict of a text counts once, whatever follows it; other bold words do not count."""
    text = "**holds**, **H8** **fails** | **Not judgeable here** yet **holds** **fails** for SGD **0.1**"
    assert script("pages")["verdicts"](text) == "holds: 2, fails: 2, not judgeable: 1"


def test_the_examples_print_what_they_say():
    """Each example that the API pages add runs and prints what it says."""
    examples = script("pages")["api_examples"]()
    assert set(examples) <= set(refhf.__all__)
    for name, text in examples.items():
        test = doctest.DocTestParser().get_doctest(text, {}, name, "api_examples.rst", 0)
        assert test.examples and doctest.DocTestRunner().run(test).failed == 0, name


class Watch(Browser):
    """A browser that notes the requests of its page."""

    def __init__(self, *size):
        self.requests = []
        super().__init__(*size)
        self("Network.enable")

    def _next(self):
        message = super()._next()
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(message["params"]["request"]["url"])
        return message

    def size(self, width):
        """Set the width of the window."""
        self("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)


@pytest.fixture(scope="module")
def site():
    """The folder of the site."""
    index = SITE / "index.html"
    if not index.exists():
        pytest.skip("no site is built (make site)")
    if index.stat().st_mtime < max(path.stat().st_mtime for path in MADE_FROM):
        pytest.skip("the site is older than what it is made from (make site)")
    return SITE


@pytest.fixture(scope="module")
def browser(site):
    if BROWSER is None:
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")
    with Watch(WIDTHS[0], 800) as browser:
        yield browser


def test_the_site_has_all_pages(site):
    """Each tutorial has a page with what it prints, a script and a notebook; each export a page with an example."""
    for path in TUTORIALS:
        page = re.sub("<[^>]*>", "", (site / "tutorials" / f"{path.stem}.html").read_text(encoding="utf-8"))
        assert all(claim.split()[0] in page for claim in claims(path))
        assert (site / "lessons" / path.name).read_bytes() == path.read_bytes()
        assert json.loads((site / "lessons" / f"{path.stem}.ipynb").read_text(encoding="utf-8"))["nbformat"] == 4
    for name in refhf.__all__:
        page = (site / "api" / f"{name}.html").read_text(encoding="utf-8")
        assert f'id="refhf.{name}"' in page and "&gt;&gt;&gt; " in page
    assert (site / "classroom" / "saddle.html").stat().st_size < 2e6


def test_each_page_links_to_its_source(site):
    """Below each page is a link to the file that it is made from."""
    pages = [path for path in site.rglob("*.html") if path.parent.name != "classroom"]
    assert len(pages) > 100
    for path in pages:
        found = re.search(
            r'<p class="page-source">Source: <a href="([^"]+)">([^<]+)</a>', path.read_text(encoding="utf-8")
        )
        assert found and (ROOT / found[2]).is_file(), path
        assert (path.parent / found[1]).is_file() or path == site / "source" / f"{found[2]}.html", path


def test_no_link_is_dead(site):
    """Nothing of the site leads nowhere, and nothing is fetched from another host."""
    assert script("links")["faults"](site) == []


def test_no_page_is_wider_than_its_window(site, browser):
    """At 1280 and 390 pixels no page scrolls sideways, complains, or requests anything outside of the site."""
    home = site.resolve().as_uri()
    wide = []
    for path in sorted(site.rglob("*.html")):
        browser.requests.clear()
        browser.open(path)
        for width in WIDTHS:
            browser.size(width)
            if not browser.run(f"{FIT}.every(e => e.scrollWidth <= Math.min(e.clientWidth, {width}))"):
                wide.append(f"{path.relative_to(site)} at {width}")
        assert browser.complaints == [], path
        assert [url for url in browser.requests if not url.startswith((home, "data:"))] == [], path
        assert browser.requests  # it watches
    assert wide == []


def test_equations_are_set(site, browser):
    """TeX in the text, beside code lines and in folded answers is set by the site's own MathJax."""
    browser.size(WIDTHS[0])
    browser.open(site / "docs" / "site" / "lesson_form.html")
    browser.run("MathJax.startup.promise.then(() => 0)")
    assert browser.run("document.querySelectorAll('pre .beside mjx-container').length") == 5
    assert browser.run("document.querySelectorAll('details mjx-container').length") == 2
    assert browser.run("document.querySelectorAll('.math-wrapper mjx-container, p mjx-container').length") >= 4
    assert browser.run("document.querySelector('article').innerText.includes('\\\\(')") is False
    assert browser.complaints == []


def test_no_equation_of_a_lesson_is_refused(site, browser):
    """MathJax sets all TeX of the lessons, also where an equation with a number has several lines."""
    errors = "[...document.querySelectorAll('[data-mjx-error]')].map(e => e.getAttribute('data-mjx-error'))"
    found = {}
    for path in sorted((site / "tutorials").glob("*.html")):
        browser.open(path)
        browser.run("MathJax.startup.promise.then(() => 0)")
        assert browser.run("document.querySelectorAll('mjx-container').length") > 0
        found[path.stem] = browser.run(errors)
    assert len(found) == len(TUTORIALS) and not any(found.values()), found


def test_the_links_in_a_card_are_above_its_own(site, browser):
    """A click on a link in a card's text follows that link, and not the card's."""
    browser.size(WIDTHS[0])
    browser.open(site / "index.html")
    hit = "(r => e.contains(document.elementFromPoint(r.x + r.width / 2, r.y + r.height / 2)))"
    hits = browser.run(f"[...document.querySelectorAll('.sd-card-text a')].map(e => {hit}(e.getClientRects()[0]))")
    assert hits and all(hits)


def focused(browser):
    """The outer HTML of the focused element, without its content."""
    return browser.run("document.activeElement.cloneNode(false).outerHTML")


def test_the_keyboard_reaches_all(site, browser):
    """Tab comes to the link that skips to the content first, then to each link, field, button and fold in view."""
    reach = (
        "[...document.querySelectorAll('a[href], button, input, summary, [tabindex=\"0\"]')]"
        ".filter(e => e.checkVisibility({visibilityProperty: true}) && e.tabIndex >= 0)"
    )
    for page in "index.html", "docs/site/lesson_form.html":
        browser.size(WIDTHS[0])
        browser.open(site / page)
        browser.key("Tab")
        assert "skip-to-content" in focused(browser)
        browser.run(SETTLED)
        assert browser.run("document.activeElement.getBoundingClientRect().top") >= 0
        browser.run(f"window.left = new Set({reach}); 0")
        expected = browser.run("left.size")
        assert expected > 30
        for _ in range(expected + 30):  # places that scroll have the focus too
            assert browser.run("left.delete(document.activeElement), document.activeElement.matches(':focus-visible')")
            browser.key("Tab")
            if browser.run("document.activeElement === document.body"):
                break
        assert browser.run("[...left].map(e => e.outerHTML)") == []


def test_the_drawers_open_by_key(site, browser):
    """On a narrow screen the navigation opens and closes by Enter, and its links are in the window."""
    browser.size(WIDTHS[1])
    browser.open(site / "index.html")
    browser.run("document.querySelector('label.nav-overlay-icon').focus(); 0")
    left = "document.querySelector('.sidebar-drawer').getBoundingClientRect().left"
    for expected in True, False:
        browser.key("Enter")
        browser.run(SETTLED)
        assert (browser.run(left) >= 0) is expected


def test_the_search_finds(site, browser):
    """A word's pages are found without a server."""
    browser.size(WIDTHS[0])
    lesson = f"ul.search a[href*='{TUTORIALS[1].stem}']"  # of the R-operator
    found = f'new Promise(done => setInterval(() => document.querySelector("{lesson}") && done(1), 50))'
    browser.open(site / "index.html")
    browser.run("document.querySelector('.sidebar-search').value = 'pearlmutter'; 0")
    browser.events.clear()
    browser.run("document.querySelector('.sidebar-search-container').submit(); 0")
    while "Page.loadEventFired" not in browser.events:
        browser._next()
    browser.run(found)  # or the browser's time is over
    assert browser.complaints == []


def test_dark_and_light(site, browser):
    """The button changes the colours, and text stands out from its ground in both: a contrast of 7 to 1."""
    browser.open(site / "tutorials" / f"{TUTORIALS[2].stem}.html")
    light = (
        "(e => getComputedStyle(e).getPropertyValue(e === document.body ? 'background-color' : 'color')"
        ".match(/\\d+/g).map(x => (x /= 255) <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4)"
        ".reduce((s, x, i) => s + x * [0.2126, 0.7152, 0.0722][i], 0))"
    )
    grounds = set()
    for _ in range(3):
        ground, text = (
            browser.run(f"{light}({e})") for e in ("document.body", "document.querySelector('article p:not(.offer)')")
        )
        high, low = max(ground, text), min(ground, text)
        assert (high + 0.05) / (low + 0.05) >= 7
        grounds.add(ground > text)
        browser.run("document.querySelector('.theme-toggle-content .theme-toggle').click()")
    assert grounds == {True, False}
