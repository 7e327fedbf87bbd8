"""Whatever is sent is answered with issues, never with an exception, and in time that its size explains."""

from __future__ import annotations

from pathlib import Path

from fhir_server.validation import Validator
from tools.validation_fuzz.run import Run, read_corpus

ROOT = Path(__file__).resolve().parents[2]


def test_mutated_documents_and_resources_raise_nothing_but_refusals() -> None:
    run = Run(Validator(), read_corpus((ROOT / "profiles", ROOT / "capability")), seed=7)
    # Inputs that are large on purpose are measured by the command, not in a test.
    for number in range(600):
        run.step(number)
    raised = [item.told() for item in run.failures.values() if not item.says.startswith("took")]
    assert raised == []
    assert {became for _, became in run.counts} >= {"unreadable", "refused 400", "valid"}


def test_an_input_that_raises_is_told_with_its_number_and_place() -> None:
    class Broken(Validator):
        def validate(self, resource: object, *, resource_type: str | None = None) -> tuple[()]:
            raise KeyError(str(type(resource)), resource_type)

    run = Run(Broken(), read_corpus((ROOT / "profiles",)), seed=7)
    run.step(2)
    (failure,) = run.failures.values()
    assert failure.told().startswith("input 2 (resource, ")
    assert "KeyError" in failure.says
