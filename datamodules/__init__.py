"""Faces, subjects, Action Units, files and folds. Knows nothing of tokens or language models."""
