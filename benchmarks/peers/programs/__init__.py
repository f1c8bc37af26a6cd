"""The programs that the other tools start, in the environment of the peers."""
