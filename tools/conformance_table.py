"""Write docs/conformance.md: which rule of R4 is proven by which tests, read off their `rule` marks.

A test names the rules that it proves: `@pytest.mark.rule(59, "http#create")`. Rules that are not proven stand in
tests/rules_left_out.toml with the reason; a test holds the page fresh and the numbers whole.
"""

from __future__ import annotations

import ast
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "conformance.md"
LEFT_OUT = ROOT / "tests" / "rules_left_out.toml"
RULES = 354

_HEAD = """# Which rule of R4 is tested where

Each row is a rule of R4 (or of an RFC that it stands on) with the tests that prove it, over HTTP on SQLite and
PostgreSQL unless the file says otherwise. A section is a page and anchor of https://hl7.org/fhir/R4/: `http#create` is
`http.html#create`. Run one row's tests with `make test PYTEST_ARGS='-k NAME'`.

This page is made by `python -m tools.conformance_table`; a test holds it fresh.

| rule | section | tests |
|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class Proof:
    """A test that carries a rule's number."""

    rule: int
    section: str
    file: str
    test: str


def proofs(folder: Path = ROOT / "tests") -> Iterator[Proof]:
    """Every mark of every test, by file and line; a mark on a class counts for its tests together."""
    for path in sorted(folder.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for mark in node.decorator_list:
                    yield from _read(mark, path.relative_to(ROOT).as_posix(), node.name)


def _read(mark: ast.expr, file: str, test: str) -> Iterator[Proof]:
    if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.rule":
        *numbers, section = (ast.literal_eval(item) for item in mark.args)
        for number in numbers:
            yield Proof(number, section, file, test)


def left_out() -> dict[int, str]:
    """Rule -> why no test proves it."""
    found = tomllib.loads(LEFT_OUT.read_text("utf-8"))
    return {int(number): reason for number, reason in found.items()}


def table() -> str:
    """The page as Markdown."""
    by_rule: defaultdict[int, list[Proof]] = defaultdict(list)
    for proof in proofs():
        by_rule[proof.rule].append(proof)
    rows = []
    for number in sorted(by_rule):
        sections = ", ".join(dict.fromkeys(item.section for item in by_rule[number]))
        tests = "<br>".join(
            f"[{item.test.removeprefix('test_').replace('_', ' ')}](../{item.file})"
            for item in by_rule[number]
        )
        rows.append(f"| {number} | {sections} | {tests} |\n")
    reasons = "".join(f"| {number} | {why} |\n" for number, why in sorted(left_out().items()))
    tail = f"\n## Left out\n\n| rule | why |\n|---|---|\n{reasons}" if reasons else ""
    return _HEAD + "".join(rows) + tail


if __name__ == "__main__":
    TARGET.write_text(table(), "utf-8")
