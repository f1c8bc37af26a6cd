"""Everything that looks at the hardware: its facts, its load, threads, memory, GPUs and pinning."""
