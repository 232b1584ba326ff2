"""Drawn faces with known Action Units: who (person), what the muscles do (actions), the looks (the rest)."""
