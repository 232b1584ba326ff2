"""The options that only one dataset has, each a small dataclass; no torch here."""
