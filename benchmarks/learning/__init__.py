"""What `benchmarks/training.py` compares: models of one shape, the same batches, two ways of training."""
