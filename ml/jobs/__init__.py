"""Training as a job: the process that torchrun starts, and the container around it."""
