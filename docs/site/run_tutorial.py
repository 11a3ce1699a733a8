"""Run a tutorial cell by cell, and write it as a Markdown page with what it prints and draws.

    python docs/site/run_tutorial.py tutorials/03_krylov.py FOLDER

A markdown cell is MyST Markdown: $..$ and $$..$$ are TeX, <details> folds, <aside class="margin"> is a note in the
margin. A code cell that begins with `# Answer` joins the fold above it. Below a code cell are its output and, as in a
notebook, its last value and the figures that pyplot has open. An assertion that fails ends the build.
"""

import ast
import contextlib
import html
import io
import re
import sys
import types
from pathlib import Path

FENCE, UNFOLD, ANSWER = "``````", "</details>", "# Answer"
DPI, ON_SCREEN = 192, 100  # dots an inch of the file, and of the page at its largest; our choice


def cells(text):
    """(first line, True if it is text, source) of each cell of a percent script."""
    found, line = [], 1
    for part in re.split(r"^(?=# %%)", text, flags=re.M):
        if part.startswith("# %%"):
            head, _, source = part.partition("\n")
            found.append((line + 1, head == "# %% [markdown]", source))
        line += part.count("\n")
    return found


def prose(source):
    """The text of a markdown cell, without the comment signs."""
    return "\n".join(re.sub(r"^# ?", "", line) for line in source.strip().splitlines())


def evaluate(source, first, file, namespace):
    """Run a code cell; the value of its last line."""
    tree = ast.parse("\n" * (first - 1) + source, str(file))
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, str(file), "exec"), namespace)
    return eval(compile(ast.Expression(last.value), str(file), "eval"), namespace) if last else None


def run_cell(source, first, file, namespace):
    """What a code cell prints, and the value of its last line."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        value = evaluate(source, first, file, namespace)
    return out.getvalue(), value


def shown_figures(value):
    """The figures of a cell: its value, and those that pyplot has open, which are then closed."""
    found = []
    if "matplotlib" in sys.modules:
        from matplotlib import pyplot
        from matplotlib.figure import Figure

        figure = value if isinstance(value, Figure) else getattr(value, "figure", None)
        found = [figure] if isinstance(figure, Figure) else []
        found += [one for one in map(pyplot.figure, pyplot.get_fignums()) if one not in found]
        pyplot.close("all")
    return found


def as_html(value):
    """A value as a notebook shows it."""
    of = getattr(value, "_repr_html_", None)
    return of() if of else f"<pre>{html.escape(repr(value))}</pre>"


def alternative(figure):
    """A picture's text for those who do not see it: its titles, or the names of its axes."""
    titles = [figure.get_suptitle(), *(axes.get_title() for axes in figure.axes)]
    axes = [f"{axes.get_ylabel()} against {axes.get_xlabel()}" for axes in figure.axes]
    return " ".join("; ".join(filter(None, titles)).split()) or "; ".join(axes) or "Figure"


def image_width(file):
    """The width of a PNG file, in dots."""
    return int.from_bytes(file.read_bytes()[16:20], "big")


def page(file, folder):
    """The page of a tutorial; its pictures are written to the folder."""
    module = types.ModuleType("__main__")
    module.__file__, sys.modules["__main__"] = str(file), module
    lines, pictures = [], 0
    for first, is_text, source in cells(file.read_text(encoding="utf-8")):
        if is_text:
            lines += [prose(source), ""]
            continue
        folded = source.startswith(ANSWER) and bool(lines) and lines[-2].endswith(UNFOLD)
        if folded:
            lines[-2] = lines[-2].removesuffix(UNFOLD)
        out, value = run_cell(source, first, file, module.__dict__)
        lines += [f"{FENCE}python", source.strip(), FENCE, ""]
        figures = shown_figures(value)
        if out:
            lines += [f"{FENCE}{{code-block}} text", ":class: output", "", out.rstrip("\n"), FENCE, ""]
        for figure in figures:
            pictures += 1
            name = f"{file.stem}_{pictures}.png"
            figure.savefig(folder / name, dpi=DPI, bbox_inches="tight", facecolor="white")
            width = image_width(folder / name) * ON_SCREEN // DPI
            lines += [f"![{alternative(figure)}]({name}){{width={width}px}}", ""]
        if value is not None and not figures:
            lines += [f'<div class="value">{as_html(value)}</div>', ""]
        lines += [UNFOLD, ""] * folded
    return "\n".join(lines)


if __name__ == "__main__":
    script, output = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    (output / f"{script.stem}.md").write_text(page(script, output), encoding="utf-8")
