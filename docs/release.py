"""Check version and changelog, build sdist and wheel, check them, and tag the commit.

    make release

The README's relative links become absolute in what is built, because a package index shows the README alone. Nothing is
uploaded: `twine upload dist/*` and `git push --tags` are for a person to type.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def git(*arguments: str) -> str:
    """The output of a git command in the repository."""
    return subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True, check=True).stdout.strip()


def absolute(readme: str, source: str, tag: str) -> str:
    """The README with absolute links: pictures to their raw files, other files to their pages."""
    readme = re.sub(r"(!\[[^\]]*\]\()(?!https?:)", rf"\g<1>{source}/raw/{tag}/", readme)
    return re.sub(r"((?<!!)\[[^\]]*\]\()(?!https?:|#)", rf"\g<1>{source}/blob/{tag}/", readme)


def checked() -> tuple[str, str]:
    """The tag of the version, and where the source is; exits where something is not ready."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version, tag = project["version"], f"v{project['version']}"
    first = re.search(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.M)
    if not first or not re.fullmatch(rf"{re.escape(version)} \(\d{{4}}-\d\d-\d\d\)", first[1]):
        sys.exit(f"CHANGELOG.md: expected the first section '## {version} (YYYY-MM-DD)'; found {first and first[1]!r}")
    if f'__version__ = "{version}"' not in (ROOT / "refhf" / "__init__.py").read_text(encoding="utf-8"):
        sys.exit(f"refhf/__init__.py: expected __version__ = {version!r}")
    if f"version: {version}\n" not in (ROOT / "CITATION.cff").read_text(encoding="utf-8"):
        sys.exit(f"CITATION.cff: expected version: {version}")
    if git("status", "--porcelain"):
        sys.exit("expected a clean working tree; found changes that are not committed")
    if tag in git("tag").split():
        sys.exit(f"expected a new version; found the tag {tag}")
    return tag, project["urls"]["Source"]


def main():
    """Build in a clone, check with twine, copy to dist/ and tag."""
    tag, source = checked()
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "refhf"
        git("clone", "--quiet", str(ROOT), str(clone))
        readme = clone / "README.md"
        readme.write_text(absolute(readme.read_text(encoding="utf-8"), source, tag), encoding="utf-8")
        subprocess.run([sys.executable, "-m", "build", "--outdir", "dist", str(clone)], cwd=clone, check=True)
        built = sorted((clone / "dist").iterdir())
        subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *map(str, built)], check=True)
        shutil.rmtree(ROOT / "dist", ignore_errors=True)
        shutil.copytree(clone / "dist", ROOT / "dist")
    git("tag", "-a", tag, "-m", f"refhf {tag}")
    print(f"dist/: {', '.join(path.name for path in built)}; tagged {tag}")


if __name__ == "__main__":
    main()
