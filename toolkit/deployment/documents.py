"""Writes the documents of a folder: README.md, LICENCES.md and deploy.json."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from string import Template
from typing import Any

from toolkit import __version__, units
from toolkit.answers.verdict import Verdict
from toolkit.deployment import datasets, inventory
from toolkit.deployment.base import MODEL, ONNX, TEMPLATES, Destination, Payload
from toolkit.deployment.proof import FolderProof
from toolkit.deployment.signing import SIGNATURE
from toolkit.plaintext import code, json_text, markdown
from toolkit.records import privacy
from toolkit.tensors import TensorSpec

README = "README.md"
LICENCES = "LICENCES.md"
RECORD = "deploy.json"
VERSION = 1
"""The version of deploy.json's shape."""

FRAME = """\
# $model for $title

$proof

$run
## The model
| | name | type and shape |
|---|---|---|
$tensors

A dimension with a name may have any size$limit. `$file` $origin the operators $operators
in opset $opset; its sha256 is `$sha256`.

## What is in here
| file | size | what it is |
|---|---|---|
$files

Its licences stand in [LICENCES.md](LICENCES.md), its packages with their hashes in
[sbom.cdx.json](sbom.cdx.json), for tools that read CycloneDX. Nothing here needs a network once
what it requires is installed, and nothing reports to anybody.
$signed"""
SIGNED = f"""
All these files are signed in `{SIGNATURE}`, in the format of OpenSSF's model-signing. Either of
these says of a copy whether a file was changed, added or removed; ask before you use it:

```sh
toolkit check FOLDER --verify PUBLIC_KEY
model_signing verify key FOLDER --signature FOLDER/{SIGNATURE} --public_key PUBLIC_KEY
```
"""
"""What the README of a signed folder says of that."""


def write(
    destination: Destination,
    payload: Payload,
    proof: FolderProof,
    folder: Path,
    *,
    is_signed: bool = False,
) -> None:
    """Writes README.md and deploy.json into a packed folder whose proof is known; `is_signed` says
    that a signature will come to lie in it. Whoever named a folder of this machine in the proof,
    they do not (D1)."""
    proof = _without_paths(proof)
    sizes = {
        str(file.relative_to(folder)): file.stat().st_size
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name not in (README, RECORD)
    }
    (folder / README).write_text(_readme(destination, payload, proof, sizes, is_signed), "utf-8")
    text = json.dumps(_record(destination, payload, proof, sizes), indent=2, ensure_ascii=False)
    (folder / RECORD).write_text(json_text(text) + "\n", "utf-8")


def _without_paths(proof: FolderProof) -> FolderProof:
    """The proof as a folder tells it to others."""
    return replace(
        proof,
        what=privacy.without_paths(proof.what),
        where=privacy.without_paths(proof.where),
        refused={name: privacy.without_paths(why) for name, why in proof.refused.items()},
        feeds=tuple(map(privacy.without_paths, proof.feeds)),
    )


def usage(destination: Destination) -> str:
    """Returns the README's part on how the client is run, from the destination's own template."""
    return (TEMPLATES / destination.templates[-1] / README).read_text("utf-8")


# A client is made to be taken into another product, so its licence asks for nothing, not even to be
# named. The text is that of SPDX's 0BSD.
CLIENT_LICENCE = (
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


def licences(destination: Destination, payload: Payload) -> str:
    """Returns the text of LICENCES.md."""
    rows = [
        f"| {part.what} | {part.licence} | {'in this folder' if part.inside else 'installed'} |"
        for part in destination.licences()
    ]
    return "\n".join(
        [
            "# Licences",
            "",
            "| what | licence | where |",
            "|---|---|---|",
            f"| the model, made from {code(payload.file.name)} | its owner's; toolkit does not know"
            " it |"
            " in this folder |",
            "| the client, by toolkit | 0BSD, below | in this folder |",
            *rows,
            "",
            *CLIENT_LICENCE,
            "",
        ]
    )


def _readme(
    destination: Destination,
    payload: Payload,
    proof: FolderProof,
    sizes: dict[str, int],
    is_signed: bool,
) -> str:
    file = payload.file
    counts = ", ".join(f"{n} {name}" if n > 1 else name for name, n in file.operators.items())
    is_onnx = payload.converted is None
    rows = [_tensor_row("input", spec) for spec in file.inputs]
    rows += [_tensor_row("output", spec) for spec in file.outputs]
    return Template(FRAME).substitute(
        model=markdown(file.path.stem),
        title=destination.title,
        proof=_proof(proof) + (f"\n\n{code(file.unproven)}" if file.unproven else ""),
        run=usage(destination),
        tensors="\n".join(rows),
        limit="" if is_onnx else " that the client takes: it says which it refuses",
        file=ONNX if is_onnx else f"{MODEL}/",
        origin="has" if is_onnx else f"was made from {code(file.name)}, which has",
        operators=markdown(counts),
        opset=file.opset,
        sha256=file.sha256,
        files="\n".join(_file_rows(destination, sizes)),
        signed=SIGNED if is_signed else "",
    )


def _tensor_row(role: str, spec: TensorSpec) -> str:
    type_and_shape = str(spec).removeprefix(f"{spec.name}:")
    return f"| {role} | {code(spec.name)} | {code(type_and_shape)} |"


def _file_rows(destination: Destination, sizes: dict[str, int]) -> list[str]:
    """Returns the table's rows: first the files that a reader should know, then all others."""
    known = {f"{MODEL}/": "the model", **destination.files}
    rows = []
    for name, what in known.items():
        inside = [size for file, size in sizes.items() if file == name or _below(file, name)]
        if inside:
            rows.append(f"| `{name}` | {units.size(sum(inside))} | {what} |")
    data = [size for file, size in sizes.items() if file.startswith(datasets.PREFIX)]
    rows.append(
        f"| `{datasets.PREFIX}…/` | {units.size(sum(data))} | inputs, and the right outputs |"
    )
    rest = [
        (file, size)
        for file, size in sizes.items()
        if file not in (LICENCES, inventory.FILE)
        and not file.startswith(datasets.PREFIX)
        and not any(file == name or _below(file, name) for name in known)
    ]
    rows += [f"| {code(file)} | {units.size(size)} | belongs to the above |" for file, size in rest]
    return rows


def _below(file: str, folder: str) -> bool:
    return folder.endswith("/") and file.startswith(folder)


def _proof(proof: FolderProof) -> str:
    """Returns two or three sentences on what was run and what came of it."""
    if proof.outcome == "not made":
        return f"**Not proven.** The client was not run: {markdown(proof.what)}."
    if proof.outcome == "failed":
        return f"**Not to be used.** When it was tried, {markdown(proof.what)}."
    verdict = proof.verdict
    assert verdict is not None
    versions = ", ".join(f"{name} {version}" for name, version in proof.versions.items())
    test = markdown(
        f"The client was run from a copy of this folder {proof.where} ({versions}) at "
        f"{' · '.join(proof.feeds)}, and its outputs were judged against {verdict.oracle}"
    )
    if proof.outcome == "not shown":
        return f"**Not proven.** {test}, which cannot tell: {markdown(proof.what)}."
    if proof.outcome == "not right":
        return f"**Not to be used.** {test}: {markdown(f'{verdict.text}, {proof.what}')}."
    evidence = "; ".join(
        f"{code(output.output)}: {markdown(output.evidence)}" for output in verdict.outputs
    )
    return f"**Proven: {markdown(verdict.text)}.** {test}. {evidence}.{_refused(proof)}"


def _refused(proof: FolderProof) -> str:
    """Returns a sentence on the sizes that the client does not take, each with its reason."""
    if not proof.refused:
        return ""
    sizes = "; ".join(f"{name} ({why})" for name, why in proof.refused.items())
    return f" It refuses sizes that the model itself takes: {markdown(sizes)}."


def _record(
    destination: Destination, payload: Payload, proof: FolderProof, sizes: dict[str, int]
) -> dict[str, Any]:
    file = payload.file
    return {
        "version": VERSION,
        "toolkit": __version__,
        "target": destination.name,
        "model": {
            "file": ONNX if payload.converted is None else f"{MODEL}/",
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
            {"what": part.what, "licence": part.licence, "inside": part.inside}
            for part in destination.licences()
        ],
        "proof": proof_record(proof),
    }


def proof_record(proof: FolderProof) -> dict[str, Any]:
    """Returns the proof as it stands in deploy.json and in what `toolkit deploy --json` prints."""
    proof = _without_paths(proof)
    return {
        "outcome": proof.outcome,
        "what": proof.what,
        "feeds": list(proof.feeds),
        "refused": dict(proof.refused),
        "where": proof.where,
        "versions": dict(proof.versions),
        "verdict": None if proof.verdict is None else _verdict_record(proof.verdict),
    }


def _verdict_record(verdict: Verdict) -> dict[str, Any]:
    return {
        "text": verdict.text,
        "answer": verdict.answer,
        "right": verdict.right,
        "declared": verdict.declared,
        "oracle": verdict.oracle,
        "outputs": [
            {
                "output": output.output,
                "names": list(output.names),
                "answer": output.answer,
                "evidence": output.evidence,
                "elements": output.elements,
                "factor": output.factor,
                "max_abs": output.max_abs,
                "rms": output.rms,
            }
            for output in verdict.outputs
        ],
    }
