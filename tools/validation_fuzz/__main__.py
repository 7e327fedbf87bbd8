"""Put mutated inputs through parsing and validation, and tell what broke or took too long.

Usage: python -m tools.validation_fuzz [--count N] [--first N] [--seed S] [--profiles FOLDER] [FOLDER ...]

The inputs are made from the JSON and XML files of the folders, and of this project's own definitions. The exit status
is 1 when anything but FhirError was raised, or an input took longer than its size allows.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fhir_server.validation import Validator
from fhir_server.validation.profiles.library import CoreDefinitions, Library, Source
from fhir_server.validation.profiles.packages import Folder
from tools.validation_fuzz.run import Run, read_corpus

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(prog="python -m tools.validation_fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="the number of the first input")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--profiles", type=Path, action="append", default=[], help="a folder of definitions"
    )
    parser.add_argument("--keep", type=Path, help="where inputs that broke something are written")
    parser.add_argument("folders", type=Path, nargs="*")
    given = parser.parse_args()
    sources: list[Source] = [CoreDefinitions()]
    sources += [Folder(item) for item in (ROOT / "profiles", *given.profiles)]
    corpus = read_corpus((ROOT / "profiles", ROOT / "capability", *given.folders))
    run = Run(Validator(Library(sources)), corpus, given.seed)
    for done in range(given.first, given.first + given.count):
        run.step(done)
        if (done + 1) % 50_000 == 0:
            print(run.told(), *run.failures, sep="\n  ", flush=True)
    print(run.told())
    for failure in run.failures.values():
        print(failure.told())
        if given.keep is not None:
            given.keep.mkdir(parents=True, exist_ok=True)
            (given.keep / failure.name).write_bytes(failure.body)
    return 1 if run.failures else 0


if __name__ == "__main__":
    sys.exit(main())
