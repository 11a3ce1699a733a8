"""The Python side of worker.js: runs cells as run_tutorial.py does at build, and answers the classroom page.

A request is in REQUEST, and its answer is written to ANSWER, both JSON.
"""

import importlib
import io
import json
import sys
import traceback
import warnings
from pathlib import Path

import run_tutorial

REQUEST, ANSWER = Path("/live/request.json"), Path("/live/answer.json")
CELL = "cell"  # the file name of the code in a traceback


def start():
    """Import the package, so that the first cell is not the one that waits; cells run in the module `__main__`."""
    warnings.filterwarnings("ignore", message=".* is non-interactive")  # plt.show() in a lesson
    importlib.import_module("refhf")


def serve():
    """Answer the request in the file."""
    request = json.loads(REQUEST.read_text(encoding="utf-8"))
    answer = {"run": run, "ask": ask}[request["op"]](request["text"])
    sys.stdout.flush()
    ANSWER.write_text(json.dumps(answer), encoding="utf-8")


def run(code):
    """Run a cell: what it draws, the value of its last line as HTML, and the traceback of an error."""
    figures, shown, error = [], None, None
    try:
        value = run_tutorial.evaluate(code, 1, CELL, sys.modules["__main__"].__dict__)
        for figure in run_tutorial.shown_figures(value):
            figures.append({"svg": svg(figure), "text": run_tutorial.alternative(figure)})
        shown = None if value is None or figures else run_tutorial.as_html(value)
    except BaseException as raised:
        error = told(raised, code)
    return {"figures": figures, "value": shown, "error": error}


def svg(figure):
    """A figure as SVG."""
    file = io.StringIO()
    figure.savefig(file, format="svg", bbox_inches="tight", facecolor="white", metadata={"Date": None})
    return file.getvalue()


def told(raised, code):
    """The traceback from the cell's first line on, with the lines of the cell."""
    frames = traceback.TracebackException.from_exception(raised)
    lines = code.splitlines()
    own = [place for place, frame in enumerate(frames.stack) if frame.filename == CELL]
    kept = frames.stack[own[0] :] if own else []
    for place, frame in enumerate(kept):
        if frame.filename == CELL and frame.lineno <= len(lines):
            kept[place] = traceback.FrameSummary(CELL, frame.lineno, frame.name, line=lines[frame.lineno - 1])
    frames.stack = traceback.StackSummary.from_list(kept)
    return "".join(frames.format())


def ask(text):
    """The answer to the classroom page: JSON text to JSON text."""
    return importlib.import_module("refhf.lab.saddle.page_requests").answer(text)
