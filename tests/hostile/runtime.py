"""A runtime of a stranger that does on purpose what no worker may do, by its option `deed`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests import plugin
from toolkit.runtimes.listing import RuntimeEntry

NAME = "elsewhere"

BODY = """
    import json
    import os
    import subprocess
    import sys
    import tempfile
    import time
    from pathlib import Path

    import numpy as np

    from toolkit.runtimes.base import Option
    from toolkit.workers import child

    REPLIES = json.loads({replies!r})
    NOTES = Path({notes!r})
    PIPE = int(sys.argv[2])
    honest = child.WorkerLoop.reply


    def say(line):
        data = line.encode()
        while data:
            data = data[os.write(PIPE, data):]


    def reply(self, request):
        verb, text = REPLIES.get(Theirs.deed, ("", ""))
        if request["verb"] == verb:
            number = '{{"number": %d, "' % request["number"]
            text = text.replace("FOLDER", request.get("folder", ""))
            say((number + text[2:] if text.startswith('{{"') else text) + "\\n")
            time.sleep(1e6)
        deed = DEEDS.get((Theirs.deed, request["verb"]))
        if deed is not None:
            deed(request)
        answered = honest(self, request)
        if (Theirs.deed, request["verb"]) == ("twice", "load"):
            say(json.dumps({{**answered, "number": request["number"]}}) + "\\n")
        return answered


    child.WorkerLoop.reply = reply


    def file(request):
        folder = Path(request["folder"])
        folder.mkdir()
        return folder / "0.npy"


    def answered(request):
        row = {{"name": "y", "type": "float32", "file": str(Path(request["folder"]) / "0.npy")}}
        answer = {{"number": request["number"], "tensors": [row], "seconds": 0.0}}
        say(json.dumps(answer) + "\\n")
        time.sleep(1e6)


    def pipe(request):
        os.mkfifo(file(request))
        answered(request)


    def header(request, shape):
        with open(file(request), "wb") as stream:
            given = {{"descr": "<f4", "fortran_order": False, "shape": shape}}
            np.lib.format.write_array_header_1_0(stream, given)


    def claims(request):
        header(request, (10**15,))
        answered(request)


    def sparse(request):
        header(request, (1 << 41,))
        name = Path(request["folder"]) / "0.npy"
        os.truncate(name, name.stat().st_size + (1 << 43))
        answered(request)


    def negative(request):
        header(request, (-1, -1))
        answered(request)


    def pickled(request):
        np.save(file(request), np.array([{{}}], object), allow_pickle=True)
        answered(request)


    def linked(request):
        real = Path(request["folder"] + "-elsewhere.npy")
        np.save(real, np.zeros((1, 16), np.float32))
        file(request).symlink_to(real)
        answered(request)


    def dribble(request):
        while True:
            say(" ")
            time.sleep(0.05)


    def deaf(request):
        time.sleep(1e6)


    def flood(request):
        for _ in range(1000):
            os.write(2, b"x" * 20_000 + b"\\n")
        os.write(2, b"the last words\\n")


    def daemon(request):
        # Of another session, with no variable of ours, and without a parent.
        command = "setsid /bin/sh -c 'echo $$ > $1; exec sleep 1000' - $0 $0 &"
        subprocess.run(["/usr/bin/env", "-i", "/bin/sh", "-c", command, NOTES], check=True)
        while not (NOTES.exists() and NOTES.read_text().strip()):
            time.sleep(0.01)


    def orphan(request):
        daemon(request)
        os.kill(os.getpid(), 9)


    def litter(request):
        Path(tempfile.mkdtemp(), "large").write_bytes(bytes(1000))
        NOTES.write_text(tempfile.gettempdir())


    DEEDS = {{
        ("pipe", "answer"): pipe,
        ("claims", "answer"): claims,
        ("sparse", "answer"): sparse,
        ("negative", "answer"): negative,
        ("pickled", "answer"): pickled,
        ("linked", "answer"): linked,
        ("dribble", "usage"): dribble,
        ("deaf", "usage"): deaf,
        ("flood", "load"): flood,
        ("daemon", "load"): daemon,
        ("orphan", "load"): orphan,
        ("litter", "load"): litter,
    }}


    class Theirs(Fake):
        name = "elsewhere"
        deed = "none"
        options = {{**Fake.options, "deed": Option("none", "what it does")}}

        def precision(self, options):
            Theirs.deed = options["deed"]
            verb, text = REPLIES.get(Theirs.deed, ("", ""))
            if verb == "hello":
                say('{{"number": 1, ' + text[1:] + "\\n")
                time.sleep(1e6)
            return super().precision(options)
"""


@dataclass(frozen=True)
class Reply:
    """A line that a worker sends as its reply to a verb."""

    verb: str
    line: str
    what: str
    """The beginning of the error that it has to be."""


def package(folder: Path, replies: Mapping[str, Reply], notes: Path) -> RuntimeEntry:
    """The plug-in, whose deeds are these replies, and those of its own; some note something."""
    lines = json.dumps({name: (reply.verb, reply.line) for name, reply in replies.items()})
    body = BODY.format(replies=lines, notes=str(notes))
    return plugin.package(folder, body, NAME)
