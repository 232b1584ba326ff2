"""Recipe of the shipped tiny backbone: an encoder that never saw a label, an LLM that never saw a face."""
