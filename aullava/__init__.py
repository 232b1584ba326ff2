"""AU-LLaVA: one vision-language model that reads facial Action Units as presence, level or intensity."""
