"""Sphinx's settings for the site; build.py makes the pages and runs it."""

import html
import inspect
import json
import re
from pathlib import Path

from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import TextLexer, get_lexer_for_filename
from pygments.util import ClassNotFound

import refhf

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
BUILD = ROOT / "build" / "site"
LIVE = (BUILD / "static" / "live").is_dir()  # make site LIVE=1
SOURCES = json.loads((BUILD / "pages" / "sources.json").read_text())

project, author, version = "refhf", "The refhf authors", refhf.__version__
extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.linkcode",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["sources.json"]
myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "dollarmath"]
myst_heading_anchors = 4
suppress_warnings = ["toc.not_included"]  # reports are reached from their tables
autosummary_generate = False
autodoc_typehints = "none"  # the docstrings have shapes
maximum_signature_line_length = 70
numpydoc_show_class_members = False
copybutton_exclude = ".linenos, .gp, .go, .beside"
copybutton_selector = "div:not(.output) > div.highlight pre"
smartquotes = False  # r'r is a product
pygments_dark_style = "github-dark"
mathjax_path = "mathjax/tex-svg.js"
mathjax3_config = {"options": {"enableMenu": False}}

html_theme = "furo"
html_title = "refhf"
html_static_path = [str(HERE / "static"), str(BUILD / "static")]
html_extra_path = [str(BUILD / "extra")]
html_css_files, html_js_files = ["site.css"], ["site.js"]
html_show_sphinx = html_show_copyright = html_copy_source = False
html_domain_indices = False
html_show_search_summary = False  # a page opened as a file may not fetch another
templates_path = [str(HERE / "templates")]

BESIDE = re.compile(r'<span class="c1"># +\$([^$]+)\$</span>')  # a code line's comment that is TeX
CODE = re.compile(r'(<a [^>]*>)?<code class="docutils literal notranslate">(.*?)</code>', re.S)
PICTURE = re.compile(r'(<a [^>]*>)?(<img [^>]*src="([^"]+)"[^>]*>)')
cited = set()  # files of the repository that pages link to


def linkcode_resolve(domain, info):
    """The page of the file that defines an object of the API."""
    item = getattr(refhf, info["fullname"].split(".")[0], None)
    for name in info["fullname"].split(".")[1:]:
        item = getattr(item, name, None)
    code = getattr(inspect.unwrap(item), "__code__", None) if callable(item) else None
    module = getattr(item, "__module__", None)
    if module is None:
        return None
    path = f"{module.replace('.', '/')}.py"
    cited.add(path)
    return f"../source/{path}.html" + (f"#L-{code.co_firstlineno}" if code else "")


def place_of(text):
    """The page of what a code span names: a tutorial, an export, a file of the repository."""
    if re.fullmatch(r"(tutorials/)?\d\d_\w+\.py", text):
        return f"tutorials/{Path(text).stem}"
    export = re.match(r"refhf\.(\w+)(?=$|\()", text)
    if export and export[1] in refhf.__all__:
        return f"api/{export[1]}"
    if re.fullmatch(r"[\w./-]+/[\w-]+\.(py|html|c|js|m|rs|toml)", text) and (ROOT / text).is_file():
        cited.add(text)
        return f"source/{text}"
    return None


def unwrap_tagged(app, doctree, docname):
    """Leave numbered equations as they are: Sphinx sets what has line breaks as `split`, which may not hold a tag."""
    for node in doctree.findall(nodes.math_block):
        if r"\tag" in node.astext():
            node["no-wrap"], node.children = True, [nodes.Text(rf"\[{node.astext()}\]")]


def link_code(app, pagename, templatename, context, doctree):
    """Link code spans, set equations beside their code lines, and name the page's source."""
    own = pagename.removeprefix("source/") if pagename.startswith("source/") else "docs/site/conf.py"
    source = SOURCES.get(pagename, own)
    cited.add(source)
    pathto = context["pathto"]
    context["page_source"] = source, pathto(f"source/{source}")
    if "body" not in context or pagename.startswith("source/"):
        return

    def link(found):
        place = None if found[1] else place_of(html.unescape(re.sub("<[^>]*>", "", found[2])))
        code = found[0]
        return f'<a class="reference internal" href="{pathto(place)}">{code}</a>' if place else code

    body = CODE.sub(link, context["body"])
    body = PICTURE.sub(lambda found: found[0] if found[1] else f'<a href="{found[3]}">{found[2]}</a>', body)
    body, count = BESIDE.subn(r'<span class="beside">\\(\1\\)</span>', body)
    context["has_maths_elements"] = context.get("has_maths_elements") or count > 0
    context["body"] = body.replace("<pre>", '<pre class="mathjax_process">') if count else body


def run_code(app, pagename, templatename, context, doctree):
    """On a page with code to run, the scripts that run it."""
    if LIVE and pagename.startswith(("tutorials/", "docs/site/lesson_form", "live/")):
        app.add_css_file("live/live.css")
        app.add_js_file("live/run.js", **{"data-modules": "check.js" if pagename == "live/check" else "cells.js"})


def source_pages(app):
    """A page for each file that pages link to."""
    for path in sorted(cited):
        text = (ROOT / path).read_text(encoding="utf-8")
        try:
            lexer = get_lexer_for_filename(path)
        except ClassNotFound:
            lexer = TextLexer()
        code = highlight(
            text, lexer, HtmlFormatter(linenos="inline", anchorlinenos=True, lineanchors="L", wrapcode=False)
        )
        body = f"<h1>{path}</h1>\n{code}"
        yield f"source/{path}", {"title": path, "body": body}, "page.html"


def setup(app):
    """Connect the hooks; before MathJax's, which asks whether the page has equations."""
    app.connect("doctree-resolved", unwrap_tagged)
    app.connect("html-page-context", link_code, priority=400)
    app.connect("html-page-context", run_code)
    app.connect("html-collect-pages", source_pages)
