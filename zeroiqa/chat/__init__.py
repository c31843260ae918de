"""Any chat vision-language model of transformers: asked one question, read at one token."""
