"""Training jobs and hyperparameter tuning jobs that execute: each instance is a group of processes."""
