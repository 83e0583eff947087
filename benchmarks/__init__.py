"""One script a question; all times are ratios within one run."""
