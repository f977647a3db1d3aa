# The embedded cloud on this machine.
stage = "local"

endpoint = {
  # The image that the embedded cloud runs in place of a container registry.
  image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/kennel-serving:local"

  # Nobody waits for alarms here.
  deployment = {
    wait_seconds             = 0
    termination_wait_seconds = 0
  }
}

training = {
  # Likewise.
  image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/kennel-training:local"
}

lambda = {
  # The name that callers of the replaced workflow still send.
  endpoint_aliases = ["p4-dog-breed-classification"]
  url              = true

  # Pictures may come from this machine; no other stage accepts these two.
  fetch = {
    allow_http     = true
    allow_loopback = true
  }
}

# Nothing boots: the embedded cloud runs the commands that a training sends to it.
training_instance = {}

# What that instance is reached by, and would install Python from.
network = {
  interface_endpoints       = ["ssm", "ssmmessages"]
  amazon_linux_repositories = true
}

# The state vanishes with the cloud, and so may the artifacts. Nothing grows old here, and the provider watches new lifecycle
# rules for a minute.
artifacts = {
  force_destroy   = true
  lifecycle_rules = false
}
