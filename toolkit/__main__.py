"""Runs the `toolkit` command by `python -m toolkit`, where no such script is on the PATH."""

from toolkit.cli import main

# Who imports this module, as a tool for documentation does, runs no command.
if __name__ == "__main__":
    main()
