"""Environments that toolkit makes: whole or not at all, once, and found again."""

from __future__ import annotations

import hashlib
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tests import command
from toolkit.errors import EnvironmentFault, InputError
from toolkit.runtimes import listing
from toolkit.workers import cache, environments, managed, recipes
from toolkit.workers.recipes import Recipe

pytestmark = pytest.mark.process

PINS = ("tiny==1.0", "tinier==1.0", "other==2.0")
UNLOCKED = Recipe("tiny", "openvino", ("cpu",), PINS, "MIT")
"""Its packages are resolved, as those of a version that a user asks for are."""


def tiny() -> Recipe:
    """The same with a lock, which lies beside the wheels."""
    return replace(UNLOCKED, lock_file=Path(os.environ["LOCK_OF_TINY"]))


INSTALL = """
from tests.workers.test_managed import tiny
from toolkit.workers import managed
managed.install(tiny())
"""


def wheel(folder: Path, name: str, version: str, *needs: str) -> Path:
    """A package of one module, as an index would have it; the same bytes whenever it is made."""
    facts = f"{name}-{version}.dist-info"
    requires = "".join(f"Requires-Dist: {need}\n" for need in needs)
    contents = {
        f"{name}.py": f"__version__ = {version!r}\n",
        f"{facts}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        f"License-Expression: MIT\n{requires}",
        f"{facts}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{facts}/RECORD": "",
    }
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, content in contents.items():
            archive.writestr(zipfile.ZipInfo(file), content)
    return path


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.fixture(autouse=True)
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, and a folder of wheels in place of an index."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    wheel(wheels, "tiny", "1.1")
    files = [wheel(wheels, *pin.split("==")) for pin in PINS]
    pairs = zip(PINS, files, strict=True)
    text = "".join(f"{pin} \\\n    --hash=sha256:{sha256(file)}\n" for pin, file in pairs)
    (wheels / "lock.txt").write_text(text)
    monkeypatch.setenv("LOCK_OF_TINY", str(wheels / "lock.txt"))
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    return tmp_path


def left(shelf: Path) -> list[str]:
    """The folders among the environments, without locks."""
    return sorted(path.name for path in shelf.glob("cache/environments/[!.]*"))


def test_an_environment_is_made_once_with_all_its_pins(shelf: Path) -> None:
    made, there = managed.install(tiny())
    again, known = managed.install(tiny())

    look = "import tiny, tinier, other; print(tiny.__version__, other.__version__)"
    python = made.folder / "bin" / "python"
    said = subprocess.run([str(python), "-c", look], capture_output=True, text=True, check=True)
    assert (there, known) == (False, True)
    assert made == again
    assert said.stdout == "1.0 2.0\n"
    assert made.size > 1_000_000  # pip itself.
    assert [each.folder for each in managed.installed()] == [made.folder]


def test_another_version_replaces_every_pin_of_the_first_ones_version() -> None:
    assert tiny().at("1.1").requirements == ("tiny==1.1", "tinier==1.1", "other==2.0")
    assert tiny().at("1.1").folder != tiny().folder


def test_what_pip_refuses_is_told_in_its_words_and_leaves_nothing(shelf: Path) -> None:
    with pytest.raises(EnvironmentFault) as caught:
        managed.install(tiny().at("1.1"))  # There is no tinier 1.1.

    assert re.fullmatch(
        r"tiny@1\.1 was not installed: .*No matching distribution found for tinier==1\.1.*",
        caught.value.what,
    )
    assert left(shelf) == []
    assert managed.installed() == []


def test_no_network_is_a_clear_line_and_leaves_nothing(
    shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")

    with pytest.raises(EnvironmentFault) as caught:
        managed.install(tiny())

    assert caught.value.what.startswith("tiny@1.0 was not installed: ")
    assert "toolkit doctor" in caught.value.cures[0]
    assert left(shelf) == []


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An index that takes the call and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.delenv("PIP_FIND_LINKS")
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.getsockname()[1]}/simple")
        yield


def pips(parent: psutil.Process) -> list[psutil.Process]:
    """The processes of an installation that has come to asking the index, once somebody watches
    over them: on a busy machine the shell that does starts a moment later."""
    commands = [(one, _words(one)) for one in parent.children()]
    guarded = any(Path(words[0]).name == "sh" for _, words in commands if words)
    return [one for one, words in commands if guarded and {"pip", "install"} <= {*words}]


def _words(process: psutil.Process) -> list[str]:
    """The command of a process; none of one that has ended meanwhile."""
    try:
        words: list[str] = process.cmdline()
    except psutil.NoSuchProcess:  # Also of one whose end nobody has asked for yet.
        return []
    return words


@pytest.mark.usefixtures("silent")
def test_a_killed_installation_counts_as_nothing_and_leaves_no_process(shelf: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", INSTALL], cwd=Path.cwd()) as process:
        parent = psutil.Process(process.pid)
        command.until(lambda: bool(pips(parent)) or process.poll() is not None)
        started = parent.children(recursive=True)
        half = left(shelf)
        process.send_signal(signal.SIGKILL)
        process.wait()

    _, alive = psutil.wait_procs(started, timeout=100)
    assert alive == []
    assert half == [tiny().folder.name]
    assert managed.installed() == []
    managed.sweep()
    assert left(shelf) == []


@pytest.mark.usefixtures("silent")
def test_an_interrupted_installation_leaves_nothing(shelf: Path) -> None:
    """Nor in the folder for temporary files, which pip fills and, when it is ended, leaves so."""
    scratch = shelf / "scratch"
    scratch.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", INSTALL],
        cwd=Path.cwd(),
        env={**os.environ, "TMPDIR": str(scratch)},
        stderr=subprocess.DEVNULL,
        # A shell that starts pytest in the background has told all its children to ignore ^C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        parent = psutil.Process(process.pid)
        command.until(lambda: bool(pips(parent)) and bool([*scratch.rglob("pip-*")]))
        started = parent.children(recursive=True)
        process.send_signal(signal.SIGINT)

    _, alive = psutil.wait_procs(started, timeout=100)
    assert alive == []
    assert left(shelf) == []
    assert [*scratch.iterdir()] == []


@pytest.mark.usefixtures("silent")
def test_an_installation_at_work_is_no_rubbish(shelf: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", INSTALL], cwd=Path.cwd()) as process:
        parent = psutil.Process(process.pid)
        command.until(lambda: bool(pips(parent)))
        managed.sweep()
        during = left(shelf)
        process.kill()

    assert during == [tiny().folder.name]


def test_of_two_at_once_one_makes_it_and_the_other_finds_it() -> None:
    told = pytest.warns(cache.CacheWarning, match=r"^waiting for process \d+ \(.*\), which is at")
    with told, ThreadPoolExecutor(2) as pool:
        found = [*pool.map(managed.install, [tiny(), tiny()])]

    assert sorted(there for _, there in found) == [False, True]


def test_a_cache_that_cannot_be_written_is_a_clear_line(
    shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shelf / "file").write_text("")
    monkeypatch.setenv("TOOLKIT_CACHE", str(shelf / "file" / "cache"))

    with pytest.raises(EnvironmentFault) as caught:
        managed.install(tiny())

    assert caught.value.what == (f"the cache {shelf}/file/cache cannot be written: Not a directory")
    assert caught.value.cures == ("TOOLKIT_CACHE=FOLDER    names another folder",)


def test_a_full_disk_leaves_nothing(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest file that may be written is smaller than pip's own."""
    limited = (
        "import resource\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, {resource.RLIM_INFINITY}))\n{INSTALL}"
    )

    done = subprocess.run(
        [sys.executable, "-c", limited], cwd=Path.cwd(), capture_output=True, text=True
    )

    assert done.returncode == 1
    assert "EnvironmentFault" in done.stderr.splitlines()[-1]
    assert left(shelf) == []


def test_removing_names_what_there_is(shelf: Path) -> None:
    managed.install(tiny())

    with pytest.raises(InputError) as caught:
        managed.remove("tinny")
    gone = managed.remove("tiny")

    assert caught.value.what == "there is no environment tinny to remove; there are: tiny"
    assert [one.version for one in gone] == ["1.0"]
    assert left(shelf) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("openvin", "no runtime is called 'openvin'; there are: "),
        ("openvino@new", "'openvino@new' is not of the form NAME[@VERSION]"),
        ("torch", "torch comes with toolkit itself or with a plug-in"),
    ],
)
def test_what_cannot_be_installed_is_told(text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        recipes.parse(text)

    assert caught.value.what.startswith(said)


# Which environment a target gets


def planted(version: str, *, current: bool = True) -> Path:
    """An environment of openvino that is complete, and empty."""
    recipe = recipes.parse(f"openvino@{version}")

    def make(place: Path) -> dict[str, object]:
        (place / "bin").mkdir()
        (place / "bin" / "python").symlink_to(sys.executable)
        facts = {"name": "openvino", "runtime": "openvino", "version": version, "size": 2}
        return {**facts, "recipe": recipe.digest if current else "of an older lock"}

    cache.made(recipe.folder, make)
    return recipe.folder


def test_a_target_gets_the_newest_environment_or_the_version_that_it_names() -> None:
    older, newer = planted("2025.1.0"), planted("2026.10.0")
    listed = listing.find("openvino")

    assert managed.home(listed, "cpu").name == newer.name
    assert managed.home(listed, "cpu", "2025.1.0").name == older.name


def test_what_is_installed_beside_toolkit_comes_first_unless_another_version_is_named() -> None:
    listed = listing.find("onnxruntime")

    assert managed.home(listed, "cpu").name == environments.OWN
    with pytest.raises(EnvironmentFault) as caught:
        managed.home(listed, "cpu", "1.24.1")
    assert caught.value.what == "onnxruntime@1.24.1 is not installed"
    assert caught.value.cures[0].startswith("toolkit runtimes install onnxruntime@1.24.1 ")


def test_a_version_of_what_toolkit_brings_itself_needs_an_environment_of_the_user() -> None:
    with pytest.raises(EnvironmentFault) as caught:
        managed.home(listing.find("torch"), "cpu", "2.11.0")

    assert caught.value.cures == (
        "--target 'torch,env=FOLDER'    runs it from an environment of yours",
    )


def test_cuda_without_its_package_is_told_by_the_library_that_is_here() -> None:
    assert managed.home(listing.find("onnxruntime"), "cuda").name == environments.OWN


def test_a_provider_in_a_package_of_its_own_is_cured_by_that_package() -> None:
    with pytest.raises(EnvironmentFault) as caught:
        managed.home(listing.find("onnxruntime"), "cuda", "1.30.0")

    assert caught.value.cures[0].startswith("toolkit runtimes install onnxruntime-gpu@1.30.0 ")


def test_the_command_line_installs_shows_and_removes(shelf: Path) -> None:
    """Through the real command, with the wheels in place of the index."""
    folder = planted("2026.4.0")
    env = {"TOOLKIT_CACHE": os.environ["TOOLKIT_CACHE"]}

    was = command.run("runtimes", "install", "openvino@2026.4.0", cwd=shelf, env=env)
    gone = command.run("runtimes", "remove", "openvino@2026.4.0", cwd=shelf, env=env)
    none = command.run("runtimes", "remove", "openvino@2026.4.0", cwd=shelf, env=env)

    assert was.out == "install  openvino 2026.4.0 was there · 2\u2009bytes\n"
    assert gone.out == "remove   openvino 2026.4.0 removed · 2\u2009bytes\n"
    assert not folder.exists()
    assert (none.code, none.errors) == (
        1,
        ["error: there is no environment openvino@2026.4.0 to remove"],
    )


USING = """
import sys, time
from pathlib import Path
from toolkit.workers import cache

cache.use(Path(sys.argv[1]))
print("used", flush=True)
time.sleep(600)
"""


def test_an_environment_that_a_process_uses_is_removed_by_force_alone(shelf: Path) -> None:
    """All of the name stay, those that nobody uses too, and the process is named."""
    older, newer = planted("2026.3.0"), planted("2026.4.0")
    env = {"TOOLKIT_CACHE": os.environ["TOOLKIT_CACHE"]}
    using = [sys.executable, "-c", USING, str(older)]
    with subprocess.Popen(using, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "used\n"
            refused = command.run("runtimes", "remove", "openvino", cwd=shelf, env=env)
            there = older.exists() and newer.exists()
            (cure,) = [line for line in refused.err.splitlines() if line.startswith("  ")]
            words = cure.partition("    toolkit")[0].split("    ")[0].split()[1:]
            forced = command.run(*words, cwd=shelf, env=env)
        finally:
            process.kill()
    free = command.run("runtimes", "remove", "openvino", cwd=shelf, env=env)

    assert (refused.code, refused.out, there) == (1, "", True)
    (error,) = refused.errors
    assert error.startswith(
        f"error: openvino@2026.3.0 was not removed: process {process.pid} ({sys.executable} -c "
    )
    assert error.endswith(") uses it")
    assert words == ["runtimes", "remove", "openvino@2026.3.0", "--force"]
    assert (forced.code, older.exists(), free.code, newer.exists()) == (0, False, 0, False)
