"""Nothing phones home: no network, and no file outside the run's folder.

The trap is shown to work first: an onnxruntime without its switch falls into it. It writes an
identity into the user's cache at once and looks a host up after some ten seconds, so a worker idles
for longer than that. `CI` is taken out of the environment: it silences onnxruntime by itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import command, needs, plugin, small

pytestmark = pytest.mark.process

IDLE = 25
"""Seconds."""

UNSWITCHED = """
import sys, time
import onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
time.sleep(float(sys.argv[2]))
"""

# ONNX Runtime as ever, whose first worker idles with its session loaded.
IDLING = """
    import time
    from pathlib import Path
    from toolkit.runtimes.onnxruntime import OnnxRuntime


    class Theirs(OnnxRuntime):
        name = "elsewhere"

        def load(self, program, provider, options):
            session = super().load(program, provider, options)
            marker = Path({marker!r})
            if not marker.exists():
                marker.touch()
                time.sleep({idle})
            return session
"""


@dataclass(frozen=True)
class Trap:
    """A home, a folder for temporary files, a current folder, and what was seen."""

    folder: Path

    @property
    def work(self) -> Path:
        return self.folder / "work"

    @property
    def left(self) -> list[str]:
        """The files outside the current folder, by their paths."""
        found = [p for place in ("home", "tmp") for p in (self.folder / place).rglob("*")]
        return [str(path.relative_to(self.folder)) for path in found if path.is_file()]

    @property
    def calls(self) -> list[str]:
        """What any process asked of the network."""
        lines = (self.folder / "trace").read_text(errors="replace").splitlines()
        return [line for line in lines if "AF_INET" in line or "nscd" in line]

    def start(self, arguments: list[str], **more: str) -> subprocess.Popen[bytes]:
        """Starts a command in the trap, without a network and under strace."""
        for place in ("home", "tmp", "work"):
            (self.folder / place).mkdir(parents=True, exist_ok=True)
        trace = ["-f", "-e", "trace=network", "-o", str(self.folder / "trace")]
        taken = ("CI", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")
        own = {key: value for key, value in os.environ.items() if key not in taken}
        places = {"HOME": str(self.folder / "home"), "TMPDIR": str(self.folder / "tmp")}
        return subprocess.Popen(
            [needs.program("unshare"), "-n", needs.program("strace"), *trace, *arguments],
            cwd=self.work,
            env={**own, **places, **more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )


@pytest.fixture(scope="module")
def traps(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trap, Trap]:
    """What an onnxruntime without its switch does, and what a bench does, side by side."""
    allowed = [needs.program("unshare"), "-n", needs.program("strace"), "-o", os.devnull, "true"]
    if subprocess.run(allowed, capture_output=True).returncode != 0:
        needs.absent("no network namespace may be made here, or no process traced")
    folder = tmp_path_factory.mktemp("silence")
    model = str(small.layer(folder / "layer.onnx"))
    caught, silent = Trap(folder / "caught"), Trap(folder / "silent")
    listed = plugin.package(folder / "site", IDLING.format(marker=str(folder / "idled"), idle=IDLE))
    site = plugin.installed(folder / "site", listed)
    targets = ("elsewhere", "onnxruntime,io=bound", "fake")
    words = [word for target in targets for word in ("--target", target)]
    bench = [str(command.TOOLKIT), "bench", model, *words, *command.QUICK]
    with (
        caught.start([sys.executable, "-c", UNSWITCHED, model, str(IDLE)]) as loud,
        silent.start(bench, PYTHONPATH=str(site)) as quiet,
    ):
        _, said = quiet.communicate(timeout=240)
        assert (quiet.returncode, command.quiet(said.decode())) == (0, "")
        loud.communicate(timeout=240)
        assert loud.returncode == 0
    assert (folder / "idled").exists()
    return caught, silent


def test_an_onnxruntime_without_its_switch_falls_into_the_trap(traps: tuple[Trap, Trap]) -> None:
    caught, _ = traps

    assert any("DeveloperTools/.onnxruntime" in path for path in caught.left)
    assert caught.calls


def test_a_bench_opens_no_network_connection(traps: tuple[Trap, Trap]) -> None:
    _, silent = traps

    assert silent.calls == []


def test_a_bench_leaves_no_file_outside_its_run(traps: tuple[Trap, Trap]) -> None:
    _, silent = traps

    assert silent.left == []
    assert [path.name for path in silent.work.iterdir()] == ["reports"]
