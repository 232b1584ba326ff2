"""Learning: the Lightning module, its optimiser, what is written down during a run."""
