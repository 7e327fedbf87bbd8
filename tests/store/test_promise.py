"""What a work comes to is told once, to whoever waits or wants to be told, on whatever thread."""

from __future__ import annotations

import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest

from fhir_server.store.promise import Promise


def test_a_result_is_waited_for() -> None:
    promise: Promise[int] = Promise()
    with ThreadPoolExecutor(8) as threads:
        waiting = [threads.submit(promise.result, 10) for _ in range(8)]
        time.sleep(0.05)
        assert not promise.done()
        assert promise.begin()
        promise.set_result(7)
        assert [item.result() for item in waiting] == [7] * 8
    assert promise.exception() is None


def test_what_a_work_raised_is_raised() -> None:
    promise: Promise[int] = Promise()
    promise.set_exception(KeyError("a"))
    with pytest.raises(KeyError):
        promise.result(0)


def test_a_wait_has_an_end() -> None:
    with pytest.raises(TimeoutError):
        Promise[int]().result(0.01)


def test_a_work_that_was_taken_back_is_not_begun_and_has_no_result() -> None:
    promise: Promise[int] = Promise()
    assert promise.cancel()
    assert not promise.begin()
    promise.set_result(7)
    with pytest.raises(CancelledError):
        promise.result(0)


def test_a_work_that_has_begun_cannot_be_taken_back() -> None:
    promise: Promise[int] = Promise()
    assert promise.begin()
    assert promise.begin()
    assert not promise.cancel()
    promise.set_result(7)
    assert not promise.cancel()
    assert promise.result(0) == 7


@pytest.mark.parametrize("end", ["result", "error", "cancel"])
@pytest.mark.parametrize("told_before", [True, False])
def test_who_wants_to_be_told_is_told_once(end: str, told_before: bool) -> None:
    promise: Promise[int] = Promise()
    told: list[Promise[int]] = []
    if told_before:
        promise.then(told.append)
    match end:
        case "result":
            promise.set_result(7)
        case "error":
            promise.set_exception(KeyError("a"))
        case "cancel":
            assert promise.cancel()
            assert promise.cancel()
    if not told_before:
        promise.then(told.append)
    assert told == [promise]


def test_nothing_is_lost_between_those_who_do_and_those_who_ask() -> None:
    """Results are set while others begin to wait, want to be told, or take the work back."""
    with ThreadPoolExecutor(4) as threads:
        for _ in range(1000):
            _race(threads)


def _race(threads: ThreadPoolExecutor) -> None:
    promise: Promise[int] = Promise()
    told: list[Promise[int]] = []
    start = threading.Barrier(4)

    def work() -> bool:
        start.wait()
        if begun := promise.begin():
            promise.set_result(7)
        return begun

    def ask() -> int | None:
        start.wait()
        try:
            return promise.result(10)
        except CancelledError:
            return None

    def listen() -> bool:
        start.wait()
        promise.then(told.append)
        return True

    def take_back() -> bool:
        start.wait()
        return promise.cancel()

    asked = [threads.submit(item) for item in (work, ask, listen, take_back)]
    begun, result, _, taken_back = [item.result(20) for item in asked]
    assert begun is not taken_back
    assert result == (7 if begun else None)
    assert told == [promise]
