"""What is wrong with this installation or machine, each finding with its cure."""
