import re

from voxalign.report import page
from voxalign.report.page import Section, render

EVIL = '<script>alert(1)</script><img src=x onerror=alert(2)>"\'&{{7*7}}'


def test_every_element_escapes_what_it_is_given():
    body = [page.prose(EVIL), page.note(EVIL), page.listing([EVIL]), page.table((EVIL,), [(EVIL, EVIL)], EVIL),
            page.facts({EVIL: EVIL}), page.badge("PASS", EVIL), page.badge(EVIL),
            page.picture(b"", EVIL, EVIL), page.link(EVIL, EVIL), page.details(EVIL, EVIL), EVIL]
    text = render(EVIL, [Section(EVIL, *body)], EVIL)
    assert "<script" not in text and "<img src=x" not in text and "{{7*7}}" in text
    assert text.count("alert(1)") == text.count("&lt;script&gt;alert(1)&lt;/script&gt;")


def test_only_its_own_scripts_may_run():
    text = render("t", [], scripts=["let a = '</script><!-- <script>'"])
    assert text.count("</script>") == 1 and "<!--" not in text
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert "default-src &#39;none&#39;" in policy and "unsafe" not in policy and "http" not in policy
    assert "script-src &#39;none&#39;" in render("t", [])


def test_a_page_asks_for_nothing_from_elsewhere():
    text = render("t", [Section("s", page.picture(b"\x89PNG", "a picture"))])
    assert not re.findall(r'(?:src|href)="(?!data:)', text)


def test_values_as_pages_show_them():
    values = {None: "–", float("nan"): "–", 0.123456: "0.1235", 3: "3", True: "yes", (1.0, 2.5): "1, 2.5", "x": "x"}
    assert [page.shown(value) for value in values] == list(values.values())
