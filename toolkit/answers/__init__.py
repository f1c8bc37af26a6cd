"""Arrays in, verdict out: is an output right? Runs no runtime."""
