"""Build the site in build/site/html: run the tutorials, write the classroom page, make the pages, check the links.

    make site
    make site LIVE=1    # also Run buttons, a page that checks a product, and Python behind the classroom page

Nothing in the site asks another host for anything. What has run is kept in build/site/run while neither the package
nor the tutorials change.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import jupytext
import links
import live_parts
import pages

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
BUILD = ROOT / "build" / "site"
MATHJAX = "d4295dc33744836935c1399feece5159577b34c5c8ffb9f1c6324cd82e03a882"  # SHA-256 of MathJax 3.2.2's tex-svg.js
ONE_CORE = dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"), "1")
ENGINE = """<link rel="icon" href="data:,"><script>
if (location.protocol.startsWith("http"))
  window.refhfEngine = { ask: async (text) => (await import("../_static/live/classroom.js")).ask(text) };
</script>"""  # the classroom page asks it for paths of starts and functions that it has not
LONG = "05", "08", "09", "saddle", "06"  # run first


def digest(file):
    """What decides a run's result: the tutorial, the executor and the package."""
    found = hashlib.sha256(sys.version.encode())
    package = sorted(each for each in (ROOT / "refhf").rglob("*.*") if each.suffix in (".py", ".html", ".css", ".js"))
    for each in (file, HERE / "run_tutorial.py", *package):
        found.update(each.read_bytes())
    return found.hexdigest()


def run(name, command, file, folder):
    """Run a command, unless it ran with the same files; the seconds that it took."""
    stamp, key, start = folder / f"{name}.sha256", digest(file), time.monotonic()
    if stamp.exists() and stamp.read_text() == key:
        return f"{name}: kept"
    environment = os.environ | ONE_CORE | {"MPLBACKEND": "agg"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stdout[-2000:]}{done.stderr}")
    stamp.write_text(key)
    return f"{name}: {time.monotonic() - start:.0f} s"


def run_all(folder):
    """Run the tutorials and the classroom page, a process a core."""
    folder.mkdir(parents=True, exist_ok=True)
    page, classroom = folder / "saddle.html", [sys.executable, "-m", "refhf", "classroom"]
    jobs = {
        "saddle": (
            [*classroom, "--lessons", "../tutorials/", "--out", str(page)],
            ROOT / "refhf/lab/saddle/page/page.html",
        )
    }
    for file in (*(ROOT / "tutorials").glob("[0-9]*.py"), ROOT / pages.FORM):
        command = [sys.executable, str(HERE / "run_tutorial.py"), str(file), str(folder)]
        jobs[file.stem] = command, file
    order = sorted(jobs, key=lambda name: (not name.startswith(LONG), name))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for line in pool.map(lambda name: run(name, *jobs[name], folder), order):
            print(line, flush=True)


def mathjax(folder):
    """Copy MathJax from its package."""
    (name,) = (file for file in metadata.files("sphinx-mathjax-offline") or () if file.name == "tex-svg.js")
    content = Path(str(name.locate())).read_bytes()
    if hashlib.sha256(content).hexdigest() != MATHJAX:
        raise SystemExit("tex-svg.js: expected MathJax 3.2.2; got another file")
    (folder / "mathjax").mkdir(parents=True)
    (folder / "mathjax" / "tex-svg.js").write_bytes(content)


def extra(folder, ran, live):
    """The files beside the pages: scripts and notebooks of the lessons, and the classroom page."""
    (folder / "lessons").mkdir(parents=True)
    for file in (ROOT / "tutorials").glob("[0-9]*.py"):
        shutil.copy(file, folder / "lessons")
        notebook = jupytext.read(file, fmt="py:percent")
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        jupytext.write(notebook, folder / "lessons" / f"{file.stem}.ipynb")
    (folder / "classroom").mkdir()
    page = (ran / "saddle.html").read_text(encoding="utf-8")
    (folder / "classroom" / "saddle.html").write_text(
        page.replace("<head>", "<head>" + ENGINE * live, 1), encoding="utf-8"
    )


def main(live):
    """Build all, and say how long it took and how large it is."""
    start = time.monotonic()
    run_all(BUILD / "run")
    for name in "pages", "static", "extra", "html":
        shutil.rmtree(BUILD / name, ignore_errors=True)
    site = pages.Site(BUILD / "pages")
    site.folder.mkdir()
    pages.add_doors(site, (HERE / "index.md").read_text(encoding="utf-8"), live)
    pages.add_tutorials(site, BUILD / "run")
    pages.add_figures(site)
    pages.add_copied(site)
    pages.add_api(site)
    if live:
        pages.add_live(site)
        live_parts.write(BUILD / "static" / "live")
    site.write()
    mathjax(BUILD / "static")
    extra(BUILD / "extra", BUILD / "run", live)
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-q", "-W", "--keep-going", "-d", str(BUILD / "doctrees")]
    status = subprocess.run(
        [*command, "-c", str(HERE), str(BUILD / "pages"), str(BUILD / "html")], check=False
    ).returncode
    found = links.faults(BUILD / "html")
    print(*found, sep="\n", end="\n" * bool(found))
    if status or found:
        raise SystemExit("the site has faults")
    files = [file for file in (BUILD / "html").rglob("*") if file.is_file()]
    size, count = sum(file.stat().st_size for file in files) / 1e6, len(files)
    print(f"build/site/html/index.html: {count} files, {size:.1f} MB, {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main("--live" in sys.argv[1:])
