"""The tests of referrals as plain functions that ask a store without a server between them."""

from __future__ import annotations

import inspect
import itertools
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "access"))

import test_booking_rights
import test_referral_clock
import test_referral_invariants
import test_referral_operations
import test_referral_refusals
import test_referral_rights
import test_referral_states
from access_desk import World, alone, within
from referral_acts import Direct
from referral_desk import Desk

Json = dict[str, Any]
MODULES = (
    test_referral_invariants, test_referral_refusals, test_referral_states, test_referral_operations,
    test_referral_clock, test_referral_rights, test_booking_rights,
)  # fmt: skip
# What only a server has: headers of retries, the CapabilityStatement.
OF_THE_SERVER = (
    test_referral_operations.test_an_operation_sent_again_under_its_key_happens_once,
    test_referral_operations.test_every_operation_is_defined_and_declared,
)


def checks() -> Iterator[Callable[[], None]]:
    """Each test with each of its parameters, alone and in a transaction where it is about both."""
    direct = Direct("sqlite://")
    for module in MODULES:
        for name, test in vars(module).items():
            if not name.startswith("test_") or test in OF_THE_SERVER:
                continue
            wanted = inspect.signature(test).parameters
            doors = (alone, within) if "write" in wanted else (None,)
            for given, door in itertools.product(_parameters(test), doors):
                yield partial(_run, test, direct, door, given)


def _run(test: Callable[..., None], direct: Direct, door: Any, given: Json) -> None:
    wanted = inspect.signature(test).parameters
    if "world" in wanted:
        given = given | {"world": World(direct.asking)}
        if door is not None:
            given = given | {"write": door}
        test(**given)
        return
    desk = Desk(direct)
    if "desk" in wanted:
        given = given | {"desk": desk}
    if door is not None:
        given = given | {"write": partial(door, desk)}
    test(**given)


def _parameters(test: Callable[..., None]) -> Iterator[Json]:
    """What pytest would give the test by its parametrize marks."""
    listed = []
    for mark in getattr(test, "pytestmark", ()):
        if mark.name == "parametrize":
            names, values = mark.args[:2]
            one = isinstance(names, str)
            listed.append(
                [
                    {names: value} if one else dict(zip(names, value, strict=True))
                    for value in values
                ]
            )
    for chosen in itertools.product(*listed):
        yield {name: value for item in chosen for name, value in item.items()}
