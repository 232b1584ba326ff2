"""The model: frozen vision encoder, projector, causal language model with LoRA; plain torch."""
