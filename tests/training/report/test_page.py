import re
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tinygrad_ckn.errors import MissingPackageError
from tinygrad_ckn.training import Result, Run
from tinygrad_ckn.training.report import page as page_module
from tinygrad_ckn.training.report.facts import facts_of
from tinygrad_ckn.training.report.page import MADE_BY, REPORT, render, write_report

VOID = {"meta", "link", "img", "input", "br"}


class Outline(HTMLParser):
    """Collects tags, ids and addresses, and checks that tags are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.headings: list[int] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        for name, value in attrs:
            assert not name.startswith("on"), (tag, name)
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "src", "action", "xlink:href"):
                self.addresses.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def outline(page: str) -> Outline:
    parser = Outline()
    parser.feed(page)
    assert parser.open == []
    return parser


@pytest.fixture(scope="module")
def page(reported: Result) -> str:
    return (reported.run.folder / REPORT).read_text(encoding="utf-8")


def test_train_writes_a_page_that_needs_nothing_else(page: str):
    found = outline(page)
    assert len(found.ids) == len(set(found.ids))
    for address in found.addresses:
        assert address.startswith(("data:image/png;base64,", "#")) or address == "data:,"
        assert not address.startswith("#") or address[1:] in found.ids
    assert "script" not in found.tags
    assert not re.search(r"url\(|@import|https?:", page)
    # No level of headings is left out.
    assert all(b - a <= 1 for a, b in zip([0, *found.headings], found.headings, strict=False))
    assert {"main", "nav", "header", "footer"} <= set(found.tags)


def test_names_of_classes_are_texts(page: str):
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#34;quoted&#34; &#39;cat&#39;" in page


def test_every_picture_and_chart_is_described(page: str):
    assert all('alt="' in tag for tag in re.findall(r"<img [^>]*>", page))
    charts = re.findall(r'<svg viewBox="0 0 400 260"[^>]*>\s*<title', page)
    assert len(charts) == 4
    assert page.count('aria-hidden="true"') + len(charts) == page.count("<svg")
    assert all('scope="' in tag for tag in re.findall(r"<th\b[^>]*>", page))


def test_it_says_what_was_measured(page: str, reported: Result):
    assert f"{100 * reported.accuracy:.2f} %" in page
    assert f"{reported.correct} of {reported.total} images; 95 % interval" in page
    for words in ("kept: ", "test, classifier fitted again", "chosen: ", "Nyström error", "lr"):
        assert words in page


def test_several_runs_are_side_by_side(reported: Result, copied: Callable[..., Run]):
    old = copied("test.json")
    page = render([facts_of(reported.run), facts_of(old)])
    found = outline(page)
    assert len(found.ids) == len(set(found.ids))
    assert {"run1", "run2", "side-by-side"} <= set(found.ids)
    assert all(a[1:] in found.ids for a in found.addresses if a.startswith("#"))


def test_a_hostile_path_is_a_text(reported: Result, tmp_path: Path):
    folder = tmp_path / "<img src=x onerror=alert(1)>"
    folder.mkdir()
    for path in reported.run.folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    written = write_report([Run.open(folder)], tmp_path / "page.html")
    page = written.read_text(encoding="utf-8")
    assert "<img src=x" not in page
    assert MADE_BY in page[:2000]
    outline(page)


def test_without_jinja2_the_extra_is_named(
    copied: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
):
    run = copied(REPORT)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    monkeypatch.setattr(page_module, "_environment", page_module._environment.__wrapped__)
    with pytest.raises(MissingPackageError, match=r"report: expected Jinja2.*\[report\]"):
        write_report([run])
    assert not (run.folder / REPORT).exists()


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_colours_have_contrast(page: str):
    light, dark = (
        dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", block))
        for block in re.findall(r"\{[^{}]*--page[^{}]*\}", page)[:2]
    )
    assert light != dark
    for colours in (light, dark):
        pairs = [
            (front, back)
            for front in ("text", "quiet", "link", "one", "two", "mark")
            for back in ("page", "panel")
        ]
        # Counts in the cells of a confusion matrix.
        pairs += [("text", "right"), ("text", "wrong")]
        for front, back in pairs:
            low, high = sorted(luminance(colours[name]) for name in (front, back))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (front, back, colours)


def test_a_notebook_shows_the_report_in_a_frame(reported: Result, monkeypatch: pytest.MonkeyPatch):
    shown = reported.run._repr_html_()
    assert shown.startswith('<iframe sandbox srcdoc="&lt;!DOCTYPE html&gt;')
    assert shown.count("<") == 2
    monkeypatch.setitem(sys.modules, "jinja2", None)
    monkeypatch.setattr(page_module, "_environment", page_module._environment.__wrapped__)
    assert "expected Jinja2" in reported.run._repr_html_()
