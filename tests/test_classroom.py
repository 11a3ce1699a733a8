"""The classroom page's engine: typed functions against the complex step, requests, the server, the command."""

import http.client
import json
import math
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from page_contents import page_data

from refhf.lab.cli import entry_point
from refhf.lab.saddle import page_paths, page_requests, page_server, saddle_page
from refhf.lab.saddle.page_requests import FLAT_SURFACES, answer
from refhf.lab.saddle.trajectories import Ending, trace_path
from refhf.surfaces import jets
from refhf.surfaces.saddles import SURFACES
from refhf.surfaces.typed_surface import TypedFunction, parse_formula, typed_surface

STEP = 1e-30
NAMES = {"x": None, "y": None, "pi": math.pi, "e": math.e, **{name: getattr(np, name) for name in jets.FUNCTIONS}}


# Typed functions.


@st.composite
def expressions(draw, depth=3):
    """Text of an expression, its parts in parentheses."""
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from(["x", "y", "(x + 2*y)", "(y - x/3)", "x*y", "pi", "e", "1.75e-1"]))
    kind, part = draw(st.sampled_from(["+", "-", "*", "/", "**", "minus", "call"])), expressions(depth - 1)
    if kind == "minus":
        return f"-({draw(part)})"
    if kind == "call":
        return f"{draw(st.sampled_from([*jets.FUNCTIONS]))}({draw(part)})"
    if kind == "**":
        return f"({draw(part)})**{draw(st.sampled_from(['2', '3', '(-1)', '0.5', '0', '1', '(x)']))}"
    return f"({draw(part)}) {kind} ({draw(part)})"


@given(expressions(), st.tuples(*[st.floats(0.3, 1.7)] * 2))
def test_derivatives_of_typed_functions(text, theta):
    """The value is Python's own; the gradient is its complex step, and H that of the gradient; H is symmetric."""
    derivatives_hold(text, theta)


@pytest.mark.parametrize("name", jets.FUNCTIONS)
def test_derivatives_of_each_function(name):
    """The same law for each function of one number, by itself."""
    assert derivatives_hold(f"{name}(x*y/4 + x/8)", (0.7, 1.1))


def derivatives_hold(text, theta):
    """Assert the law; None if something is not finite or too large to tell."""
    with np.errstate(all="ignore"):
        theta, f = np.array(theta), TypedFunction(parse_formula(text))

        def value(t):
            return np.complex128(eval(text, {"__builtins__": {}}, NAMES | {"x": t[0], "y": t[1]}))

        try:
            wanted = [value(theta + 1j * STEP * e).imag / STEP for e in np.eye(2)]
        except (OverflowError, ZeroDivisionError):  # of Python's own numbers
            return
        H = np.array([f.hessp(theta, e) for e in np.eye(2)])
        twice = np.array([np.imag(f.gradient(theta + 1j * STEP * e)) / STEP for e in np.eye(2)])
        got = f.value(theta), *f.gradient(theta)
        numbers = np.array([value(theta + 0j).real, *wanted, *H.ravel(), *twice.ravel(), *got])
        if not np.isfinite(numbers).all() or abs(numbers).max() > 1e8 or value(theta + 0j).imag:
            return
        close = {"rtol": 1e-8, "atol": 1e-8 * max(1, abs(numbers).max())}  # of the terms, which may cancel
        assert np.allclose(got, [value(theta + 0j).real, *wanted], **close)
        assert np.allclose(H, twice, **close)
        assert np.array_equal(H, H.T)
        return True


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("saddle", "x^2/2 + y^4/4 - y^2/2"),
        ("quadratic-saddle", "x**2 - y**2"),
        ("monkey-saddle", "x**3 - 3*x*y**2"),
        ("rosenbrock", "(1 - x)**2 + 100*(y - x**2)**2"),
    ],
)
def test_search_finds_the_listed_points(name, text):
    """Typed, a surface of the lab has the stationary points that it lists, of the same kinds and eigenvalues."""
    listed, found = SURFACES[name], typed_surface(text, SURFACES[name].window)
    assert [p.kind for p in found.stationary] == [p.kind for p in listed.stationary]
    for one, other in zip(found.stationary, listed.stationary, strict=True):
        assert one.theta == pytest.approx(other.theta, abs=1e-4)
        assert one.eigenvalues == pytest.approx(other.eigenvalues, abs=1e-4)


def test_maximum_is_no_saddle():
    """Newton ends at the maximum of a hill, and that is what the page says; a curve of minima is not listed."""
    hill = typed_surface("exp(-x**2 - y**2)")
    assert [p.kind for p in hill.stationary] == ["maximum"]
    assert hill.saddle is None
    for seen in hill, typed_surface("exp(-x**2 - y**2)", (0.1, 2, 0.1, 2)):  # on the map, and off it
        assert trace_path(seen, "newton", (0.2, 0.1)).ending is Ending.MAXIMUM
    assert [p.kind for p in typed_surface("(1 - x*y)**2/2").stationary] == ["saddle"]
    assert trace_path(typed_surface("x**2 + y**2", (5, 6, 5, 6)), "newton", (5, 5)).ending is Ending.MINIMUM


@pytest.mark.parametrize(
    "text",
    ["", "z", "x.y", "x[0]", "__import__('os')", "exp(x, y)", "exp(x=1)", "lambda: x", "x if y else x", "1j*x", "True",
     "'x'", "x @ y", "x // y", "x % y", "[x]", "x < y", "x\x00", "(" * 200, "x" * 301, "f(x)", "1/0*x", "log(-1)",
     "9**9**9**9*x", "1" + "0" * 290 + "**9*x", "x := y", "*x", "x;y"],
)  # fmt: skip
def test_other_text_is_refused(text):
    """A text that is no expression of x and y, or that is finite nowhere, is a ValueError that names the function."""
    with pytest.raises(ValueError, match="^function: expected"):
        typed_surface(text)


@pytest.mark.parametrize("window", [(1, 0, 0, 1), (0, 1, 1, 1), (0, 1, 0), "0101", (0, math.inf, 0, 1)])
def test_other_windows_are_refused(window):
    """A window that is empty, or not of four finite numbers, is refused."""
    with pytest.raises(ValueError, match="^window: expected"):
        typed_surface("x", window)


# Requests.


def asked(**request):
    return json.loads(answer(json.dumps(request)), parse_constant=pytest.fail)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=5), part, max_size=3),
    max_leaves=6,
)


@settings(max_examples=40)
@given(st.text(max_size=20) | JSON.map(json.dumps))
def test_any_text_has_an_answer(text):
    """A text that is no request is answered with an error."""
    assert json.loads(answer(text)).keys() == {"error"}


@settings(max_examples=40)
@given(
    st.sampled_from(["scene", "runs", "ends"]),
    st.dictionaries(
        st.sampled_from(
            ["start", "starts", "method", "methods", "settings", "seed", "steps", "function", "window", "x"]
        ),
        JSON,
        min_size=1,
        max_size=3,
    ),
)
def test_wrong_fields_are_named(ask, fields):
    """A request with a field that is wrong, or that it does not have, is answered with an error."""
    valid = {"steps": 1, "start": [1, 0], "starts": [[1, 0]], "method": "newton", "methods": ["newton"]}
    own = {"scene": (), "runs": ("start", "methods", "steps"), "ends": ("starts", "method", "steps")}[ask]
    request = {"ask": ask, "surface": "saddle", **{name: valid[name] for name in own}, **fields}
    found = asked(**request)
    wrong = set(fields) - {"seed", "steps", "settings", "start", "methods", "starts", "window"}
    assert "error" in found or not wrong


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"ask": "guess"}, "ask: expected one of scene, runs, ends; got 'guess'"),
        ({"ask": "scene"}, "surface: expected one of saddle"),
        ({"ask": "scene", "surface": "xor"}, "surface: expected"),
        ({"ask": "scene", "function": 3}, "function: expected an expression"),
        ({"ask": "runs", "surface": "saddle", "start": [1]}, "start: expected an array of shape (2,)"),
        ({"ask": "runs", "surface": "saddle", "start": [0, 0], "settings": {"rate": 9}}, "rate: expected"),
        ({"ask": "runs", "surface": "saddle", "start": [0, 0], "settings": {"rat": 1}}, "did you mean 'rate'"),
        ({"ask": "runs", "surface": "saddle", "start": [0, 0], "settings": [1]}, "settings: expected an object"),
        ({"ask": "runs", "surface": "saddle", "start": [0, 0], "methods": "newton"}, "methods: expected a list"),
        ({"ask": "runs", "surface": "saddle", "start": [0, 0], "steps": 10**6}, "steps: expected"),
        ({"ask": "ends", "surface": "saddle", "starts": [[0, 0]]}, "method: expected"),
        ({"ask": "ends", "surface": "saddle", "starts": [[0, 0]] * 101, "method": "newton"}, "at most 100"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_error_names_the_field(request_, said):
    """The sentence of an error names the field, what was expected and what was given."""
    assert said in asked(**request_)["error"]


def test_answers_are_the_librarys():
    """Runs are those of trace_path with the settings' options, their ends the minima nearest to the last points."""
    one = trace_path(SURFACES["saddle"], "gradient-descent", (0.3, -0.2), learning_rate=0.7 / 2, seed=3)
    found = asked(
        ask="runs",
        surface="saddle",
        start=[0.3, -0.2],
        methods=["gradient-descent"],
        settings={"rate": 0.7, "noise": 0.5},
        seed=3,
    )
    reasons = {}
    assert found["runs"] == [json.loads(json.dumps(page_paths.trajectory_facts(one, reasons)))]
    assert found["reasons"] == list(reasons)
    starts = [[0.3, 0.2], [0.3, -0.2], [0.3, 0]]
    found = asked(ask="ends", surface="saddle", starts=starts, method="gradient-descent")
    assert found == {"ends": ["minimum 0", "minimum 1", "saddle"]}


def test_scene_of_a_typed_function_is_that_of_the_surface():
    """The scene of the paper's function is the same if it is typed, but for its name and description."""
    listed = asked(ask="scene", surface="saddle")
    typed = asked(ask="scene", function="x**2/2 + y**4/4 - y**2/2", window=[-1.5, 1.5, -1.5, 1.5])
    differs = {key for key in listed if listed[key] != typed[key]}
    assert {"name", "surface"} <= differs <= {"name", "surface", "named", "special"}  # its start is a quarter away


@pytest.mark.parametrize("text", ["log(x)", "sqrt(x*y)", "1/x", "exp(9*x)**9", "x**0.5 + y"])
def test_what_is_not_finite_is_null(text):
    """Where a function is not finite its heights are null; runs that come there end."""
    scene = asked(ask="scene", function=text)
    assert any(height is None for height in scene["heights"]) or "exp" in text
    assert "error" not in asked(ask="runs", function=text, start=[0.5, 0.5], methods=["newton", "gradient-descent"])


# The server and the command.


@pytest.fixture(scope="module")
def server():
    running = page_server.page_server(["newton"])
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield running
    running.shutdown()
    running.server_close()


def fetched(server, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    connection.request(method, path, body, headers or {})
    reply = connection.getresponse()
    content = reply.read().decode()
    connection.close()
    return reply.status, content


def test_server_answers_at_home_alone(server):
    """The page and answers are for requests that name the server's own address; another page's are not found."""
    status, page = fetched(server, "GET", "/")
    assert (status, page) == (200, saddle_page.served_page(["newton"]))
    request = '{"ask": "ends", "surface": "saddle", "method": "newton", "starts": [[1, 0]]}'
    assert fetched(server, "POST", "/answer", request) == (200, '{"ends":["saddle"]}')
    home = f"http://127.0.0.1:{server.server_port}"
    assert fetched(server, "POST", "/answer", request, {"Origin": home})[0] == 200
    for headers in {"Origin": "http://example.org"}, {"Host": "example.org"}:
        assert fetched(server, "POST", "/answer", request, headers)[0] == 404
    for method, path, body in (("GET", "/answer", None), ("GET", "/../x", None), ("POST", "/", request)):
        assert fetched(server, method, path, body)[0] == 404
    assert fetched(server, "POST", "/answer", "x" * (page_server.LARGEST + 1))[0] == 404
    assert fetched(server, "POST", "/answer", b"\xff")[1].startswith('{"error"')


def test_command_serves_until_interrupted(capsys, monkeypatch):
    """`refhf classroom` prints the address, opens it unless told not to, and ends well by Ctrl-C."""
    opened = []

    def interrupted(self):
        raise KeyboardInterrupt

    monkeypatch.setattr("http.server.ThreadingHTTPServer.serve_forever", interrupted)
    monkeypatch.setattr("webbrowser.open", opened.append)
    assert entry_point.main(["classroom"]) == entry_point.main(["classroom", "--no-browser"]) == 0
    addresses = [line for line in capsys.readouterr().out.splitlines() if line.startswith("http://127.0.0.1:")]
    assert (len(addresses), opened) == (2, addresses[:1])


def test_command_writes_all_surfaces(capsys, monkeypatch, tmp_path):
    """--out writes a page of every flat surface; a link to the lesson is there if the lessons are."""
    monkeypatch.setattr(
        page_requests, "FLAT_SURFACES", {name: FLAT_SURFACES[name] for name in ("saddle", "rosenbrock")}
    )
    monkeypatch.setattr(saddle_page, "STARTS", {"saddle": 1, "rosenbrock": 1})
    monkeypatch.setattr("refhf.lab.cli.classroom_command.DEFAULT_METHODS", ["newton"])
    file = tmp_path / "class.html"
    assert entry_point.main(["classroom", "--out", str(file), "--lessons", "../tutorials/"]) == 0
    assert capsys.readouterr().out == f"written: {file}\n"
    data = page_data(file.read_text(encoding="utf-8"), "rosenbrock")
    assert (list(data["surfaces"]), data["lessons"], data["name"]) == (
        ["saddle", "rosenbrock"],
        "../tutorials/",
        "rosenbrock",
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--out", "a.pdf"], ".html"),
        (["--out", "no-such/a.html"], "folder"),
        (["--port", "70000", "--no-browser"], "port: expected a free one"),
        (["--port", "-1"], "port"),
    ],
    ids=str,
)
def test_wrong_use_is_one_line(arguments, said, capsys, tmp_path, monkeypatch):
    """A wrong file or port ends with status 2 and one line."""
    monkeypatch.chdir(tmp_path)
    assert entry_point.main(["classroom", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and said in err
