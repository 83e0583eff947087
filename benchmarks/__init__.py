"""One script per question. Compare times only within one run of a script; results are in docs/results.md."""
