"""Training as a process that others start: torchrun, a SageMaker container, an EC2 instance."""
