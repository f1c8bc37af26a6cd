"""Do numpy and torch import?"""

from __future__ import annotations

from toolkit.doctor.finding import Finding, fault, ok
from toolkit.doctor.probe import EnvironmentFacts


def check(facts: EnvironmentFacts) -> list[Finding]:
    return [*_numpy(facts), *_torch(facts)]


def _numpy(facts: EnvironmentFacts) -> list[Finding]:
    if absent(facts, "numpy"):
        return [fault("numpy", "numpy is not installed: no worker runs", facts.install("numpy"))]
    return [broken(facts, "numpy") or ok("numpy", str(facts.libraries["numpy"]["version"]))]


def _torch(facts: EnvironmentFacts) -> list[Finding]:
    # In our own environment its absence is a missing requirement; elsewhere it need not be there.
    if absent(facts, "torch"):
        return []
    fault_found = broken(facts, "torch")
    if fault_found is not None:
        return [fault_found]
    answer = facts.libraries["torch"]
    built = f"built for CUDA {answer['cuda']}" if answer["cuda"] else "the CPU build"
    return [ok("torch", f"{answer['version']}, {built}")]


def absent(facts: EnvironmentFacts, name: str) -> bool:
    """It is neither installed nor left over: there is nothing of this name to import."""
    error = str(facts.libraries[name].get("error", ""))
    missing = error.startswith(f"ModuleNotFoundError: No module named '{name}'")
    return missing and facts.distribution(name) is None


def broken(facts: EnvironmentFacts, name: str) -> Finding | None:
    """A library that is there and does not import, or imports as an empty name."""
    answer, installed = facts.libraries[name], facts.distribution(name)
    version = f" {installed.version}" if installed else ""
    wanted = installed.pinned if installed else name
    cure = facts.install(f"--force-reinstall --no-deps {wanted}")
    if "error" in answer:
        return fault(name, f"{name}{version} cannot be imported: {answer['error']}", cure)
    if not answer["version"]:
        return fault(name, f"{name}{version} is an empty folder: its files are gone", cure)
    return None
