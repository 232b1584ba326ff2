"""Procedurally drawn faces with known Action Units: who (person), what the muscles do (actions), how it looks (the rest)."""
