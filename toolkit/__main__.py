"""Runs the `toolkit` command; `python -m toolkit` does it where no such script is on the PATH."""

import sys


def main() -> None:
    """Runs the command line. ^C while that is imported is told as it is later: in one word."""
    try:
        from toolkit import cli
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)
    cli.main()


# Who imports this module, as a tool for documentation does, runs no command.
if __name__ == "__main__":
    main()
