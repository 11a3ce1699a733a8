"""Python in the page: what `make site LIVE=1` fetches, its Python side, and, where it is built, the pages."""

import gzip
import hashlib
import json
import runpy
import sys
import threading
import types
import zipfile
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.request import urlopen

import pytest
from browser import BROWSER
from test_site import FIT, SITE, WIDTHS, Watch

from refhf.lab.cli import entry_point, site_command
from refhf.lab.cli.site_command import SiteHandler

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs" / "site"
FORM = "docs/site/lesson_form.html"
PARTS = SITE / "_static" / "live"


@pytest.fixture(scope="module")
def parts():
    """The names that docs/site/live_parts.py defines."""
    return types.SimpleNamespace(**runpy.run_path(str(DOCS / "live_parts.py")))


@pytest.mark.parametrize("before", [b"", b"another file"])
@pytest.mark.parametrize("fetched", [b"the package", b"tampered"])
def test_only_the_pinned_file_is_taken(before, fetched, parts, tmp_path):
    """A file that is there is kept; whichever it is, one of another SHA-256 is refused with both hashes."""
    (tmp_path / "source").write_bytes(fetched)
    wanted = hashlib.sha256(b"the package").hexdigest()
    copy = f"import shutil; shutil.copy({str(tmp_path / 'source')!r}, 'a.whl')"
    pinned = parts.Pinned("a.whl", wanted, (sys.executable, "-S", "-c", copy))
    folder = tmp_path / "cache"
    if before:
        folder.mkdir()
        (folder / "a.whl").write_bytes(before)
    if (before or fetched) == b"the package":
        assert parts.fetched(pinned, folder).read_bytes() == b"the package"
        return
    with pytest.raises(
        SystemExit, match=f"a.whl: expected SHA-256 {wanted}; got {hashlib.sha256(before or fetched).hexdigest()}"
    ):
        parts.fetched(pinned, folder)


def test_a_package_that_cannot_be_fetched_is_named(parts, tmp_path):
    """Without the program that fetches a package, or a registry, the message names it."""
    with pytest.raises(SystemExit, match=r"expected no-such-program, to fetch a\.whl"):
        parts.fetched(parts.Pinned("a.whl", "", ("no-such-program",)), tmp_path)
    with pytest.raises(SystemExit, match=r"expected a\.whl from a registry; got none by .* -S -c 1/0"):
        parts.fetched(parts.Pinned("a.whl", "", (sys.executable, "-S", "-c", "1/0")), tmp_path)


@pytest.mark.parametrize("kind", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_a_member_as_gzip_is_the_member(kind, parts, tmp_path):
    """The gzip file of a zip's member unpacks to the member, also where it is not the first."""
    content = bytes(range(256)) * 50
    with zipfile.ZipFile(tmp_path / "a.zip", "w", kind) as archive:
        archive.writestr("first", b"x" * 99)
        archive.writestr("folder/second", content)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert gzip.decompress(parts.as_gzip(archive, "folder/second")) == content


def test_the_package_of_the_page_is_the_package(parts, tmp_path):
    """The zip file has each module of the package as it is, and the two files that serve it, and no bytecode."""
    parts.package(tmp_path / "refhf.zip")
    with zipfile.ZipFile(tmp_path / "refhf.zip") as archive:
        names = set(archive.namelist())
        assert {"guest.py", "run_tutorial.py", "refhf/data/mnist_mini.npz", "refhf/py.typed"} <= names
        modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "refhf").rglob("*.py")}
        assert modules == {name for name in names if name.startswith("refhf/") and name.endswith(".py")}
        assert archive.read("refhf/__init__.py") == (ROOT / "refhf" / "__init__.py").read_bytes()
        assert not [name for name in names if "__pycache__" in name]


@pytest.fixture
def guest(monkeypatch):
    """The Python side of the page, in a main module of its own."""
    monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))
    monkeypatch.syspath_prepend(DOCS)
    return types.SimpleNamespace(**runpy.run_path(str(DOCS / "live" / "guest.py")))


def test_cells_share_their_names_and_show_their_value(guest, capsys):
    """What a cell defines, the next one has; its prints are printed, and its last value is HTML."""
    assert guest.run("x = 2\nprint('printed')") == {"figures": [], "value": None, "error": None}
    assert guest.run("[x, '<']")["value"] == "<pre>[2, &#x27;&lt;&#x27;]</pre>"
    assert capsys.readouterr().out == "printed\n"


def test_a_figure_is_svg_with_a_text(guest):
    """An open figure is SVG with its title as text, and is closed; a cell that fails keeps none."""
    code = "import matplotlib.pyplot as plt\nplt.figure()\nplt.title('A line')\nplt.plot([1, 2])\nplt.show()"
    (figure,) = guest.run(code)["figures"]
    assert figure["text"] == "A line" and "<svg" in figure["svg"]
    assert guest.run("plt.get_fignums()")["value"] == "<pre>[]</pre>"


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("x = 1\nx / 0", ['  File "cell", line 2, in <module>', "    x / 0", "ZeroDivisionError: division by zero"]),
        (
            "def f():\n    return y\nf()",
            ['  File "cell", line 2, in f', "    return y", "NameError: name 'y' is not defined"],
        ),
        ("if", ['  File "cell", line 1', "SyntaxError: invalid syntax"]),
        ("raise SystemExit(3)", ["SystemExit: 3"]),
        ("import json\njson.loads('{')", ['  File "cell", line 2, in <module>', "    json.loads('{')"]),
    ],
)
def test_an_error_is_told_from_the_cell_on(code, lines, guest):
    """A traceback has the lines of the cell and below, and nothing of the machinery above it."""
    found = guest.run(code)["error"]
    assert [line for line in lines if line not in found.splitlines()] == []
    assert "guest.py" not in found and "run_tutorial.py" not in found


def test_a_question_of_the_classroom_page_goes_to_its_function(guest, monkeypatch):
    """`ask` gives the text to refhf.lab.saddle.page_requests.answer, and gives back its text."""
    stand_in = types.SimpleNamespace(answer=lambda text: f"answer to {text}")
    monkeypatch.setitem(sys.modules, "refhf.lab.saddle.page_requests", stand_in)
    assert guest.ask('{"ask": "scene"}') == 'answer to {"ask": "scene"}'


def test_the_site_is_served_to_this_machine(tmp_path, monkeypatch, capsys):
    """`refhf site` prints an address of the loopback interface, where files are with the types that modules need."""
    (tmp_path / "index.html").write_text("front page")
    (tmp_path / "a.js").write_text("export {}")
    got = {}

    def fetch(address):
        for name in "", "a.js":
            with urlopen(address + name, timeout=10) as answer:
                got[name] = answer.read().decode(), answer.headers["Content-Type"], answer.headers["Cache-Control"]

    def serve(server):
        assert server.server_address[0] == "127.0.0.1"
        reader = threading.Thread(target=fetch, args=[capsys.readouterr().out.strip()])
        reader.start()
        for _ in range(2):
            server.handle_request()
        reader.join()

    monkeypatch.setattr(site_command.ThreadingHTTPServer, "serve_forever", serve)
    assert entry_point.main(["site", str(tmp_path), "--port", "0"]) == 0
    assert got == {"": ("front page", "text/html", "no-cache"), "a.js": ("export {}", "text/javascript", "no-cache")}


def test_a_site_that_is_not_built_is_a_usage_error(tmp_path, capsys):
    """A folder without a site, or a port that is taken or cannot be: exit status 2, and the argument is named."""
    assert entry_point.main(["site", str(tmp_path)]) == 2
    assert "folder: expected a site, as built by make site; got" in capsys.readouterr().err
    (tmp_path / "index.html").touch()
    with ThreadingHTTPServer(("127.0.0.1", 0), SiteHandler) as server:
        for port in server.server_port, 70000:
            assert entry_point.main(["site", str(tmp_path), "--port", str(port)]) == 2
            assert f"port: expected a free port, below 65536; got {port}" in capsys.readouterr().err


def test_without_live_the_site_has_no_trace_of_it():
    """A built site either has the parts, and pages that load them, or neither."""
    if not SITE.exists():
        pytest.skip("no site is built (make site)")
    named = {path for path in SITE.rglob("*.html") if "_static/live/" in path.read_text(encoding="utf-8")}
    wanted = {*SITE.glob("tutorials/*.html"), SITE / FORM, SITE / "live/check.html", SITE / "classroom/saddle.html"}
    assert named == (wanted if PARTS.exists() else set())


class Visitor(Watch):
    """A browser at a served site."""

    def visit(self, address):
        """Load a page, and wait until its scripts have run."""
        self.requests.clear()
        self.complaints.clear()
        self.events.clear()
        self("Page.navigate", url=address)
        while "Page.loadEventFired" not in self.events:
            self._next()

    def until(self, condition):
        """Wait until a JavaScript expression holds."""
        check = f"(({condition}) && (clearInterval(timer), done(1)))"
        return self.run(f"new Promise(done => {{ const timer = setInterval(() => {check}, 30) }})")


@pytest.fixture(scope="module")
def address():
    """The address of the site, served."""
    if not (PARTS / "parts.json").exists():
        pytest.skip("no site with Python in its pages is built (make site LIVE=1)")
    changed = max(path.stat().st_mtime for path in (*(DOCS / "live").iterdir(), *DOCS.glob("*.py")))
    if (PARTS / "parts.json").stat().st_mtime < changed:
        pytest.skip("the site is older than what it is made from (make site LIVE=1)")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SiteHandler, directory=str(SITE))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def visitor(address):
    if BROWSER is None:
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")
    with Visitor(WIDTHS[0], 800) as browser:
        yield browser


CELL = "document.querySelectorAll('.live:not(.live-turn)')[{0}]"  # a code block's panel
TURN = "document.querySelector('.live-turn')"
ENDED = "/Done|[Ff]ailed|Stopped|laws|Name it/.test({0}.querySelector('.live-status').textContent)"


def press(visitor, panel):
    """Focus the Run button of a panel, and press Enter."""
    visitor.until(panel)
    visitor.run("document.querySelectorAll('article details').forEach(fold => (fold.open = true))")
    visitor.run(f"{panel}.querySelector('.live-status').textContent = ''")
    visitor.run(f"{panel}.querySelector('.live-run').focus()")
    visitor.key("Enter")


def run_to_end(visitor, panel):
    """Press a panel's Run button, and wait; what the panel says at the end."""
    press(visitor, panel)
    visitor.until(ENDED.format(panel))
    return visitor.run(f"{panel}.querySelector('.live-status').textContent")


def write(visitor, editor, code):
    """Replace the text of an editor, as a reader does."""
    visitor.run(f"var e = {editor}; e.value = {json.dumps(code)}; e.dispatchEvent(new Event('input'))")


def test_a_lesson_runs_where_it_is_read(address, visitor):
    """The last cell's button runs all cells: they print, draw and say what the page has, and no request leaves."""
    visitor.visit(address + FORM)
    assert "Done" in run_to_end(visitor, CELL.format(2))
    shown = "[...document.querySelectorAll('{0}')].map(e => e.textContent.trim())"
    assert visitor.run(shown.format(".live-output")) == visitor.run(shown.format("article .output pre"))
    picture = "document.querySelector('.live-figure')"
    assert visitor.run(f"{picture}.alt") == visitor.run("document.querySelector('article a > img').alt")
    assert visitor.run(f"{picture}.decode().then(() => {picture}.naturalWidth)") > 200
    assert visitor.complaints == []
    assert {"python.wasm.gz", "refhf.zip"} <= {url.rsplit("/", 1)[1] for url in visitor.requests}
    assert [url for url in visitor.requests if not url.startswith((address, "data:", f"blob:{address}"))] == []
    for width in WIDTHS:
        visitor.size(width)
        assert visitor.run(f"{FIT}.every(e => e.scrollWidth <= Math.min(e.clientWidth, {width}))")
    visitor.size(WIDTHS[0])


def test_an_edited_cell_runs_stops_and_starts_again(address, visitor):
    """An endless cell is stopped by its button; the next run starts anew, and its error is shown below its cell."""
    last, editor = CELL.format(2), "document.querySelector('details .live-code')"
    visitor.visit(address + FORM)
    visitor.until("document.querySelectorAll('.live-edit').length == 3")
    visitor.run("document.querySelectorAll('article details').forEach(fold => (fold.open = true))")
    visible = "[...document.querySelectorAll('.highlight-python')].map(e => e.checkVisibility())"
    assert visitor.run(visible) == [True, True, True]
    visitor.run("document.querySelectorAll('.live-edit')[2].click()")
    assert visitor.run(visible) == [True, True, False]
    write(visitor, editor, "print(1 + 1)\nwhile True: pass")
    press(visitor, last)
    visitor.until("document.querySelectorAll('.live-output').length == 2")
    visitor.key("Enter")
    visitor.until(ENDED.format(last))
    assert "Stopped" in visitor.run(f"{last}.querySelector('.live-status').textContent")
    write(visitor, editor, "print(A[0, 0])\nnothing")
    assert run_to_end(visitor, last) == "Cell 3 failed"
    said = visitor.run("[...document.querySelectorAll('.live-output')].map(e => e.textContent)")
    assert said[1] == "4.0\n" and said[2].endswith("NameError: name 'nothing' is not defined\n")
    visitor.run("document.querySelectorAll('.live-edit')[2].click()")
    assert visitor.run(f"{editor} === null") and visitor.run(visible) == [True, True, True]
    assert "Done" in run_to_end(visitor, last)
    assert visitor.complaints == []


def test_what_follows_an_edited_cell_runs_again(address, visitor):
    """After an edit, and after Restore, a cell runs those from the edited one on; a lesson's check says what it is."""
    first, second, editor = CELL.format(0), CELL.format(1), "document.querySelector('.live-code:not(.live-turn *)')"
    stored = "[...document.querySelectorAll('article .output, article p:has(> a > img)')].map(e => e.checkVisibility())"
    note = f"{first}.querySelector('.live-note')?.textContent"
    code = "import numpy as np\nimport matplotlib.pyplot as plt\nA, b, path = np.eye(2), np.ones(2), [np.ones(2)]"
    visitor.visit(address + FORM)
    visitor.until(f"{TURN} && {CELL.format(2)}")
    assert visitor.run(stored) == [True, True]
    assert "Done" in run_to_end(visitor, second)
    assert visitor.run(stored) == [False, False]  # what ran here is in its place
    picture = f"{second}.querySelector('img').src"
    before = visitor.run(picture)
    visitor.run(f"{first}.querySelector('.live-edit').click()")
    write(visitor, editor, f"{code}\nassert A[0, 0] == 4.0")
    assert run_to_end(visitor, first) == "Cell 1 failed"
    assert visitor.run(note) == "This line checks the lesson's own numbers; delete it to go on."
    write(visitor, editor, f"{code}\nnothing")
    assert run_to_end(visitor, first) == "Cell 1 failed" and visitor.run(note) is None
    write(visitor, editor, code)
    assert "Done" in run_to_end(visitor, CELL.format(2))
    edited = visitor.run(picture)
    assert edited != before
    visitor.run(f"{first}.querySelector('.live-edit').click()")
    assert "Done" in run_to_end(visitor, CELL.format(2)) and visitor.run(picture) != edited
    assert "phi falls by" in visitor.run(f"{first}.textContent")


def test_a_reader_answers_first(address, visitor):
    """Above the fold of an answer is an empty cell that knows the cells before the answer, and not the answer."""
    visitor.visit(address + FORM)
    visitor.until(TURN)
    assert visitor.run(f"{TURN}.nextElementSibling.matches('details')")
    write(visitor, f"{TURN}.querySelector('textarea')", "print(A[0, 0], 'found' in vars())")
    assert "Done" in run_to_end(visitor, TURN)
    assert visitor.run(f"{TURN}.querySelector('.live-output').textContent") == "4.0 False\n"
    write(visitor, f"{TURN}.querySelector('textarea')", "nothing")
    assert run_to_end(visitor, TURN) == "Your answer failed"


def test_a_pasted_product_gets_its_verdict(address, visitor):
    """The right example is right; the wrong one is wrong, and its mistake is named; no product is an error."""
    visitor.visit(address + "live/check.html")
    panel, output = CELL.format(0), "document.querySelector('.live-output').textContent"
    assert "right: all" in run_to_end(visitor, panel)
    assert visitor.run(output).split()[:2] == ["law", "digits"]  # the headline is said above
    visitor.run("[...document.querySelectorAll('.live-bar button')].at(-1).click()")
    said = run_to_end(visitor, panel)
    assert "wrong: 1 of" in said and "f'' term is missing" in said
    assert "FAIL  the reference" in visitor.run(output)
    write(visitor, "document.querySelectorAll('.live-code')[1]", "def product(theta, v): return v")
    assert run_to_end(visitor, panel) == "Name it hvp(theta, v)"
    assert "name 'hvp' is not defined" in visitor.run("document.querySelector('.live-error').textContent")
    assert visitor.complaints == []


def test_the_engine_answers_the_classroom_page(address, visitor):
    """`ask` runs the function of the package; here one that stands in for it."""
    visitor.visit(address + "classroom/saddle.html")
    module = "m = types.ModuleType('refhf.lab.saddle.page_requests'); m.answer = str.upper; sys.modules[m.__name__] = m"
    code = json.dumps(f"import sys, types; {module}")
    visitor.run(
        f"import('../_static/live/engine.js').then(m => (window.e = m.startEngine()).run({code})).then(() => 0)"
    )
    assert visitor.run("""e.ask('{"ask": "é"}')""") == '{"ASK": "É"}'


def test_a_stopped_engine_starts_again(address, visitor):
    """What waits when the engine is stopped is refused, at whatever stage; the next call has a Python without state."""
    visitor.visit(address + FORM)
    visitor.run(f"import('{address}_static/live/engine.js').then(m => (window.e = m.startEngine(), 0))")
    stopped = "(async () => {{ const all = [{0}].map(c => e.run(c).catch(x => x.message)); {1}; e.stop();"
    stopped += " return [await Promise.all(all), (await e.run('vars().get(\"x\", 2)')).value]; }})()"
    for wait in "0", "await new Promise(done => setTimeout(done, 100))":
        found = visitor.run(stopped.format("'x = 1; [0 for i in range(10**10)]', 'x = 3'", wait))
        assert found == [["stopped", "stopped"], "<pre>2</pre>"]


def test_the_classroom_page_has_an_engine(address, visitor):
    """`refhfEngine.ask` on the classroom page gives the answer that the package gives here."""
    requests = pytest.importorskip("refhf.lab.saddle.page_requests")
    visitor.visit(address + "classroom/saddle.html")
    asked = '{"ask": "ends", "surface": "saddle", "method": "newton", "starts": [[1, 0], [0, 0.9]]}'
    assert visitor.run(f"refhfEngine.ask({json.dumps(asked)})") == requests.answer(asked)
