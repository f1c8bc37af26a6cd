"""What the other tools start. These run in the environment of the peers."""
