"""Pages: one self-contained HTML file each, that needs no network, runs no script but its own, and escapes whatever it is given.

    body = [prose("What was asked."), table(("structure", "Dice"), [("liver", 0.97)]), picture(png, "liver, axial", "The liver.")]
    text = render("A title", [Section("Result", *body)], subtitle="one line below it")

Every element takes plain values and returns `Markup`; text that is not `Markup` is escaped wherever it ends up.
"""
from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

ASSETS = Path(__file__).parent / "assets"


@dataclass(frozen=True, init=False)
class Section:
    """A part of a page under a heading.

    Parameters
    ----------
    title : of the heading.
    body : elements, made by the functions of this module; plain text is escaped.
    """

    title: str
    body: tuple[Markup | str, ...]

    def __init__(self, title: str, *body: Markup | str) -> None:
        object.__setattr__(self, "title", title)
        object.__setattr__(self, "body", body)


def render(title: str, sections: Iterable[Section], subtitle: str = "", scripts: Sequence[str] = ()) -> str:
    """A whole HTML document.

    Parameters
    ----------
    scripts : JavaScript that the page may run, in order; the page's policy lets nothing else run, and nothing be fetched.
    """
    style = (ASSETS / "style.css").read_text(encoding="utf-8")
    scripts = [Markup(_inline(script)) for script in scripts]
    policy = "; ".join(["default-src 'none'", "img-src data: blob:", f"style-src {_hashes([style])}",
                        f"script-src {_hashes(scripts)}", "base-uri 'none'", "form-action 'none'"])
    return _templates().get_template("page.html").render(title=title, subtitle=subtitle, sections=list(sections), style=Markup(style),
                                                         scripts=scripts, policy=policy)


def prose(*paragraphs: str) -> Markup:
    """Paragraphs of text."""
    return element("prose", paragraphs)


def note(text: str) -> Markup:
    """A remark in small print."""
    return element("note", text)


def listing(items: Iterable[str]) -> Markup:
    """Items with bullets."""
    return element("listing", list(items))


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], caption: str = "") -> Markup:
    """Rows under column names, the first cell of each naming the row; numbers to four digits, None and not-a-number as a dash."""
    return element("table", columns, list(rows), caption)


def facts(values: Mapping[str, Any]) -> Markup:
    """Names and their values."""
    return element("facts", values)


def badge(status: str, text: str = "") -> Markup:
    """A verdict (PASS, CHECK, FAIL, or another word) as a sign, told by its word and shape as well as by its colour; ``text`` follows."""
    return element("badge", status, text)


def sign(status: str) -> Markup:
    """The sign of a verdict alone, small enough for a table."""
    return element("sign", status)


def picture(png: bytes, alt: str, caption: str = "") -> Markup:
    """An image inside the page; ``alt`` says in words what it shows."""
    return element("picture", uri(png, "image/png"), alt, caption)


def strip(jpeg: bytes, alt: str, caption: str = "", wide: bool = True) -> Markup:
    """A JPEG image as `picture`; narrow screens scroll a ``wide`` one sideways, others stand beside each other."""
    return element("strip", uri(jpeg, "image/jpeg"), alt, caption, wide)


def heading(text: str) -> Markup:
    """A heading within a section."""
    return element("heading", text)


def link(address: str, text: str) -> Markup:
    """A link to a file beside the page, by its relative address."""
    from urllib.parse import quote

    return element("link", quote(address), text)


def details(summary: str, *body: Markup | str) -> Markup:
    """Elements behind a heading that opens; open on paper."""
    return element("details", summary, body)


def uri(content: bytes, kind: str) -> str:
    """``data:`` address of a content of a MIME type."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def shown(value: Any) -> str:
    """A value as pages show it."""
    if value is None or value != value:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(shown, value))
    return f"{value:.4g}" if isinstance(value, float) else value if isinstance(value, Markup) else str(value)


def data(name: str, value: Any) -> Markup:
    """A value for the page's scripts to read, by the id ``name``; it cannot run, whatever it holds."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Markup('<script type="application/json" id="{}">{}</script>').format(name, Markup(text.replace("<", "\\u003c")))


def element(kind: str, *values: Any) -> Markup:
    """An element by the name of its macro in ``assets/elements.html``."""
    return Markup(getattr(_templates().get_template("elements.html").module, kind)(*values).strip())


@cache
def _templates() -> Environment:
    environment = Environment(loader=FileSystemLoader(ASSETS), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
                              lstrip_blocks=True)
    environment.filters["shown"] = shown
    return environment


def _inline(script: str) -> str:
    """A script as it can stand inside a page: nothing in it ends the element or opens a comment (both only occur in its strings)."""
    return script.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _hashes(texts: Sequence[str]) -> str:
    """Sources of a content policy that allow these texts and no other; none without texts."""
    return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in texts) or "'none'"
