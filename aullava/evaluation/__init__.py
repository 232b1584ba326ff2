"""What answers are worth: per-AU metrics, score books, linear-probe and constant baselines, tables."""
