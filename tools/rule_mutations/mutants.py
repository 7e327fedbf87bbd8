"""Mutants of a package: each lacks one statement that refuses, has an effect, or makes something else of a value.

https://docs.python.org/3/library/ast.html
"""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

Check = Callable[[], object]
Lines = set[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One statement of a function, and the function's code without it; lines: where the statement stands."""

    module: str
    function: str
    statement: str
    lines: range
    target: FunctionType
    code: CodeType

    def __str__(self) -> str:
        return f"{self.module.rpartition('.')[2]}.{self.function}: {self.statement}"

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The function lacks the statement, for everybody who calls it."""
        kept = self.target.__code__
        self.target.__code__ = self.code
        try:
            yield
        finally:
            self.target.__code__ = kept


def mutants(package: ModuleType, without: frozenset[str]) -> Iterator[Mutant]:
    """Every mutant of a package, but for the calls of those names."""
    assert package.__file__ is not None
    for path in sorted(Path(package.__file__).parent.glob("*.py")):
        module = importlib.import_module(f"{package.__name__}.{path.stem}")
        source = path.read_text()
        for statement, function in _statements(ast.parse(source)):
            called = _called(statement)
            target = _function(module, function)
            if called is None or called in without or target is None:
                continue
            code = _without(source, str(path), statement, function)
            told = " ".join(ast.unparse(statement).split())
            lines = range(statement.lineno, (statement.end_lineno or statement.lineno) + 1)
            yield Mutant(module.__name__, function, told, lines, target, code)


def _statements(node: ast.AST, within: str = "") -> Iterator[tuple[ast.stmt, str]]:
    """(statement, qualified name of its function) of all that could be taken out."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            yield from _statements(child, f"{within}.{child.name}".removeprefix("."))
        else:
            if within and isinstance(child, ast.Raise | ast.Expr | ast.Assign):
                yield child, within
            yield from _statements(child, within)


def _called(statement: ast.stmt) -> str | None:
    """The name of what a statement raises or calls; None for one whose value is needed."""
    found = statement.exc if isinstance(statement, ast.Raise) else getattr(statement, "value", None)
    if not isinstance(found, ast.Call):
        return None
    if isinstance(statement, ast.Assign):
        names = {item.id for item in ast.walk(found) if isinstance(item, ast.Name)}
        if not any(isinstance(item, ast.Name) and item.id in names for item in statement.targets):
            return None
    return found.func.attr if isinstance(found.func, ast.Attribute) else ast.unparse(found.func)


def _function(module: ModuleType, name: str) -> FunctionType | None:
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part)
    found = inspect.unwrap(found)
    return found if isinstance(found, FunctionType) else None


def _without(source: str, path: str, statement: ast.stmt, function: str) -> CodeType:
    """The code of the function without the statement."""
    tree = _Without(statement).visit(ast.parse(source))
    return next(
        code for code in _codes(compile(tree, path, "exec")) if code.co_qualname == function
    )


class _Without(ast.NodeTransformer):
    def __init__(self, statement: ast.stmt) -> None:
        self.place = (statement.lineno, statement.col_offset, type(statement))

    def generic_visit(self, node: ast.AST) -> ast.AST:
        found = super().generic_visit(node)
        if isinstance(found, ast.stmt) and self.place == (
            found.lineno,
            found.col_offset,
            type(found),
        ):
            return ast.copy_location(ast.Pass(), found)
        return found


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def reached(checks: Iterable[Check], folder: str) -> Iterator[Lines]:
    """The (file, line) below a folder that each check comes through; what a check raises is raised.

    Threads are seen that start after the first check was asked for.
    """
    found: Lines = set()

    def line(frame: FrameType, event: str, argument: Any) -> Any:
        del event, argument
        found.add((frame.f_code.co_filename, frame.f_lineno))
        return line

    def call(frame: FrameType, event: str, argument: Any) -> Any:
        return line(frame, event, argument) if frame.f_code.co_filename.startswith(folder) else None

    threading.settrace(call)
    sys.settrace(call)
    try:
        for check in checks:
            check()
            yield set(found)
            found.clear()
    finally:
        sys.settrace(None)
        threading.settrace(None)


def survivors(found: Iterable[Mutant], checks: Iterable[tuple[Check, Lines]]) -> Iterator[Mutant]:
    """Those that no check notices; only checks that come to the statement are asked, the shortest first."""
    ordered = sorted(checks, key=lambda item: len(item[1]))
    for mutant in found:
        path = mutant.target.__code__.co_filename
        places = {(path, number) for number in mutant.lines}
        with mutant.in_place():
            if not any(_fails(check) for check, lines in ordered if lines & places):
                yield mutant


def _fails(check: Check) -> bool:
    try:
        check()
    except Exception:  # noqa: BLE001 - a mutant may fail in any way
        return True
    return False
