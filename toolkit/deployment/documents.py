"""What a folder says of itself: README.md, LICENCES.md and deploy.json."""

from __future__ import annotations

import json
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from toolkit import __version__, units
from toolkit.deployment.base import MODEL, ONNX, Destination, Parcel

if TYPE_CHECKING:
    from toolkit.deployment.proving import FolderProof

README = "README.md"
LICENCES = "LICENCES.md"
RECORD = "deploy.json"
VERSION = 1
"""Of deploy.json."""

FRAME = """\
# $model for $title

$proof

$run
## The model
| | name | type and shape |
|---|---|---|
$tensors

A dimension with a name may have any size$limit. `$file`$made $operators, opset $opset,
sha256 `$sha256`.

## What is in here
| file | size | what it is |
|---|---|---|
$files

Its licences stand in [LICENCES.md](LICENCES.md). Nothing here needs a network once what it requires
is installed, and nothing reports to anybody.
"""


def write(
    destination: Destination, parcel: Parcel, proof: FolderProof, folder: Path, part: str
) -> None:
    """README.md and deploy.json, when the proof is known. `part`: how the client is run."""
    sizes = {
        str(file.relative_to(folder)): file.stat().st_size
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name not in (README, RECORD)
    }
    (folder / README).write_text(_readme(destination, parcel, proof, sizes, part), "utf-8")
    text = json.dumps(_record(destination, parcel, proof, sizes), indent=2, ensure_ascii=False)
    (folder / RECORD).write_text(text + "\n", "utf-8")


# A client is made to be taken into another product: nothing is asked for it.
FREE = (
    "## The client: Zero-Clause BSD",
    "",
    "Permission to use, copy, modify, and/or distribute this software for any purpose with or",
    "without fee is hereby granted.",
    "",
    'THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES WITH REGARD TO',
    "THIS SOFTWARE INCLUDING ALL IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS. IN NO",
    "EVENT SHALL THE AUTHOR BE LIABLE FOR ANY SPECIAL, DIRECT, INDIRECT, OR CONSEQUENTIAL",
    "DAMAGES OR ANY DAMAGES WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER",
    "IN AN ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF OR IN",
    "CONNECTION WITH THE USE OR PERFORMANCE OF THIS SOFTWARE.",
)


def licences(destination: Destination, parcel: Parcel) -> str:
    """LICENCES.md."""
    rows = [
        f"| {one.what} | {one.licence} | {'in this folder' if one.inside else 'installed'} |"
        for one in destination.licences()
    ]
    return "\n".join(
        [
            "# Licences",
            "",
            "| what | licence | where |",
            "|---|---|---|",
            f"| the model, made from {parcel.file.name} | its owner's; toolkit does not know it |"
            " in this folder |",
            "| the client, by toolkit | 0BSD, below | in this folder |",
            *rows,
            "",
            *FREE,
            "",
        ]
    )


def _readme(
    destination: Destination, parcel: Parcel, proof: FolderProof, sizes: dict[str, int], part: str
) -> str:
    file = parcel.file
    specs = [("input", spec) for spec in file.inputs] + [("output", spec) for spec in file.outputs]
    counts = ", ".join(f"{n} {name}" if n > 1 else name for name, n in file.operators.items())
    return Template(FRAME).substitute(
        model=file.path.stem,
        title=destination.title,
        proof=_proof(destination, proof),
        run=part,
        tensors="\n".join(
            f"| {role} | {_cell(s.name)} | {_cell(_shape(str(s), s.name))} |" for role, s in specs
        ),
        limit=""
        if parcel.converted is None
        else " that the client takes: it says which it refuses",
        file=ONNX if parcel.converted is None else f"{MODEL}/",
        made="," if parcel.converted is None else f" was made from {_cell(file.name)}:",
        operators=counts,
        opset=file.opset,
        sha256=file.sha256,
        files="\n".join(_files(destination, sizes)),
    )


def _cell(text: str) -> str:
    """A name of the file's in a table: it may hold any character."""
    return f"`{text.translate({ord('|'): '¦', ord('`'): chr(39), 10: ' ', 13: ' '})}`"


def _shape(text: str, name: str) -> str:
    """'float32[batch,64]' of 'input:float32[batch,64]'."""
    return text.removeprefix(f"{name}:")


def _files(destination: Destination, sizes: dict[str, int]) -> list[str]:
    """The files that a reader should know first, then the rest by folders."""
    known = {f"{MODEL}/": "the model", **destination.files}
    rows = []
    for name, what in known.items():
        inside = [size for file, size in sizes.items() if file == name or _below(file, name)]
        if inside:
            rows.append(f"| `{name}` | {units.size(sum(inside))} | {what} |")
    data = [size for file, size in sizes.items() if file.startswith("test_data_set_")]
    rows.append(f"| `test_data_set_…/` | {units.size(sum(data))} | inputs, and what is right |")
    rest = [
        (file, size)
        for file, size in sizes.items()
        if file != LICENCES
        and not file.startswith("test_data_set_")
        and not any(file == name or _below(file, name) for name in known)
    ]
    rows += [f"| `{file}` | {units.size(size)} | belongs to the above |" for file, size in rest]
    return rows


def _below(file: str, folder: str) -> bool:
    return folder.endswith("/") and file.startswith(folder)


def _proof(destination: Destination, proof: FolderProof) -> str:
    """Two or three sentences that say what was run, and what came of it."""
    if proof.outcome == "not made":
        return f"**Not proven.** The client was not run: {proof.what}."
    if proof.outcome == "failed":
        return f"**Not to be used.** When it was tried, {proof.what}."
    verdict = proof.verdict
    assert verdict is not None
    told = ", ".join(f"{name} {version}" for name, version in proof.versions.items())
    ran = (
        f"The client was run from a copy of this folder {proof.where} ({told}) at "
        f"{' · '.join(proof.feeds)}, and its outputs were judged against {verdict.oracle}"
    )
    if proof.outcome == "not right":
        return f"**Not to be used.** {ran}: {verdict.text}, {proof.what}."
    evidence = "; ".join(f"`{one.output}`: {one.evidence}" for one in verdict.outputs)
    silent = verdict.text == "these feeds cannot tell"
    worth = "Proven, as far as these feeds can tell" if silent else f"Proven: {verdict.text}"
    return f"**{worth}.** {ran}. {evidence}.{_refused(proof)}"


def _refused(proof: FolderProof) -> str:
    """The sizes that the client does not take, each with its reason."""
    if not proof.refused:
        return ""
    told = "; ".join(f"{name} ({why})" for name, why in proof.refused.items())
    return f" It refuses sizes that the model itself takes: {told}."


def _record(
    destination: Destination, parcel: Parcel, proof: FolderProof, sizes: dict[str, int]
) -> dict[str, Any]:
    file = parcel.file
    return {
        "version": VERSION,
        "toolkit": __version__,
        "target": destination.name,
        "model": {
            "file": ONNX if parcel.converted is None else f"{MODEL}/",
            "made_from": file.name,
            "sha256": file.sha256,
            "size": file.size,
            "opset": file.opset,
            "operators": dict(file.operators),
            "inputs": [str(spec) for spec in file.inputs],
            "outputs": [str(spec) for spec in file.outputs],
        },
        "files": sizes,
        "size": sum(sizes.values()),
        "licences": [
            {"what": one.what, "licence": one.licence, "inside": one.inside}
            for one in destination.licences()
        ],
        "proof": proof_record(proof),
    }


def proof_record(proof: FolderProof) -> dict[str, Any]:
    """The proof as strict JSON."""
    verdict = proof.verdict
    return {
        "outcome": proof.outcome,
        "what": proof.what,
        "feeds": list(proof.feeds),
        "refused": dict(proof.refused),
        "where": proof.where,
        "versions": dict(proof.versions),
        "verdict": None
        if verdict is None
        else {
            "text": verdict.text,
            "right": verdict.right,
            "declared": verdict.declared,
            "oracle": verdict.oracle,
            "outputs": [
                {
                    "output": one.output,
                    "names": list(one.names),
                    "evidence": one.evidence,
                    "elements": one.elements,
                    "factor": one.factor,
                    "max_abs": one.max_abs,
                    "rms": one.rms,
                }
                for one in verdict.outputs
            ],
        },
    }
