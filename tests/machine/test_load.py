from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from toolkit.machine import describe, load
from toolkit.machine.load import Activity, CoreTime, ProcessTime, Snapshot

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc")

SPIN = "while True: pass"


@contextmanager
def spinning(*, detached: bool = False) -> Iterator[int]:
    """A process that computes without end; detached: it is nobody's child here."""
    if not detached:
        child = subprocess.Popen([sys.executable, "-S", "-c", SPIN])
        try:
            yield child.pid
        finally:
            child.kill()
            child.wait()
        return
    # A grandchild whose parent ends at once belongs to the system's first process.
    arguments = f"[{sys.executable!r}, '-S', '-c', {SPIN!r}], stdout=-3"
    start = f"import subprocess; print(subprocess.Popen({arguments}).pid)"
    out = subprocess.run([sys.executable, "-S", "-c", start], stdout=subprocess.PIPE, check=False)
    pid = int(out.stdout)
    try:
        yield pid
    finally:
        os.kill(pid, 9)


def activity_over(seconds: float) -> Activity:
    before = load.snapshot()
    time.sleep(seconds)
    return load.between(before, load.snapshot())


@pytest.mark.process
def test_the_cpu_time_of_a_child_is_ours() -> None:
    before = load.snapshot()
    with spinning() as pid:
        while psutil.Process(pid).cpu_times().user < 0.2:  # A busy machine gives it little.
            time.sleep(0.05)
        after = load.snapshot()
    assert after.ours - before.ours > 0.1


@pytest.mark.process
def test_the_cpu_time_of_an_ended_child_stays_ours() -> None:
    before = load.snapshot()
    subprocess.run(
        [sys.executable, "-S", "-c", "import time\nwhile time.process_time() < 0.3: pass"],
        check=True,
    )
    after = load.snapshot()
    assert after.ours - before.ours >= 0.28


@pytest.mark.process
def test_another_process_is_seen_with_its_name() -> None:
    with spinning(detached=True) as pid:
        activity = activity_over(0.6)
        assert pid in load.snapshot().others
    assert activity.others > 0.1
    assert any(busy.name.startswith("python") and busy.pid == pid for busy in activity.busiest)


def other(name: str, cpu: float) -> ProcessTime:
    return ProcessTime(name, cpu, core=1)


def test_the_difference_of_two_snapshots_is_exact() -> None:
    core = CoreTime(busy=10.0, idle=80.0, stolen=1.0)
    before = Snapshot(5.0, {0: core, 1: core}, ours=3.0, others={7: other("x", 1.0)}, frequency={})
    after = Snapshot(
        7.0,
        {0: CoreTime(11.8, 80.0, 1.2), 1: CoreTime(11.0, 81.0, 1.0)},
        ours=4.8,
        others={7: other("x", 1.8), 8: other("y", 0.2)},
        frequency={0: 2400.0},
    )
    activity = load.between(before, after)
    assert activity.seconds == 2.0
    assert activity.steal == pytest.approx(0.05)
    assert activity.others == pytest.approx((1.8 + 1.0 - 1.8) / 2)
    assert [(b.name, round(b.cores, 3)) for b in activity.busiest] == [("x", 0.4), ("y", 0.1)]
    assert [b.core for b in activity.busiest] == [1, 1]
    assert activity.frequency == {0: 2400.0}


def test_two_snapshots_without_anything_between_have_no_noise_but_a_time() -> None:
    first = Snapshot(1.0, {}, ours=0.0, others={}, frequency={})
    activity = load.between(first, replace(first, at=2.0))
    assert (activity.seconds, activity.steal, activity.others, activity.busiest) == (1.0, 0, 0, ())


def test_the_frequencies_and_siblings_of_a_machine_that_tells_them(tmp_path: Path) -> None:
    for core, pair in ((0, "0,2"), (1, "1,3"), (2, "0,2"), (3, "1,3")):
        folder = tmp_path / f"devices/system/cpu/cpu{core}"
        (folder / "cpufreq").mkdir(parents=True)
        (folder / "topology").mkdir()
        (folder / "cpufreq/scaling_cur_freq").write_text("2400000\n")
        (folder / "topology/thread_siblings_list").write_text(pair + "\n")
    assert load.frequencies(tmp_path) == dict.fromkeys(range(4), 2400.0)
    assert describe.siblings(tmp_path)[1] == {1, 3}


def test_the_times_of_every_core_are_those_of_the_kernel() -> None:
    times = load.core_times()
    assert len(times) == os.cpu_count()
    for core in times.values():
        assert core.busy > 0
        assert core.idle >= 0
        assert core.stolen >= 0
