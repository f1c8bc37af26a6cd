"""Installing from locks: what is compared, what is recorded, and what is removed."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests import command
from tests.workers import test_managed
from tests.workers.test_managed import UNLOCKED, left, planted, sha256, tiny, wheel
from toolkit import sbom
from toolkit.errors import EnvironmentFault
from toolkit.pipelines import installing, inventory
from toolkit.runtimes import listing
from toolkit.workers import cache, locks, managed

pytestmark = pytest.mark.process

shelf = test_managed.shelf

USER = """
import sys
from toolkit.runtimes import listing
from toolkit.workers import managed
print(managed.home(listing.find("openvino"), "cpu").name, flush=True)
sys.stdin.read()
"""


def test_a_file_that_is_not_the_locks_is_refused_and_leaves_nothing(shelf: Path) -> None:
    lock = shelf / "wheels" / "lock.txt"
    original = sha256(shelf / "wheels" / "tinier-1.0-py3-none-any.whl")
    lock.write_text(lock.read_text().replace(original, "0" * 64))

    with pytest.raises(EnvironmentFault) as caught:
        managed.install(tiny())

    assert caught.value.what == (
        "tiny@1.0 was not installed: the file of tinier==1.0 has none of the lock's hashes"
    )
    assert caught.value.cures[0].startswith("pip config list ")
    assert left(shelf) == []


def test_a_lock_without_hashes_is_refused(shelf: Path) -> None:
    """pip would take it for a plain list of requirements."""
    (shelf / "wheels" / "lock.txt").write_text("tiny==1.0\ntinier==1.0\nother==2.0\n")

    with pytest.raises(EnvironmentFault, match="Hashes are required in --require-hashes mode"):
        managed.install(tiny())

    assert left(shelf) == []


def test_a_version_without_a_lock_is_resolved_and_its_resolution_kept(shelf: Path) -> None:
    made, _ = managed.install(UNLOCKED)

    record = locks.read(made.folder / locks.FILE)
    hashes = {package.name: package.sha256 for package in record.packages}
    assert made.lock == record.digest
    assert hashes == {
        name: (sha256(next((shelf / "wheels").glob(f"{name}-{version}-*"))),)
        for name, version in (("other", "2.0"), ("tinier", "1.0"), ("tiny", "1.0"))
    }
    assert all(package.was_hashed for package in made.packages)


@pytest.fixture
def with_torch(shelf: Path) -> managed.Installed:
    """An environment with a torch that needs, besides what the lock has, a library of its own."""
    wheels = shelf / "wheels"
    wheel(wheels, "torch", "2.0", "other", "cudalib==3.0", "absent; extra == 'all'")
    wheel(wheels, "cudalib", "3.0")
    return managed.install(replace(tiny(), requirements=("tiny==1.0", "torch==2.0")))[0]


def test_what_has_no_hash_is_recorded_and_marked_in_the_bill(with_torch: managed.Installed) -> None:
    compared = {package.name: package.was_hashed for package in with_torch.packages}
    bill = sbom.write("tiny", "1.0", inventory.entries(with_torch))

    assert compared == {
        "cudalib": False,
        "other": True,
        "tinier": True,
        "tiny": True,
        "torch": False,
    }
    assert with_torch.unhashed == ["cudalib==3.0", "torch==2.0"]
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill) is None
    components = {row["name"]: row for row in json.loads(bill)["components"]}
    assert components["tiny"]["licenses"] == [{"license": {"id": "MIT"}}]
    marked = {name for name, row in components.items() if "properties" in row}
    assert marked == {"torch", "cudalib"}
    assert components["torch"]["properties"] == [{"name": sbom.UNHASHED, "value": "true"}]
    digests = {f"sha256:{row['hashes'][0]['content']}" for row in components.values()}
    assert digests == {package.digest for package in with_torch.packages}
    needs = {row["ref"]: row.get("dependsOn", []) for row in json.loads(bill)["dependencies"]}
    assert needs["pypi:torch@2.0"] == ["pypi:cudalib@3.0", "pypi:other@2.0"]
    assert sbom.write("tiny", "1.0", inventory.entries(with_torch)) == bill


def test_the_next_installation_removes_what_is_of_an_older_lock(shelf: Path) -> None:
    older, today = planted("2026.3.0", current=False), planted("2026.4.0")

    removed = installing.install([], lambda installed, was_there: None, lambda share, text: None)

    assert [each.folder for each in removed] == [older]
    assert left(shelf) == [today.name]


def test_an_environment_in_which_a_process_runs_stays_until_it_ends(shelf: Path) -> None:
    folder = planted("2026.4.0")
    with subprocess.Popen(
        [sys.executable, "-c", USER],
        cwd=Path.cwd(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as user:
        assert user.stdout is not None
        name = user.stdout.readline().strip()
        facts = cache.facts(folder)
        assert facts is not None
        (folder / cache.MARK).write_text(json.dumps({**facts, "recipe": "of an older lock"}))
        while_used = managed.prune()
        user.kill()

    assert name == folder.name
    assert while_used == []
    assert [each.folder for each in managed.prune()] == [folder]


def test_an_environment_of_an_older_lock_is_as_good_as_none(shelf: Path) -> None:
    planted("2026.4.0", current=False)

    with pytest.raises(EnvironmentFault) as caught:
        managed.home(listing.find("openvino"), "cpu")

    assert caught.value.what == "openvino is installed from an older lock, with other packages"
    assert caught.value.cures[0].startswith("toolkit runtimes install openvino ")


def test_the_cache_says_what_it_takes(shelf: Path) -> None:
    planted("2026.3.0", current=False)
    planted("2026.4.0")
    cache.made(managed.conversions() / "mnn-1", lambda empty: {"seconds": 1.0, "size": 7})

    assert managed.sizes() == managed.CacheSizes(environments=4, older=2, conversions=7)


def test_a_bill_is_written_for_what_is_installed_alone(shelf: Path) -> None:
    planted("2026.4.0", current=False)

    done = command.run("runtimes", "sbom", "openvino", cwd=shelf)

    assert done.code == 1
    assert done.errors == ["error: openvino is not installed"]
    assert "toolkit runtimes install openvino" in done.err
