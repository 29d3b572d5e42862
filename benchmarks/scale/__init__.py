"""What `benchmarks.corpus` runs in child processes: made-up pictures, and each side's tasks."""
