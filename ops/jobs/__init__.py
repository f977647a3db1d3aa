"""The same training as SageMaker jobs and on EC2: what they are given, asked for, followed by and collected from."""
