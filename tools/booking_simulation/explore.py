"""Every order in which the steps of three clients can come, up to a number of interruptions, and random ones beyond.

Searching schedules with few preemptions first finds most faults soon (Musuvathi and Qadeer, PLDI 2007).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tools.booking_simulation.model import Deadlock, World
from tools.booking_simulation.scenarios import Scenario


@dataclass(slots=True)
class Choice:
    """One decision of a schedule: how many clients could move, which did, and which would have gone on by itself."""

    options: int
    taken: int
    natural: int


class Schedule:
    """Follows a prefix of decisions, then lets whoever moved last go on; remembers what could have been chosen."""

    def __init__(self, prefix: list[int], chance: random.Random | None = None) -> None:
        self.prefix = prefix
        self.chance = chance
        self.choices: list[Choice] = []

    def choose(self, options: int, last: int) -> int:
        """Who moves next."""
        place = len(self.choices)
        natural = max(last, 0)
        if place < len(self.prefix):
            taken = min(self.prefix[place], options - 1)
        elif self.chance is not None:
            taken = self.chance.randrange(options)
        else:
            taken = natural
        self.choices.append(Choice(options, taken, natural if last >= 0 else -1))
        return taken


def run(scenario: Scenario, schedule: Schedule) -> list[str]:
    """What went wrong under one schedule."""
    store, context = scenario.start()
    world = World(store)
    try:
        clients = world.run(scenario.works(context), schedule.choose)
    except Deadlock as circle:
        return [f"deadlock: {circle}"]
    return scenario.judge(store, clients, context)


def bounded(limit: int, preemptions: int) -> Iterator[Callable[[], Schedule]]:
    """Schedules depth first: each is run before the next is asked for."""
    pending: list[list[int]] = [[]]
    done = 0
    while pending and done < limit:
        schedule = Schedule(pending.pop())
        yield lambda schedule=schedule: schedule  # type: ignore[misc] # a default binds the loop variable
        done += 1
        taken = [choice.taken for choice in schedule.choices]
        spent = 0
        branches: list[list[int]] = []
        for place, choice in enumerate(schedule.choices):
            if place >= len(schedule.prefix):
                for other in range(choice.options):
                    cost = spent + (choice.natural not in (-1, other))
                    if other != choice.taken and cost <= preemptions:
                        branches.append([*taken[:place], other])
            spent += choice.natural not in (-1, choice.taken)
        pending += reversed(branches)


def explore(
    scenario: Scenario, *, limit: int, preemptions: int = 2, randoms: int = 0, seed: int = 1
) -> tuple[int, list[str]]:
    """How many schedules were run, and the first faults, with the schedule that shows them."""
    done = 0
    found: list[str] = []
    for make in bounded(limit, preemptions):
        schedule = make()
        told = run(scenario, schedule)
        done += 1
        if told:
            taken = "".join(str(choice.taken) for choice in schedule.choices)
            found += [f"{scenario.name} [{taken}]: {sentence}" for sentence in told]
            if len(found) > 5:
                return done, found
    for number in range(randoms):
        schedule = Schedule([], random.Random(f"{seed} {number}"))
        told = run(scenario, schedule)
        done += 1
        found += [f"{scenario.name} (seed {seed} {number}): {sentence}" for sentence in told]
    return done, found
