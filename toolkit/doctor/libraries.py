"""Finds out whether numpy and torch import."""

from __future__ import annotations

from toolkit.doctor.finding import Finding, fault, ok
from toolkit.doctor.probe import EnvironmentFacts


def check(facts: EnvironmentFacts) -> list[Finding]:
    """Returns a finding about numpy, and one about torch where it is installed."""
    return [*_numpy(facts), *_torch(facts)]


def _numpy(facts: EnvironmentFacts) -> list[Finding]:
    if absent(facts, "numpy"):
        what = "numpy is not installed: toolkit can run no model here"
        return [fault("numpy", what, facts.install("numpy"))]
    return [broken(facts, "numpy") or ok("numpy", str(facts.libraries["numpy"]["version"]))]


def _torch(facts: EnvironmentFacts) -> list[Finding]:
    # In our own environment its absence is a missing requirement; elsewhere it is not needed.
    if absent(facts, "torch"):
        return []
    if (fault_of_torch := broken(facts, "torch")) is not None:
        return [fault_of_torch]
    answer = facts.libraries["torch"]
    built = f"built for CUDA {answer['cuda']}" if answer["cuda"] else "the CPU build"
    return [ok("torch", f"{answer['version']}, {built}")]


def absent(facts: EnvironmentFacts, name: str) -> bool:
    """Tells whether a library is neither installed nor left over: nothing of its name is there to
    import."""
    error = str(facts.libraries[name].get("error", ""))
    missing = error.startswith(f"ModuleNotFoundError: No module named '{name}'")
    return missing and facts.distribution(name) is None


def broken(facts: EnvironmentFacts, name: str) -> Finding | None:
    """Returns the fault of a library that is installed and does not import, or imports as an empty
    name; None where it imports."""
    answer, installed = facts.libraries[name], facts.distribution(name)
    version = f" {installed.version}" if installed else ""
    package = installed.pinned if installed else name
    cure = facts.install(f"--force-reinstall --no-deps {package}")
    if "error" in answer:
        return fault(name, f"{name}{version} cannot be imported: {answer['error']}", cure)
    if not answer["version"]:
        return fault(name, f"{name}{version} is an empty folder: its files are gone", cure)
    return None
