"""Lock files: what stands in them, and that nothing else is installed."""

from __future__ import annotations

import importlib
import re
from dataclasses import replace
from pathlib import Path

import pytest

from toolkit.deployment import listing as destinations
from toolkit.deployment import python as clients
from toolkit.runtimes import listing, target
from toolkit.workers import locks, managed, pip, recipes
from toolkit.workers.locks import Lock

RECIPES = recipes.known()
OF_PIP = [name for name, r in RECIPES.items() if listing.find(r.runtime).language == "python"]
PARTIAL = [
    name
    for name in destinations.NAMES
    if hasattr(importlib.import_module(f"toolkit.deployment.destinations.{name}"), "NEEDED")
]

EXAMPLE = """\
# Compiled by somebody.
Big_Package==1.0 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via -r -
small==2.0.post1 ; python_full_version < '3.0' \\
    --hash=sha256:cc
    # via big-package, -r -
"""


def test_a_lock_says_what_is_installed_here_with_which_hashes_and_for_whom() -> None:
    lock = Lock(EXAMPLE)
    big, small = lock.packages

    assert (big.name, big.version, big.sha256) == ("big-package", "1.0", ("aa", "bb"))
    assert (small.version, small.marker) == ("2.0.post1", 'python_full_version < "3.0"')
    assert (big.needed_by, small.needed_by) == ((), ("big-package",))
    assert lock.here == (big,)


def test_a_lock_is_another_one_with_another_hash_and_not_with_another_comment() -> None:
    commented = Lock(EXAMPLE.replace("somebody", "somebody else").replace("via -r -", "needed"))
    tampered = Lock(EXAMPLE.replace("sha256:bb", "sha256:bd"))

    assert commented.digest == Lock(EXAMPLE).digest
    assert tampered.digest != Lock(EXAMPLE).digest


@pytest.mark.parametrize("name", OF_PIP)
def test_the_lock_of_a_runtime_is_of_todays_pins_and_hashes_all_but_torch(name: str) -> None:
    """Compiled anew by `make locks` after the pins change."""
    recipe = RECIPES[name]
    assert recipe.lock is not None
    pins, unhashed, _ = locks.split(recipe.requirements)
    locked = {package.name: package.version for package in recipe.lock.here}

    assert {locks.name_of(pin): recipes.pin(pin)["version"] for pin in pins}.items() <= (
        locked.items()
    )
    assert "torch" not in {package.name for package in recipe.lock.packages}
    assert [locks.name_of(pin) for pin in unhashed] in ([], ["torch"])
    assert all(package.sha256 for package in recipe.lock.packages)
    assert "://" not in recipe.lock.text
    hashes = [digest for package in recipe.lock.packages for digest in package.sha256]
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in hashes)
    # Rule M2 is that of the pins; this holds what they bring along.
    head = [line.removeprefix("#   ") for line in recipe.lock.text.splitlines()]
    assert {*recipe.requirements} <= {*head}


@pytest.mark.parametrize("name", PARTIAL)
def test_the_lock_of_a_client_is_a_part_of_its_runtimes(name: str) -> None:
    module = importlib.import_module(f"toolkit.deployment.destinations.{name}")
    recipe = RECIPES[target.parse(module.DESTINATION.form).runtime]
    assert recipe.lock is not None
    whole = {(package.name, package.version) for package in recipe.lock.packages}

    lock = locks.read(clients.LOCKS / f"{name}.txt")

    assert {locks.canonical(need) for need in module.NEEDED} - {"torch"} <= {
        package.name for package in lock.here
    }
    # litert's own lock names what is used alone; its client is resolved, and needs no more.
    assert {(package.name, package.version) for package in lock.here} <= whole


def test_an_environment_is_named_by_its_lock(tmp_path: Path) -> None:
    """Another hash in it, another environment; another comment, the same."""
    recipe = RECIPES["openvino"]
    assert recipe.lock is not None
    commented, tampered = tmp_path / "commented.txt", tmp_path / "tampered.txt"
    commented.write_text("# a comment\n" + recipe.lock.text)
    digest = recipe.lock.packages[0].sha256[0]
    tampered.write_text(recipe.lock.text.replace(digest, "0" * 64))

    assert replace(recipe, lock_file=commented).folder == recipe.folder
    assert replace(recipe, lock_file=tampered).folder != recipe.folder
    assert recipe.at("2025.1.0").lock is None
    assert recipe.at(recipe.version) == recipe


def test_the_lock_of_javascript_is_npms() -> None:
    recipe = RECIPES["onnxruntime-node"]

    assert recipe.lock is not None
    assert '"integrity"' in recipe.lock.text


def test_one_package_can_be_taken_out_of_a_lock_with_all_its_hashes() -> None:
    lock = RECIPES["onnxruntime"].lock
    assert lock is not None
    (package,) = (package for package in lock.packages if package.name == "onnxruntime")

    (alone,) = locks.alone(lock, "onnxruntime").packages

    assert (alone.version, alone.sha256) == (package.version, package.sha256)


def test_the_words_of_pip_about_a_wrong_hash_become_one_line_with_a_cure() -> None:
    said = (
        "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have "
        "updated the package versions, please update the hashes.\n"
        "    tiny==1.0 from file:///x/tiny-1.0-py3-none-any.whl (from -r lock (line 1)):\n"
        "        Expected sha256 00\n             Got        11\n"
    )

    fault = pip._fault(said)

    assert fault.what == "the file of tiny==1.0 has none of the lock's hashes"
    assert fault.cures[0].startswith("pip config list ")


@pytest.mark.process
@pytest.mark.slow
def test_a_real_environment_is_made_of_its_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the index that pip has here: one with a lock, and one in a version without."""
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path))
    locked, older = RECIPES["tract"], RECIPES["tract"].at("0.23.8")
    assert locked.lock is not None

    made, _ = managed.install(locked)
    resolved, _ = managed.install(older)

    allowed = {f"sha256:{d}" for package in locked.lock.here for d in package.sha256}
    assert {package.digest for package in made.packages} <= allowed
    assert {p.name for p in made.packages} == {p.name for p in locked.lock.here}
    record = locks.read(resolved.folder / locks.FILE)
    assert resolved.lock == record.digest
    assert ("tract", "0.23.8") in {(package.name, package.version) for package in record.here}
