"""Finds out which onnxruntime is installed, and whether it is whole.

The packages onnxruntime, onnxruntime-gpu, -openvino, -webgpu … all own the folder `onnxruntime`.
Each overwrites the files of the one before, pip finds no fault with that, and uninstalling either
takes shared files away: `import onnxruntime` then gives a name without anything in it.
"""

from __future__ import annotations

import shlex

from toolkit.doctor.finding import Finding, fault, note, ok
from toolkit.doctor.probe import Distribution, EnvironmentFacts
from toolkit.doctor.requirements import numbers

TOPIC = "onnxruntime"
OLDEST = "1.24"
"""The first version that reports which provider ran each node. Without that report a silent
fallback to the CPU would not be seen."""
SHORT = {"CPUExecutionProvider": "cpu", "CUDAExecutionProvider": "cuda"}


def check(facts: EnvironmentFacts) -> list[Finding]:
    """Returns one finding about the packages that own the folder onnxruntime."""
    owners = facts.owners
    if len(owners) > 1:
        return [_several(facts)]
    if not owners:
        return [_none(facts)]
    return [_one(facts, owners[0])]


def _none(facts: EnvironmentFacts) -> Finding:
    cures = (
        facts.install("onnxruntime") + "    the CPU build",
        facts.install("'onnxruntime-gpu[cuda,cudnn]'") + "    the GPU build, 2.5 GB; never both",
    )
    if facts.onnxruntime is not None:
        what = "no package owns the folder onnxruntime: it is what an uninstall left"
        return fault(TOPIC, what, *cures)
    what = "not installed: toolkit export cannot prove a file's numbers, and no file is timed on it"
    return note(TOPIC, what, *cures)


def _several(facts: EnvironmentFacts) -> Finding:
    owners = sorted(facts.owners, key=lambda owner: owner.name)
    names = [owner.name for owner in owners]
    listed = " and ".join(f"{owner.name} {owner.version}" for owner in owners)
    what = f"{len(owners)} packages own the folder onnxruntime: {listed}; {winner(facts)}"
    cures = [facts.replace(names, whole(o)) + f"    keeps {o.name}" for o in _latest_first(facts)]
    return fault(TOPIC, what, *cures)


def _latest_first(facts: EnvironmentFacts) -> list[Distribution]:
    """Returns the owners, first the one whose files lie in the folder."""
    built = _built(facts)[0]
    return sorted(facts.owners, key=lambda owner: (owner.name != built, owner.name))


def _one(facts: EnvironmentFacts, owner: Distribution) -> Finding:
    if not facts.libraries[TOPIC].get("version"):
        return _damaged(facts, owner)
    name, version = _built(facts)
    if name and (name, version) != (owner.name, owner.version):
        what = f"the package is {owner.name} {owner.version}, its files are {name} {version}'s"
        return fault(TOPIC, what, facts.replace([owner.name], whole(owner)))
    if numbers(owner.version) < numbers(OLDEST):
        package = f"{owner.name} {owner.version}"
        what = f"{package} is too old: it does not tell which provider ran each node"
        return fault(TOPIC, what, facts.install(f"--upgrade '{owner.name}>={OLDEST}'"))
    providers = facts.libraries[TOPIC]["providers"]
    built = ", ".join(SHORT.get(name, name.removesuffix("ExecutionProvider")) for name in providers)
    return ok(TOPIC, f"{owner.name} {owner.version}, built with {built}")


def _damaged(facts: EnvironmentFacts, owner: Distribution) -> Finding:
    """Returns the fault of a package that is listed and does not import, or imports as a name
    without anything in it."""
    package = f"{owner.name} {owner.version}"
    cure = facts.install(f"--force-reinstall --no-deps {owner.pinned}")
    if facts.onnxruntime is None or facts.onnxruntime.empty:
        why = "its files are gone, as when another onnxruntime package is uninstalled"
        return fault(TOPIC, f"{package} is listed, but {why}", cure)
    error = facts.libraries[TOPIC].get("error", "it has no version")
    if "error" in facts.libraries["numpy"]:
        cure = facts.install("--force-reinstall --no-deps numpy") + "    mend numpy first"
    return fault(TOPIC, f"{package} cannot be imported: {error}", cure)


def winner(facts: EnvironmentFacts) -> str:
    """Says whose files lie in the folder, by the build's own note in it, else by their sizes."""
    if facts.onnxruntime is None or facts.onnxruntime.empty:
        return "their files are gone"
    name, version = _built(facts)
    matching = [owner for owner in facts.owners if owner.present]
    if name and (not matching or name in [owner.name for owner in matching]):
        return f"the files are those of {name} {version}"
    if len(matching) == 1:
        return f"the files are those of {matching[0].name} {matching[0].version}"
    return "the files are mixed"


def _built(facts: EnvironmentFacts) -> tuple[str, str]:
    """Returns the name and version that the build wrote into the folder; empty: it did not."""
    built = facts.onnxruntime.built if facts.onnxruntime else {}
    return built.get("package_name", ""), built.get("__version__", "")


def whole(owner: Distribution) -> str:
    """Returns what to give pip for this package, with the libraries that it needs."""
    if owner.name == "onnxruntime-gpu":
        return shlex.quote(f"onnxruntime-gpu[cuda,cudnn]=={owner.version}")
    return owner.pinned
