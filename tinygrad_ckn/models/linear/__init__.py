"""Classifiers on features: logistic regression, ridge, kernel ridge, and the choice of l2."""
