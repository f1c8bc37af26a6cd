"""Makes SIGTERM and SIGHUP end a command as ^C does: in order, with what was measured kept."""

from __future__ import annotations

import signal
from types import FrameType

ENDING = (signal.SIGTERM, signal.SIGHUP)
"""The signals by which a machine, a service or a closed terminal ends a command."""


def hear_ends() -> None:
    """Makes these signals raise KeyboardInterrupt. One that is ignored, as by nohup, stays so."""
    for number in ENDING:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)


def hear_once() -> None:
    """Makes the first of these signals and ^C raise KeyboardInterrupt, and no later one: that would
    end what keeps the results. It is for a process that another one watches over, which ends it by
    force where it does not end."""
    heard = False

    def hear(number: int, frame: FrameType | None) -> None:
        nonlocal heard
        if not heard:
            heard = True
            raise KeyboardInterrupt

    # Also where a shell that started it in the background has ignored ^C: SIGTERM must end it.
    for number in ENDING:
        signal.signal(number, hear)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, hear)
