"""Training: filters from patches, then the classifier, then fine-tuning end to end."""
