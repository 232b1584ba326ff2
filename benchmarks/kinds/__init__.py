"""Ways of answering beside draft and verification, and what they cost."""
