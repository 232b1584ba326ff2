"""Labels to text and back: the question, the grammar of the answer, its strict parser, the collator."""
