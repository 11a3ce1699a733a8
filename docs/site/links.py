"""Faults of a built site: links to no page or no place of it, and what a browser would fetch from another host.

python docs/site/links.py build/site/html
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

FETCHED = {("img", "src"), ("script", "src"), ("link", "href"), ("iframe", "src"), ("source", "src"), ("video", "src")}


class Page(HTMLParser):
    """A page's anchors, and its links as (tag, attribute, target)."""

    def __init__(self, text):
        super().__init__()
        self.anchors, self.links = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Note the anchors and links of a tag."""
        found = dict(attrs)
        self.anchors |= {found[key] for key in ("id", "name") if found.get(key)}
        self.links += [(tag, key, found[key]) for key in ("href", "src") if found.get(key)]


def faults(folder: Path) -> list[str]:
    """A line for each dead link, and for each thing fetched from elsewhere."""
    folder = folder.resolve()
    files = sorted(folder.rglob("*.html"))
    pages = {file: Page(file.read_text(encoding="utf-8")) for file in files}
    found = []
    for file, page in pages.items():
        for tag, key, target in page.links:
            parts, where = urlsplit(target), file.relative_to(folder)
            if parts.scheme or parts.netloc:
                if (tag, key) in FETCHED and parts.scheme != "data":
                    found.append(f"{where}: fetches {target}")
                continue
            to = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            if not to.is_file() or folder not in to.parents:
                found.append(f"{where}: no {target}")
            elif parts.fragment and to in pages and unquote(parts.fragment) not in pages[to].anchors:
                found.append(f"{where}: no such place, {target}")
    return found


if __name__ == "__main__":
    lines = faults(Path(sys.argv[1]))
    print(*lines, sep="\n")
    sys.exit(bool(lines))
