"""Proves a folder: its client is run from a copy, and its outputs get a verdict by the same judge,
in the same precision classes, as the answers of any target."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from toolkit.answers.formats import RANK
from toolkit.answers.verdict import Limits
from toolkit.deployment import datasets
from toolkit.deployment.base import MODEL, ClientRun, Destination, MakePython, Payload, Workspace
from toolkit.deployment.chromium import Sandbox
from toolkit.deployment.proof import FolderProof, Outcome
from toolkit.engine.assignment import Assignment
from toolkit.errors import EnvironmentFault, TargetError
from toolkit.onnxfiles import filestates
from toolkit.onnxfiles.filestates import FileState

UNTOLD = (
    "--inputs FOLDER    samples of your own may tell more; --accept undecided takes it as it is"
)


def workspace(
    folder: Path,
    payload: Payload,
    assignment: Assignment,
    scratch: Path,
    make_python: MakePython,
    sandbox: Sandbox,
) -> Workspace:
    """Copies a packed folder into `scratch`, with every feed of the assignment as its test data.

    The model is not copied, since it may have gigabytes: the copy has a link to its folder. A link
    to the folder, not to files: ONNX Runtime takes no external data that lies outside it.
    """
    copy = scratch / "copy"
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns(MODEL))
    (copy / MODEL).symlink_to((folder / MODEL).resolve(), target_is_directory=True)
    whole = replace(payload, sets=datasets.of_feeds(assignment))
    datasets.write(whole, copy)
    return Workspace(copy, scratch, whole, make_python, sandbox)


def prove(
    destination: Destination, workspace: Workspace, assignment: Assignment, limits: Limits
) -> FolderProof:
    """Runs the client of a workspace on all feeds of the assignment, and judges its outputs.

    A client that cannot be run or fails is an outcome of the proof; nothing is raised for it.
    """
    names = tuple(dict.fromkeys(feed.name for feed in assignment.feeds))
    model = _states(workspace)
    try:
        run = destination.run(workspace)
    except EnvironmentFault as error:
        what = _without_scratch(error.what, workspace)
        return FolderProof("not made", names, what=what, cures=error.cures)
    except TargetError as error:
        what = _without_scratch(error.what, workspace)
        return FolderProof("failed", names, what=what, cures=error.cures)
    if _states(workspace) != model:
        what = (
            f"the client wrote into its folder {MODEL}/, which is the model that would be shipped"
        )
        return FolderProof("failed", names, versions=run.versions, where=run.where, what=what)
    if reason := _broken_rule(run, workspace, assignment):
        return FolderProof("failed", names, versions=run.versions, where=run.where, what=reason)
    return _judged(destination, run, assignment, limits)


def _states(workspace: Workspace) -> list[FileState]:
    """Looks at the files of the model, which the client shares with the folder that was made."""
    files = sorted((workspace.copy / MODEL).rglob("*"))
    return [filestates.of(file) for file in files if file.is_file()]


def _without_scratch(text: str, workspace: Workspace) -> str:
    """Removes the paths of scratch folders: the text will stand in the folder's README (D1)."""
    made = (workspace.copy / MODEL).resolve().parent
    return text.replace(f"{workspace.scratch}/", "").replace(f"{made}/", "")


def _broken_rule(run: ClientRun, workspace: Workspace, assignment: Assignment) -> str:
    """Returns in one line which rule a client broke that ran to its end; empty: none."""
    if files := _files(workspace.home):
        return (
            f"the client left {files[0]} in its user's home, where it must leave nothing: "
            "libraries that report usage do"
        )
    refused = [run.refused[number] for number in assignment.cases if number in run.refused]
    if refused:
        return f"the client refuses the size that was asked for: {refused[0]}"
    return ""


def _files(folder: Path) -> list[str]:
    return [str(file.relative_to(folder)) for file in sorted(folder.rglob("*")) if file.is_file()]


def _judged(
    destination: Destination, run: ClientRun, assignment: Assignment, limits: Limits
) -> FolderProof:
    """Judges the outputs at the sizes that the client takes."""
    taken = [number for number in range(len(assignment.feeds)) if number not in run.refused]
    # The coarser of the two: a float16 file cannot be held to the float32 of its runtime.
    declared = max(destination.precision, assignment.declared, key=lambda name: RANK[name])
    answers = [run.outputs[number] for number in taken]
    verdict = assignment.judge.of(taken).verdict(answers, declared, limits)
    outcome: Outcome = "not right" if verdict.refuted else "right" if verdict.right else "not shown"
    return FolderProof(
        outcome,
        tuple(dict.fromkeys(assignment.feeds[number].name for number in taken)),
        verdict,
        run.versions,
        run.where,
        verdict.reason,
        cures=(UNTOLD,) if outcome == "not shown" else (),
        refused={assignment.feeds[number].name: why for number, why in run.refused.items()},
    )
