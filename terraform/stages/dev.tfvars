# A real account, to try things in: cheap, and quick to change.
stage = "dev"

image_repositories = ["serving", "training"]

endpoint = {
  # Needed with the first model: ./inv image --stage dev --push builds it, and prints this line.
  # image = "<account>.dkr.ecr.<region>.amazonaws.com/kennel-dev-serving@sha256:…"

  instance_type = "ml.m5.large"

  # Long enough for the rollback alarms to see two bad minutes, short enough to wait for.
  deployment = {
    wait_seconds             = 60
    termination_wait_seconds = 180
  }
}

training = {
  # For jobs on SageMaker: ./inv image --stage dev --for training --push builds it.
  # image = "<account>.dkr.ecr.<region>.amazonaws.com/kennel-dev-training@sha256:…"
}

autoscaling = {
  max_instances = 2
}

lambda = {
  endpoint_aliases = ["p4-dog-breed-classification"]
  # A new account has 10 in all, and 100 must stay unreserved: take -1 there.
  reserved_concurrency = 50
  log_level            = "DEBUG"
  log_retention_days   = 7
}
