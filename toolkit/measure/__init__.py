"""From samples to numbers: when to measure, how long, and what the samples carry."""
