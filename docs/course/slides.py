"""Slides from the lessons: one PDF page for each title, each picture with its sentence, and each "what to remember".

    python docs/course/slides.py --out slides.pdf            # all lessons
    python docs/course/slides.py 0 3 7 --out short.pdf       # some
    python docs/course/slides.py --pictures FOLDER           # the pictures alone, as PNG

Each lesson runs once, without a display. Only matplotlib is needed.
"""

import argparse
import contextlib
import io
import re
import runpy
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.backends.backend_pdf import PdfPages

LESSONS = Path(__file__).parents[2] / "tutorials"
SIZE = (10.0, 5.625)  # inches, 16:9


class Lesson(NamedTuple):
    """One lesson, as the slides need it."""

    title: str
    sentences: list[str]  # under the pictures, in order
    remember: list[str]
    pictures: list[np.ndarray]  # RGBA, (height, width, 4)


def plain(text: str) -> str:
    """Markdown without its marks, and with mathematics that matplotlib can set."""
    text = re.sub(r"\s+", " ", text).strip()
    for long, short in ((r"\tfrac", r"\frac"), (r"\dots", r"\ldots"), (r"\|", "|")):
        text = text.replace(long, short)
    return re.sub(r"\*\*([^*]+)\*\*|`([^`]+)`|\*([^*]+)\*", lambda m: m[1] or m[2] or m[3], text)


def cells(path: Path) -> Iterator[tuple[str, str]]:
    """('markdown' or 'code', text) of each cell of a lesson in the percent format."""
    for cell in re.split(r"^# %%", path.read_text(encoding="utf-8"), flags=re.M)[1:]:
        head, body = cell.split("\n", 1)
        if "[markdown]" in head:
            yield "markdown", re.sub(r"^# ?", "", body, flags=re.M)
        else:
            yield "code", body


def captions(path: Path) -> list[str]:
    """The sentences that begin with **Picture.**, without that word."""
    found = [re.search(r"^\*\*Picture\.\*\*(.*?)(?:\n\n|\Z)", text, flags=re.S) for _, text in cells(path)]
    return [plain(match[1]) for match in found if match]


def drawn(path: Path) -> list[np.ndarray]:
    """The pictures that a lesson shows, in order."""
    pictures: list[np.ndarray] = []

    def keep(*args: object, **options: object) -> None:
        for number in plt.get_fignums():
            figure = plt.figure(number)
            figure.set_dpi(200)
            figure.canvas.draw()
            pictures.append(np.asarray(figure.canvas.buffer_rgba()).copy())  # type: ignore[attr-defined]
        plt.close("all")

    show, plt.show = plt.show, keep
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            runpy.run_path(str(path), run_name="__main__")
    finally:
        plt.show = show
    return pictures


def read(path: Path) -> Lesson:
    """A lesson's text and pictures.

    Raises
    ------
    ValueError
        If a picture has no sentence, or a sentence no picture.
    """
    text = "\n".join(body for kind, body in cells(path) if kind == "markdown")
    title = re.search(r"^# (.+)$", text, flags=re.M)
    points = re.findall(r"^- (.+?)(?=\n- |\n\n|\Z)", text.split("## What to remember")[-1], flags=re.M | re.S)
    sentences, pictures = captions(path), drawn(path)
    if len(sentences) != len(pictures) or title is None:
        raise ValueError(f"{path.name}: expected a sentence a picture; got {len(sentences)} for {len(pictures)}")
    return Lesson(plain(title[1]), sentences, [plain(point) for point in points], pictures)


def wrapped(text: str, width: int) -> str:
    """Lines of about `width` letters; a formula is never cut."""
    whole = re.sub(r"\$[^$]+\$", lambda m: m[0].replace(" ", "\0"), text)
    return "\n".join(textwrap.wrap(whole, width, break_long_words=False)).replace("\0", " ")


def text_page(pdf: PdfPages, heading: str, lines: list[str]) -> None:
    """A page of text."""
    figure = plt.figure(figsize=SIZE)
    if lines:
        figure.text(0.07, 0.88, wrapped(heading, 60), fontsize=20, weight="bold", va="top")
        for i, line in enumerate(lines):
            figure.text(0.07, 0.68 - 0.16 * i, "•  " + wrapped(line, 78).replace("\n", "\n    "), fontsize=14, va="top")
    else:
        figure.text(0.5, 0.55, wrapped(heading, 40), fontsize=26, weight="bold", ha="center", va="center")
    pdf.savefig(figure)
    plt.close(figure)


def picture_page(pdf: PdfPages, picture: np.ndarray, sentence: str) -> None:
    """A picture, and its sentence below."""
    figure = plt.figure(figsize=SIZE)
    axes = figure.add_axes((0.03, 0.17, 0.94, 0.81))
    axes.imshow(picture, interpolation="none")
    axes.axis("off")
    figure.text(0.5, 0.085, wrapped(sentence, 115), fontsize=10.5, ha="center", va="center")
    pdf.savefig(figure, dpi=200)
    plt.close(figure)


def main(arguments: list[str] | None = None) -> None:
    """Write the slides, or the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lessons", nargs="*", type=int, help="numbers of lessons (default: all)")
    parser.add_argument("--out", type=Path, help="the PDF")
    parser.add_argument("--pictures", type=Path, help="a folder for the pictures as PNG")
    given = parser.parse_args(arguments)
    paths = [
        path for path in sorted(LESSONS.glob("[0-9]*.py")) if not given.lessons or int(path.name[:2]) in given.lessons
    ]
    if not paths or not (given.out or given.pictures):
        parser.error("expected numbers of lessons in tutorials/, and --out FILE.pdf or --pictures FOLDER")
    lessons = {path: read(path) for path in paths}
    if given.pictures:
        given.pictures.mkdir(parents=True, exist_ok=True)
        for path, lesson in lessons.items():
            for i, picture in enumerate(lesson.pictures, 1):
                plt.imsave(given.pictures / f"{path.stem}_{i}.png", picture)
    if given.out:
        with PdfPages(given.out) as pdf:
            for lesson in lessons.values():
                text_page(pdf, lesson.title, [])
                for picture, sentence in zip(lesson.pictures, lesson.sentences, strict=True):
                    picture_page(pdf, picture, sentence)
                text_page(pdf, "What to remember", lesson.remember)


if __name__ == "__main__":
    main()
