"""Puts the special values of float32 through Relu in a worker: alone, and between two layers.

The models stand in answers/specialvalues.py, the same as PyTorch modules in sources/relu.py.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx

from toolkit.answers import specialvalues
from toolkit.answers.specialvalues import SpecialValue
from toolkit.engine import conversion, unoptimised
from toolkit.errors import TargetError
from toolkit.runtimes.base import Program
from toolkit.sources.relu import FORMS
from toolkit.workers.jobs import Hello
from toolkit.workers.launch import Worker


def program(form: str, hello: Hello, work: Path) -> Program:
    """The Relu 'alone' or 'fused' for the runtime that said `hello`; its file lies in `work`."""
    file = work / f"relu-{form}.onnx"
    model = specialvalues.models()[form]
    onnx.save_model(model, str(file))
    plain = unoptimised.program(file, model)
    return replace(plain, source=FORMS[form]) if hello.starts_from == "source" else plain


def special_values(worker: Worker, hello: Hello, work: Path) -> list[SpecialValue]:
    """Runs both forms of Relu on every special value; the worker holds one of them afterwards."""
    alone, fused = (_outcome(worker, hello, form, work) for form in ("alone", "fused"))
    return specialvalues.read(alone, fused)


def _outcome(worker: Worker, hello: Hello, form: str, work: Path) -> specialvalues.Outcome:
    feeds = specialvalues.feeds()
    try:
        conversion.load(worker, hello, program(form, hello, work), feeds[0])
        return [worker.evaluate(str(number), feed, {}) for number, feed in enumerate(feeds)]
    except TargetError as error:
        return error.what
