# What people rely on.
stage = "prod"

image_repositories = ["serving", "training"]

endpoint = {
  # Needed with the first model: ./inv image --stage prod --push builds it, and prints this line.
  # image = "<account>.dkr.ecr.<region>.amazonaws.com/kennel-prod-serving@sha256:…"

  instance_type      = "ml.m5.large"
  instance_count     = 2 # in two zones
  log_retention_days = 90

  # Half of the fleet takes the new model first; then ten minutes in which the alarms can still go back.
  deployment = {
    routing                  = "CANARY"
    canary_percent           = 50
    wait_seconds             = 300
    termination_wait_seconds = 600
  }
}

training = {
  # For jobs on SageMaker: ./inv image --stage prod --for training --push builds it.
  # image = "<account>.dkr.ecr.<region>.amazonaws.com/kennel-prod-training@sha256:…"
}

autoscaling = {
  min_instances = 2
  max_instances = 4
}

lambda = {
  endpoint_aliases     = ["p4-dog-breed-classification"]
  reserved_concurrency = 100
  # Two kept warm, which cost money day and night: set it to what a quiet hour needs, or leave it out.
  provisioned_concurrency = 2
  tracing                 = true
  log_retention_days      = 90
}

observability = {
  # Add e-mail addresses; each has to confirm its subscription.
  notifications = {
    emails = []
  }
  endpoint_alarms = {
    memory_percent = 85
  }
}
