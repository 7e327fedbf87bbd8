"""Narrative: txt-1 and txt-2 (https://hl7.org/fhir/R4/narrative.html)."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.spec.narrative import MAXIMUM_FAULTS, narrative_faults
from fhir_server.spec.xml_div import embedded, without_named_entities

OPEN = '<div xmlns="http://www.w3.org/1999/xhtml">'


def div(content: str) -> str:
    return f"{OPEN}{content}</div>"


@pytest.mark.parametrize(
    "good",
    [
        div("text"),
        div("<p>text</p>"),
        div("<p>a</p><p>b</p>"),
        div("a<br/><hr/>b <i>c</i>"),
        div("&amp; &lt; &#160; &nbsp;&eacute; é \U0001f600"),
        div('<img src="data:image/png;base64,AAAA" alt="x"/>'),
        div('<img src="#logo"/><img src="https://example.org/x.png"/><img src="Binary/1"/>'),
        div('<a href="https://example.org/?a=1&amp;b=2#c">a</a><a name="x"> </a><a href="#x">b</a>'),
        div('<a href="mailto:a@b.c">m</a><a href="Patient/1">p</a><a href="urn:oid:1.2">u</a>'),
        div('<table border="1" class="grid"><thead><tr><th scope="col">a</th></tr></thead>'
            '<tbody><tr><td rowspan="2" style="color: red; width: 10%">b</td></tr></tbody></table>'),
        div('<span style="background: url(#x)" lang="en" xml:lang="en" dir="ltr">x</span>'),
        div('<td style="background-image: url(tbl_bck1.png)">x</td>'),
        div("<!-- a comment -->x"),
        '<div class="a" xmlns="http://www.w3.org/1999/xhtml" id="b">x</div>',
        "<div xmlns='http://www.w3.org/1999/xhtml'>x</div>\n",
        div("<dl><dt>a</dt><dd>b</dd></dl><blockquote cite='http://x.y'>q</blockquote>"),
        div("<h1>a</h1><pre>b\n c</pre><code>d</code><sub>e</sub>"),
    ],
)  # fmt: skip
def test_basic_formatting_is_allowed(good: str) -> None:
    assert narrative_faults(good) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("<script>alert(1)</script>", "script"),
        ("<SCRIPT>x</SCRIPT>", "SCRIPT"),
        ("<style>p {}</style>", "style"),
        ("<form><input/></form>", "form"),
        ("<iframe src='http://x'/>", "iframe"),
        ("<object data='x'/>", "object"),
        ("<head/>", "head"),
        ("<body>x</body>", "body"),
        ("<base href='x'/>", "base"),
        ("<link rel='stylesheet' href='x'/>", "link"),
        ("<font>x</font>", "font"),
        ("<del>x</del>", "del"),
        ("<svg xmlns='http://www.w3.org/2000/svg'/>", "svg"),
        ("<p onclick='x()'>x</p>", "onclick"),
        ("<p ONCLICK='x()'>x</p>", "ONCLICK"),
        ("<p href='http://x'>x</p>", "href"),
        ("<p xmlns='urn:x'>x</p>", "namespace"),
        ("<p x:y='1' xmlns:x='urn:x'>x</p>", "x:y"),
        ("<h:p xmlns:h='http://www.w3.org/1999/xhtml'>x</h:p>", "h:p"),
        ("<a href='javascript:alert(1)'>x</a>", "javascript:"),
        ("<a href=' JaVa&#10;Script&#9;:alert(1)'>x</a>", "javascript:"),
        ("<a href='&#1;javascript:alert(1)'>x</a>", "well-formed"),
        ("<a href='vbscript:x'>x</a>", "vbscript:"),
        ("<a href='data:text/html,x'>x</a>", "data:"),
        ("<img src='data:text/html,x'/>", "data:"),
        ("<img src='javascript:x'/>", "javascript:"),
        ("<q cite='javascript:x'>x</q>", "javascript:"),
        ("<a href='file:///etc/passwd'>x</a>", "file:"),
        ("<p style='background: url(http://x)'>x</p>", "style"),
        ("<p style='background: url(//x.org/a.png)'>x</p>", "style"),
        ("<p style='background: url(/a.png)'>x</p>", "style"),
        ("<p style='background: url(../a.png)'>x</p>", "style"),
        ("<p style='background: url(javascript:a)'>x</p>", "style"),
        ("<p style='background: URL ( \"//x\")'>x</p>", "style"),
        ("<p style='width: expression(alert(1))'>x</p>", "style"),
        ("<p style='width: exp/**/ression(alert(1))'>x</p>", "style"),
        ("<p style='background: \\75rl(http://x)'>x</p>", "style"),
        ('<p style=\'content:"/*";background:url(http://x);x:"*/"\'>x</p>', "style"),
        ("<p style='background: image-set(\"http://x\" 1x)'>x</p>", "style"),
        ("<p style='@import \"x\"'>x</p>", "style"),
        ("<p style='behavior: x'>x</p>", "style"),
        ("&unknown;", "well-formed"),
        ("a & b", "well-formed"),
        ("<p>", "well-formed"),
        ("</div><div>", "well-formed"),
        ("<p></div></p>", "well-formed"),
        ("\x00", "well-formed"),
        ("\x0b", "well-formed"),
        ("\ud800", "well-formed"),
        ("x\ufffe", "well-formed"),
        ("<!--><img src='x' onerror='alert(1)'/>-->x", "comment"),
        ("<!-- -- -->x", "well-formed"),
        ("<![CDATA[><img src=x onerror=alert(1)>]]>", "CDATA"),
        ("<?php x ?>x", "instruction"),
        ("<p>x</p", "well-formed"),
        ("]]>", "well-formed"),
        ("x</p>", "well-formed"),
        ("<p>x", "well-formed"),
    ],
)
def test_what_is_not_basic_formatting_breaks_txt_1(content: str, said: str) -> None:
    (fault, *_) = narrative_faults(div(content))
    assert said in fault


@pytest.mark.parametrize(
    "content",
    ["", " \n\t", "<p> </p>", "<p></p>", "&#160;", "&nbsp;", "<br/>", "<!-- x -->", "<p><b/></p>"],
)
def test_a_narrative_without_content_breaks_txt_2(content: str) -> None:
    (fault,) = narrative_faults(div(content))
    assert "blank" in fault


@pytest.mark.parametrize(
    ("whole", "said"),
    [
        ("", "begin with <div"),
        ("text", "begin with <div"),
        ("<p xmlns='http://www.w3.org/1999/xhtml'>x</p>", "begin with <div"),
        ("<!DOCTYPE div><div>x</div>", "begin with <div"),
        ("<?xml version='1.0'?><div>x</div>", "begin with <div"),
        ("<div>x</div>", "no namespace"),
        ("<div xmlns='http://www.w3.org/1999/XHTML'>x</div>", "namespace"),
        ("<divan xmlns='http://www.w3.org/1999/xhtml'>x</divan>", "not one element div"),
        (div("x") + "<p/>", "well-formed"),
        (div("x") + "x", "well-formed"),
        (div("x") + div("y"), "well-formed"),
    ],
)
def test_a_narrative_is_one_div_of_xhtml(whole: str, said: str) -> None:
    assert said in narrative_faults(whole)[0]


def test_faults_are_bounded_and_not_repeated() -> None:
    assert len(narrative_faults(div("<u/><u/>x"))) == 1
    many = "".join(f"<x{index}/>" for index in range(100))
    assert len(narrative_faults(div(many))) == MAXIMUM_FAULTS


@pytest.mark.parametrize(
    "hostile",
    [
        div("<b>" * 100_000),
        div("&a;" * 100_000),
        div("x" * 1_000_000 + "<"),
        div(f"<p style='{'/*' * 100_000}'>x</p>"),
        div(f"<a href='{' ' * 500_000}javascript:x'>x</a>"),
        div(f"<a href='{'a' * 500_000}'>x</a>"),
        div(f"<p style='{'/*x' * 100_000}'>x</p>"),
        div(f"<p style='{'url(' + ' ' * 200_000}'>x</p>"),
        div(f"<p style='{'expression' + ' ' * 100_000}'>x</p>"),
    ],
)
def test_hostile_narratives_are_read_in_linear_time(hostile: str) -> None:
    begin = time.perf_counter()
    narrative_faults(hostile)
    assert time.perf_counter() - begin < 1


TAGS = ["<p>", "</p>", "<b>", "</b>", "<u>", "</u>", "<br/>", "<td/>", "<img/>", "<!-- c -->"]
TEXTS = ["x", " ", "&amp;", "&#160;", "&nbsp;", "&", "<", ">", "]]>", "\x00", "\ufffe"]
ATTRIBUTED = ['<p class="a" title="x>">', '<p id="1" onclick="x">', '<p dir="ltr" >']
PIECES = st.sampled_from([*TAGS, *TEXTS, *ATTRIBUTED])
CONTENTS = st.lists(PIECES, max_size=8).map("".join)


@given(CONTENTS)
def test_the_quick_way_says_what_the_thorough_way_says(content: str) -> None:
    thorough = f"{OPEN[:-1]} style=''>{content}</div>"
    assert bool(narrative_faults(div(content))) == bool(narrative_faults(thorough))


@given(CONTENTS)
def test_what_passes_can_be_written_as_xml(content: str) -> None:
    if not narrative_faults(div(content)):
        assert embedded(div(content)) == without_named_entities(div(content))
