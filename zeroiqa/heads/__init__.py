"""Fine-tuned comparison models: trained on ratings, unlike everything else here."""
