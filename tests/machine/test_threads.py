from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from toolkit.machine import proc, threads
from toolkit.machine.threads import Thread

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc")


@contextmanager
def pinned(*cores: int) -> Iterator[None]:
    """This thread on these cores."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def compute(seconds: float) -> None:
    """Uses so much CPU time in the calling thread."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(100))


def test_a_thread_that_computes_is_counted_and_one_that_waits_is_not() -> None:
    stop = threading.Event()
    idle = threading.Thread(target=stop.wait)
    idle.start()
    before = threads.of(os.getpid())

    def compute_and_stay() -> None:
        compute(0.1)
        stop.wait()

    second = threading.Thread(target=compute_and_stay)
    second.start()
    compute(0.1)
    while len(threads.used(before, threads.of(os.getpid()))) < 2:
        time.sleep(0.01)
    used = threads.used(before, threads.of(os.getpid()))
    stop.set()
    second.join()
    idle.join()
    assert {thread.id for thread in used} == {os.getpid(), second.native_id}


def test_a_thread_that_stays_on_its_core_has_not_left_it() -> None:
    core = min(os.sched_getaffinity(0))
    with pinned(core):
        before = threads.of(os.getpid())
        compute(0.02)
        me = {t.id: t for t in threads.of(os.getpid()).values() if t.id == os.getpid()}
        assert threads.left_core(before, me, {core}) == []


@pytest.mark.process
def test_two_that_share_a_core_wait_for_it_and_one_alone_hardly_does() -> None:
    core = min(os.sched_getaffinity(0))
    with pinned(core):
        before = threads.of(os.getpid())
        rival = subprocess.Popen(["sh", "-c", "while :; do :; done"])
        compute(0.2)
        rival.kill()
        rival.wait()
        after = threads.of(os.getpid())
    assert threads.waited(before, after) > 0.1


def test_threads_that_wait_for_each_other_do_not_wait_for_others() -> None:
    def thread(tid: int, cpu: float, waited: float) -> Thread:
        return Thread(tid, 7, "w", 0, frozenset({0}), cpu=cpu, waited=waited, switches=0)

    before = {1: thread(1, 1.0, 5.0), 2: thread(2, 2.0, 6.0)}
    among_themselves = {1: thread(1, 1.004, 5.003), 2: thread(2, 2.003, 6.004)}
    for_another = {1: thread(1, 1.004, 5.010), 2: thread(2, 2.003, 6.004)}
    new = {**among_themselves, 3: thread(3, 0.0, 0.020)}

    assert threads.waited(before, among_themselves) == pytest.approx(0.0)
    assert threads.waited(before, for_another) == pytest.approx(0.007)
    assert threads.waited(before, new) == pytest.approx(0.013)
    assert threads.waited({}, {}) == 0


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_a_thread_that_left_its_core_is_found() -> None:
    first, second = sorted(os.sched_getaffinity(0))[:2]
    with pinned(second):
        before = threads.of(os.getpid())
        compute(0.02)
        after = threads.of(os.getpid())
    found = threads.left_core(before, after, {first})
    assert os.getpid() in [thread.id for thread in found]


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_a_thread_that_was_unpinned_is_found_wherever_it_ran() -> None:
    both = set(sorted(os.sched_getaffinity(0))[:2])
    with pinned(*both):
        before = threads.of(os.getpid())
        compute(0.02)
        after = threads.of(os.getpid())
    ran_on = after[os.getpid()].core
    assert os.getpid() in [t.id for t in threads.left_core(before, after, {ran_on})]


def test_a_thread_that_was_pinned_after_it_ran_elsewhere_is_found() -> None:
    ran = Thread(7, 7, "w", 1, frozenset({0}), cpu=0.004, waited=0.0, switches=0)
    assert threads.left_core({}, {7: ran}, {0}) == [ran]
    slept = {7: replace(ran, cpu=0.004)}
    assert threads.left_core(slept, {7: ran}, {0}) == []


@pytest.mark.process
def test_a_process_that_has_ended_has_no_threads() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    assert threads.of(child.pid) == {}


def test_a_name_with_brackets_and_spaces_is_read(tmp_path: Path) -> None:
    task = tmp_path / "7/task/7"
    task.mkdir(parents=True)
    numbers = [0] * 50
    numbers[10], numbers[11], numbers[35] = 250, 50, 3
    (task / "stat").write_text(f"7 (a) S (b) R {' '.join(map(str, numbers))}\n")
    (task / "status").write_text("Cpus_allowed_list:\t0-1,3\nnonvoluntary_ctxt_switches:\t5\n")
    (thread,) = threads.of(7, tmp_path).values()
    assert (thread.name, thread.core, thread.switches) == ("a) S (b", 3, 5)
    assert thread.allowed == {0, 1, 3}
    # No schedstat here: the ticks of stat.
    assert thread.cpu == pytest.approx(300 * proc.TICK)
