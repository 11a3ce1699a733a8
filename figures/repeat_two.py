"""Two runs of each file of raw lines, made again: are they the same?

    python figures/repeat_two.py [SCRIPT ...]

Each script's runs are copied to a temporary folder without two lines of each file, those of the shortest runs; the
script makes the missing lines again, and they are compared with the old ones, times apart. The table is printed, and
without SCRIPT written to repeat_two.txt. Data sets that are not in the package are read from REFHF_DATA_DIR. Timings
(fig5_scaling.py) are not repeatable, and are left out.

Numbers can differ in their last digits with another processor or version of BLAS; a run of many steps makes more of it.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from refhf.text import columns

FIGURES = Path(__file__).parent
FILES = {
    "fig3_communications": ["fig3_communications.jsonl"],
    "fig4_batch_sizes": ["fig4_batch_sizes/*.jsonl"],
    "fig_adya_large_batches": ["fig_adya_large_batches/*_20.jsonl", "fig_adya_large_batches/*_40.jsonl"],
    "fig_adya_resnet": ["fig_adya_resnet/*.jsonl"],
    "fig_batch_robustness": ["fig_batch_robustness/*.jsonl"],
    "fig_best_settings": ["fig_best_settings/*.jsonl"],
    "fig_option_effects": ["fig_option_effects/*.jsonl"],
    "fig_replicas": ["fig_replicas.jsonl"],
    "fig_resnet_convnet": ["fig_resnet_convnet/*.jsonl"],
}
APART = {"seconds", "digest"}  # the digest is of a whole line


def bare(value):
    """A line without times."""
    if isinstance(value, dict):
        return {key: bare(x) for key, x in value.items() if key not in APART}
    return [bare(x) for x in value] if isinstance(value, list) else value


def distance(a, b) -> float:
    """The largest relative difference of two numbers of two lines; infinite where they differ otherwise."""
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return max((distance(a[key], b[key]) for key in a), default=0.0)
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return max(map(distance, a, b), default=0.0)
    if isinstance(a, float) and isinstance(b, float):
        return abs(a - b) / max(abs(a), abs(b)) if a != b else 0.0
    return 0.0 if a == b else float("inf")


def dropped(path: Path) -> list[str]:
    """Two lines of the shortest runs, removed from the file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    short = sorted(range(len(lines)), key=lambda i: (json.loads(lines[i]).get("seconds", 0.0), -i))[:2]
    path.write_text("".join(f"{line}\n" for i, line in enumerate(lines) if i not in short), encoding="utf-8")
    return [lines[i] for i in short]


def repeated(script: str) -> list[tuple]:
    """(file, lines made again, largest difference) of each file of a script."""
    found = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        names = [path.relative_to(FIGURES) for pattern in FILES[script] for path in sorted(FIGURES.glob(pattern))]
        if not names:
            return []
        for path in {FIGURES / name.parts[0] for name in names}:
            copy = shutil.copytree if path.is_dir() else shutil.copy
            copy(path, folder / path.name)
        old = {name: dropped(folder / name) for name in names}
        subprocess.run([sys.executable, FIGURES / f"{script}.py", folder], check=True, stdout=subprocess.DEVNULL)
        for name, before in old.items():
            after = [bare(json.loads(line)) for line in (folder / name).read_text(encoding="utf-8").splitlines()]
            far = [min(distance(bare(json.loads(line)), other) for other in after) for line in before]
            found.append((name.as_posix(), len(before), max(far)))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scripts", nargs="*", choices=[[], *FILES], metavar="SCRIPT", help=f"of {', '.join(FILES)}")
    args = parser.parse_args()
    rows = [["file", "runs again", "largest relative difference"]]
    for script in args.scripts or FILES:
        for name, runs, far in repeated(script):
            rows.append([name, str(runs), "none" if far == 0 else f"{far:.1e}"])
            print(*rows[-1], flush=True)
    text = "\n".join(columns(rows)) + "\n"
    if not args.scripts:
        (FIGURES / "repeat_two.txt").write_text(text, encoding="utf-8", newline="\n")
    print(text)


if __name__ == "__main__":
    main()
