"""Any chat vision-language model of transformers: it gets one prompt, and one token of its answer is read."""
