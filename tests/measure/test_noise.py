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

from toolkit.measure import noise
from toolkit.measure.noise import Activity, CoreTime, Observed, Snapshot, Thread
from toolkit.units import THIN

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


def compute(seconds: float) -> None:
    """Uses so much CPU time in the calling thread."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(100))


def activity_over(seconds: float) -> Activity:
    before = noise.snapshot()
    time.sleep(seconds)
    return noise.between(before, noise.snapshot())


def test_the_cpu_time_of_a_child_is_ours() -> None:
    before = noise.snapshot()
    with spinning():
        time.sleep(0.5)
        after = noise.snapshot()
    assert after.ours - before.ours > 0.1


def test_the_cpu_time_of_an_ended_child_stays_ours() -> None:
    before = noise.snapshot()
    subprocess.run(
        [sys.executable, "-S", "-c", "import time\nwhile time.process_time() < 0.3: pass"],
        check=True,
    )
    after = noise.snapshot()
    assert after.ours - before.ours >= 0.28


def test_another_process_is_seen_with_its_name() -> None:
    with spinning(detached=True) as pid:
        activity = activity_over(0.6)
        assert pid in noise.snapshot().others
    assert activity.others > 0.1
    assert activity.busiest[0].name.startswith("python")


def test_the_difference_of_two_snapshots_is_exact() -> None:
    core = CoreTime(busy=10.0, idle=80.0, stolen=1.0)
    before = Snapshot(
        5.0, {0: core, 1: core}, ours=3.0, others={7: ("x", 1.0)}, load=0, frequency={}
    )
    after = Snapshot(
        7.0,
        {0: CoreTime(11.8, 80.0, 1.2), 1: CoreTime(11.0, 81.0, 1.0)},
        ours=4.8,
        others={7: ("x", 1.8), 8: ("y", 0.2)},
        load=1.0,
        frequency={0: 2400.0},
    )
    activity = noise.between(before, after)
    assert activity.seconds == 2.0
    assert activity.steal_by_core == pytest.approx({0: 0.1, 1: 0.0})
    assert activity.steal == pytest.approx(0.05)
    assert activity.others == pytest.approx((1.8 + 1.0 - 1.8) / 2)
    assert [(b.name, round(b.cores, 3)) for b in activity.busiest] == [("x", 0.4), ("y", 0.1)]
    assert activity.frequency == {0: 2400.0}


def test_a_machine_without_proc_has_no_noise_but_a_time() -> None:
    nowhere = Path("/nowhere")
    first = noise.snapshot(nowhere, nowhere, clock=lambda: 1.0)
    activity = noise.between(first, noise.snapshot(nowhere, nowhere, clock=lambda: 2.0))
    assert (activity.seconds, activity.steal, activity.others, activity.busiest) == (1.0, 0, 0, ())


def test_a_thread_that_computes_is_counted_and_one_that_waits_is_not() -> None:
    stop = threading.Event()
    idle = threading.Thread(target=stop.wait)
    idle.start()
    before = noise.threads(os.getpid())

    def compute_and_stay() -> None:
        compute(0.1)
        stop.wait()

    second = threading.Thread(target=compute_and_stay)
    second.start()
    compute(0.1)
    while len(noise.threads_used(before, noise.threads(os.getpid()))) < 2:
        time.sleep(0.01)
    used = noise.threads_used(before, noise.threads(os.getpid()))
    stop.set()
    second.join()
    idle.join()
    assert {thread.id for thread in used} == {os.getpid(), second.native_id}


@contextmanager
def pinned(*cores: int) -> Iterator[None]:
    """This thread on these cores."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def test_a_thread_that_stays_on_its_core_has_not_left_it() -> None:
    core = min(os.sched_getaffinity(0))
    with pinned(core):
        before = noise.threads(os.getpid())
        compute(0.02)
        me = {t.id: t for t in noise.threads(os.getpid()).values() if t.id == os.getpid()}
        assert noise.left_core(before, me, {core}) == []


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_a_thread_that_left_its_core_is_found() -> None:
    first, second = sorted(os.sched_getaffinity(0))[:2]
    with pinned(second):
        before = noise.threads(os.getpid())
        compute(0.02)
        after = noise.threads(os.getpid())
    found = noise.left_core(before, after, {first})
    assert os.getpid() in [thread.id for thread in found]


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_a_thread_that_was_unpinned_is_found_wherever_it_ran() -> None:
    both = set(sorted(os.sched_getaffinity(0))[:2])
    with pinned(*both):
        before = noise.threads(os.getpid())
        compute(0.02)
        after = noise.threads(os.getpid())
    ran_on = after[os.getpid()].core
    assert os.getpid() in [t.id for t in noise.left_core(before, after, {ran_on})]


def test_a_thread_that_was_pinned_after_it_ran_elsewhere_is_found() -> None:
    ran = Thread(7, "w", 1, frozenset({0}), cpu=0.004, waited=0.0, switches=0)
    assert noise.left_core({}, {7: ran}, {0}) == [ran]
    slept = {7: replace(ran, cpu=0.004)}
    assert noise.left_core(slept, {7: ran}, {0}) == []


def test_a_process_that_has_ended_has_no_threads() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    assert noise.threads(child.pid) == {}


def test_a_name_with_brackets_and_spaces_is_read(tmp_path: Path) -> None:
    task = tmp_path / "7/task/7"
    task.mkdir(parents=True)
    numbers = [0] * 50
    numbers[10], numbers[11], numbers[35] = 250, 50, 3
    (task / "stat").write_text(f"7 (a) S (b) R {' '.join(map(str, numbers))}\n")
    (task / "status").write_text("Cpus_allowed_list:\t0-1,3\nnonvoluntary_ctxt_switches:\t5\n")
    (thread,) = noise.threads(7, tmp_path).values()
    assert (thread.name, thread.core, thread.switches) == ("a) S (b", 3, 5)
    assert thread.allowed == {0, 1, 3}
    # No schedstat here: the ticks of stat.
    assert thread.cpu == pytest.approx(300 * noise.TICK)


def test_the_frequencies_and_siblings_of_a_machine_that_tells_them(tmp_path: Path) -> None:
    for core, pair in ((0, "0,2"), (1, "1,3"), (2, "0,2"), (3, "1,3")):
        folder = tmp_path / f"devices/system/cpu/cpu{core}"
        (folder / "cpufreq").mkdir(parents=True)
        (folder / "topology").mkdir()
        (folder / "cpufreq/scaling_cur_freq").write_text("2400000\n")
        (folder / "topology/thread_siblings_list").write_text(pair + "\n")
    assert noise.frequencies(tmp_path) == dict.fromkeys(range(4), 2400.0)
    assert noise.siblings(tmp_path)[1] == {1, 3}


def test_steal_is_read_for_each_core(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text(
        "cpu 9 9 9 9 9 9 9 9\ncpu0 100 0 50 800 20 0 30 40 0 0\nbtime 1\n"
    )
    (core,) = noise.core_times(tmp_path).values()
    assert core.busy == pytest.approx(180 * noise.TICK)
    assert core.idle == pytest.approx(820 * noise.TICK)
    assert core.stolen == pytest.approx(40 * noise.TICK)


def observed(**parts: object) -> Observed:
    quiet: dict[str, object] = {
        "steal": [0.0] * 14,
        "others": [0.02] * 14,
        "frequency": [],
        "spare": 0,
        "seconds": 15.0,
    }
    return Observed(**{**quiet, **parts})  # type: ignore[arg-type]


def test_a_quiet_run_has_nothing_to_say() -> None:
    assert noise.verdict(observed()) == []


@pytest.mark.parametrize(
    ("parts", "line"),
    [
        (
            {"others": [0.4] * 12 + [0.0] * 2},
            "other processes used 40 % of a core in 12 of 14 generations: "
            "close them, or give --time 60s",
        ),
        (
            {"steal": [0.1] * 3 + [0.0] * 11},
            "the hypervisor took 10 % of the cores' time in 3 of 14 generations: "
            "give --time 60s, or use a machine with cores of its own",
        ),
        (
            {"frequency": [3400.0, 2800.0, 3300.0]},
            "the cores ran at 2800 to 3400 MHz: "
            "hold the clock with `sudo cpupower frequency-set -g performance`",
        ),
    ],
    ids=["others", "steal", "frequency"],
)
def test_each_disturbance_names_what_to_do(parts: dict[str, object], line: str) -> None:
    assert [text.replace(THIN, " ") for text in noise.verdict(observed(**parts))] == [line]


def test_load_on_cores_that_are_free_disturbs_nobody() -> None:
    assert noise.verdict(observed(others=[1.5] * 14, spare=6)) == []
