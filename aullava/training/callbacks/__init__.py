"""What happens beside the training step: scores, pictures, throughput, progress, the run's record."""
