# Of the objects below, the module of the same name holds the defaults and the rules, each in one place. A field that is
# left out, or null, takes the module's default. Here are only the rules that cross variables.

variable "prefix" {
  description = "The project's name, which every name begins with; the stage follows."
  type        = string
  default     = "kennel"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,18}[a-z0-9]$", var.prefix)) && !strcontains(var.prefix, "--")
    error_message = "prefix must be 2 to 20 characters of a-z, 0-9 and single hyphens, begin with a letter and not end with a hyphen; got \"${var.prefix}\"."
  }

  # What belongs to a stage is also found by its name: kennel-dev would take what is named after the prefix kennel-dev-x for its own.
  validation {
    condition     = !can(regex("-(local|dev|prod|ci)(-|$)", var.prefix))
    error_message = "prefix must not hold a stage's name or ci after a hyphen (-local, -dev, -prod, -ci): its names would pass for those of the shorter prefix; got \"${var.prefix}\"."
  }
}

variable "stage" {
  description = "The stage: local (the embedded cloud), dev or prod."
  type        = string
  nullable    = false

  validation {
    condition     = contains(["local", "dev", "prod"], var.stage)
    error_message = "stage must be local, dev or prod; got \"${var.stage}\"."
  }
}

variable "region" {
  description = "The AWS region."
  type        = string
  default     = "us-east-1"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be the name of an AWS region, such as eu-central-1; got \"${var.region}\"."
  }
}

variable "tags" {
  description = "Tags for everything, besides the project's own (project, stage, managed-by, kennel:stage)."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = length(var.tags) <= 6
    error_message = "tags must hold at most 6 tags, because an S3 object takes 10 and 4 are the project's own; got ${length(var.tags)}."
  }

  validation {
    condition     = alltrue([for key, value in var.tags : can(regex("^[\\w .:/=+@-]{1,128}$", key)) && can(regex("^[\\w .:/=+@-]{0,256}$", value))])
    error_message = "tags must have keys of 1 to 128 and values of up to 256 letters, digits, spaces and _.:/=+-@; got ${jsonencode(var.tags)}."
  }

  validation {
    condition     = alltrue([for key in keys(var.tags) : !contains(["project", "stage", "managed-by", "kennel:stage"], lower(key)) && !startswith(lower(key), "aws:")])
    error_message = "tags must not set project, stage, managed-by, kennel:stage or anything beginning with aws:; got ${jsonencode(keys(var.tags))}."
  }
}

variable "permissions_boundary_arn" {
  description = "A managed policy that bounds what any of the roles may do; null: none."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary_arn == null ? true : can(regex("^arn:[a-z-]+:iam::([0-9]{12}|aws):policy/.+$", var.permissions_boundary_arn))
    error_message = "permissions_boundary_arn must be null or the ARN of an IAM policy; got ${jsonencode(var.permissions_boundary_arn)}."
  }
}

variable "network" {
  description = "The network that jobs, instances and notebooks run in: modules/network."
  type = object({
    mode                      = optional(string)
    vpc_id                    = optional(string)
    subnet_ids                = optional(set(string))
    cidr                      = optional(string)
    availability_zones        = optional(number)
    internet                  = optional(string)
    s3_endpoint               = optional(bool)
    amazon_linux_repositories = optional(bool)
    interface_endpoints       = optional(set(string))
    flow_logs                 = optional(bool)
    flow_log_retention_days   = optional(number)
  })
  default  = {}
  nullable = false
}

variable "data_bucket" {
  description = "Where the photos are; null: in no bucket. modules/storage."
  type = object({
    mode        = optional(string)
    name        = optional(string)
    account_id  = optional(string)
    key_prefix  = optional(string)
    kms_key_arn = optional(string)
  })
  default = null
}

variable "artifacts" {
  description = "The artifact bucket: modules/storage."
  type = object({
    kms_key_arn     = optional(string)
    force_destroy   = optional(bool)
    lifecycle_rules = optional(bool)
    noncurrent_days = optional(number)
    scratch_prefix  = optional(string)
    scratch_days    = optional(number)
  })
  default  = {}
  nullable = false
}

variable "model" {
  description = <<-EOT
    The model that the endpoint serves; null: none yet, and then no endpoint. `train` writes it to stages/<stage>.model.tfvars.json.
    - name: what people call it.
    - archive, sha256: path of the local model.tar.gz, read only when it is uploaded, and its digest, which addresses it.
    - metrics: what evaluation found, for reviewers.
  EOT
  type = object({
    name    = string
    archive = string
    sha256  = string
    metrics = optional(map(number), {})
  })
  default = null

  validation {
    condition     = var.model == null ? true : can(regex("^[0-9a-f]{64}$", var.model.sha256))
    error_message = "model.sha256 must be 64 hexadecimal digits in lower case, as `train` writes them; got ${jsonencode(try(var.model.sha256, null))}."
  }

  validation {
    condition     = var.model == null ? true : can(regex("^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$", var.model.name))
    error_message = "model.name must be 1 to 63 letters, digits, dots, underscores and hyphens; got ${jsonencode(try(var.model.name, null))}."
  }

  validation {
    condition     = var.model == null ? true : endswith(var.model.archive, ".tar.gz")
    error_message = "model.archive must be the path of a .tar.gz file; got ${jsonencode(try(var.model.archive, null))}."
  }
}

variable "retained_models" {
  description = "Earlier models whose archives stay in the bucket, to go back to, the latest first; as var.model."
  type = list(object({
    name    = string
    archive = string
    sha256  = string
    metrics = optional(map(number), {})
  }))
  default  = []
  nullable = false

  validation {
    condition     = alltrue([for model in var.retained_models : endswith(model.archive, ".tar.gz")])
    error_message = "retained_models must have paths of .tar.gz files as archives; got ${jsonencode(var.retained_models[*].archive)}."
  }

  validation {
    condition     = alltrue([for model in var.retained_models : can(regex("^[0-9a-f]{64}$", model.sha256))])
    error_message = "retained_models must have SHA-256 digests of 64 hexadecimal digits in lower case; got ${jsonencode(var.retained_models[*].sha256)}."
  }

  validation {
    condition     = length(distinct(concat(var.retained_models[*].sha256, var.model[*].sha256))) == length(var.retained_models) + length(var.model[*])
    error_message = "retained_models must differ from each other and from model; got ${jsonencode(concat(var.retained_models[*].sha256, var.model[*].sha256))}."
  }
}

variable "live_instance_count" {
  description = "How many instances are live, so that an update starts with as many; null: none. `plan` reads it from the endpoint. Held between autoscaling's limits; without autoscaling, endpoint.instance_count holds."
  type        = number
  default     = null

  validation {
    condition     = var.live_instance_count == null ? true : var.live_instance_count >= 1 && floor(var.live_instance_count) == var.live_instance_count
    error_message = "live_instance_count must be null or a whole number from 1; got ${jsonencode(var.live_instance_count)}."
  }
}

variable "rollout" {
  description = <<-EOT
    How the next update moves traffic, in place of what endpoint.deployment says; null: as that says. `plan --canary` sets it.
    - routing: ALL_AT_ONCE, CANARY or LINEAR; percent: of the new fleet's capacity, first or at a time.
  EOT
  type = object({
    routing = string
    percent = optional(number)
  })
  default = null

  validation {
    condition     = var.rollout == null ? true : contains(["ALL_AT_ONCE", "CANARY", "LINEAR"], var.rollout.routing)
    error_message = "rollout.routing must be ALL_AT_ONCE, CANARY or LINEAR; got ${jsonencode(try(var.rollout.routing, null))}."
  }

  validation {
    condition     = try(var.rollout.percent, null) == null ? true : var.rollout.percent >= lookup({ LINEAR = 10, ALL_AT_ONCE = 51 }, var.rollout.routing, 1) && var.rollout.percent <= 50
    error_message = "rollout.percent must be between 1 and 50 for CANARY, between 10 and 50 for LINEAR, and absent for ALL_AT_ONCE; got ${jsonencode(try(var.rollout.percent, null))}."
  }

  validation {
    condition     = !try(var.autoscaling.scale_to_zero, false) || try(var.rollout.routing, "ALL_AT_ONCE") == "ALL_AT_ONCE"
    error_message = "rollout.routing must be ALL_AT_ONCE with autoscaling.scale_to_zero, which moves traffic to a new model all at once: leave out --canary and --linear; got ${jsonencode(try(var.rollout.routing, null))}."
  }
}

variable "endpoint" {
  description = <<-EOT
    The endpoint: modules/endpoint. Besides:
    - image: container image in ECR; needed once there is a model. docs/aws.md shows how to build one.
    - in_vpc: attach the containers to the network's subnets.
    - bulk: whether its model may run over all photos of a bucket (`predict --bulk`); its role then reads the data bucket, and writes answers to the scratch folder.
    - capture_percent: share of requests and answers to record in the artifact bucket (captures/); null: none.
  EOT
  type = object({
    image                    = optional(string)
    instance_type            = optional(string)
    instance_count           = optional(number, 1)
    environment              = optional(map(string), {})
    network_isolation        = optional(bool)
    in_vpc                   = optional(bool, false)
    bulk                     = optional(bool, true)
    capture_percent          = optional(number)
    volume_kms_key_arn       = optional(string)
    startup_timeout_seconds  = optional(number)
    download_timeout_seconds = optional(number)
    log_retention_days       = optional(number)
    deployment = optional(object({
      routing                   = optional(string)
      wait_seconds              = optional(number)
      canary_percent            = optional(number)
      linear_percent            = optional(number)
      termination_wait_seconds  = optional(number)
      execution_timeout_seconds = optional(number)
      rollback_on_alarms        = optional(bool)
    }))
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.endpoint.image == null ? true : can(regex("^[0-9]{12}\\.dkr\\.ecr\\.[a-z0-9-]+\\.amazonaws\\.com(\\.cn)?/[a-z0-9._/-]+(:[\\w.-]+|@sha256:[0-9a-f]{64})$", var.endpoint.image))
    error_message = "endpoint.image must be null or an ECR image with a tag or digest, <account>.dkr.ecr.<region>.amazonaws.com/<repository>:<tag>; got ${jsonencode(var.endpoint.image)}."
  }

  validation {
    condition     = var.model == null || var.endpoint.image != null
    error_message = "endpoint.image must be set once there is a model: no public container holds what it needs. Build the Dockerfile of docs/aws.md, push it to ECR and name it here; got ${jsonencode(var.endpoint.image)}."
  }

  validation {
    condition = alltrue([for name in keys(var.endpoint.environment) :
      !contains(["KENNEL_FETCH_ALLOW_HTTP", "KENNEL_FETCH_ALLOW_LOOPBACK"], name)
    ]) || var.stage == "local"
    error_message = "endpoint.environment must not set KENNEL_FETCH_ALLOW_HTTP or KENNEL_FETCH_ALLOW_LOOPBACK outside the local stage; got stage \"${var.stage}\" and ${jsonencode(keys(var.endpoint.environment))}."
  }

  validation {
    condition     = var.autoscaling == null ? true : var.endpoint.instance_count >= var.autoscaling.min_instances && var.endpoint.instance_count <= var.autoscaling.max_instances
    error_message = "endpoint.instance_count must be between autoscaling.min_instances and autoscaling.max_instances; got ${var.endpoint.instance_count}."
  }

  validation {
    condition     = !try(var.autoscaling.scale_to_zero, false) || coalesce(try(var.endpoint.deployment.routing, null), "ALL_AT_ONCE") == "ALL_AT_ONCE"
    error_message = "endpoint.deployment.routing must be left out with autoscaling.scale_to_zero, which moves traffic to a new model all at once; got ${jsonencode(try(var.endpoint.deployment.routing, null))}."
  }

  validation {
    condition     = !try(var.autoscaling.scale_to_zero, false) || var.endpoint.capture_percent == null
    error_message = "endpoint.capture_percent must be left out with autoscaling.scale_to_zero, which records no requests; got ${jsonencode(var.endpoint.capture_percent)}."
  }
}

variable "autoscaling" {
  description = <<-EOT
    How the endpoint scales; null: it does not. modules/autoscaling. Besides:
    - scale_to_zero: down to min_instances = 0, with an inference component: modules/scale_to_zero, whose metrics and defaults then hold.
    - copy: with scale_to_zero, the cores and the memory of a copy of the model.
  EOT
  type = object({
    scale_to_zero              = optional(bool, false)
    copy                       = optional(object({ cpu_cores = optional(number), memory_mb = optional(number) }))
    min_instances              = optional(number, 1)
    max_instances              = optional(number, 4)
    metric                     = optional(string)
    policy                     = optional(string)
    target                     = optional(number)
    scale_in_cooldown_seconds  = optional(number)
    scale_out_cooldown_seconds = optional(number)
    disable_scale_in           = optional(bool)
    step = optional(object({
      scale_out = object({
        threshold = number
        periods   = optional(number)
        steps     = optional(list(object({ above = number, add = number })))
      })
      scale_in = optional(object({
        threshold = number
        periods   = optional(number)
        remove    = optional(number)
      }))
    }))
    scheduled = optional(map(object({
      schedule      = string
      timezone      = optional(string)
      min_instances = optional(number)
      max_instances = optional(number)
    })), {})
  })
  default = {}

  validation {
    condition     = try(var.autoscaling.scale_to_zero, false) || try(var.autoscaling.min_instances, 1) >= 1
    error_message = "autoscaling.min_instances must be at least 1 without autoscaling.scale_to_zero = true: an endpoint goes down to none only with an inference component; got ${try(var.autoscaling.min_instances, 1)}."
  }

  validation {
    condition     = try(var.autoscaling.scale_to_zero, false) || try(var.autoscaling.copy, null) == null
    error_message = "autoscaling.copy must be left out without autoscaling.scale_to_zero = true: an instance then serves the model alone."
  }
}

variable "lambda" {
  description = <<-EOT
    The function in front of the endpoint: modules/lambda. Besides:
    - package: path of its zip, relative to this folder.
    - endpoint_aliases: names that old callers still send for the endpoint.
    - in_vpc: attach it to the network's subnets; it then needs a way out other than public addresses, and leaves network interfaces behind for a while.
  EOT
  type = object({
    package                 = optional(string, "../.kennel/build/lambda.zip")
    endpoint_aliases        = optional(set(string), [])
    in_vpc                  = optional(bool, false)
    runtime                 = optional(string)
    architecture            = optional(string)
    memory_mb               = optional(number)
    timeout_seconds         = optional(number)
    reserved_concurrency    = optional(number)
    provisioned_concurrency = optional(number)
    url                     = optional(bool)
    tracing                 = optional(bool)
    log_level               = optional(string)
    log_retention_days      = optional(number)
    fetch = optional(object({
      allow_http      = optional(bool)
      allow_loopback  = optional(bool)
      max_bytes       = optional(number)
      timeout_seconds = optional(number)
    }))
    asynchronous = optional(object({
      on_failure_arn        = optional(string)
      retries               = optional(number)
      max_event_age_seconds = optional(number)
    }))
  })
  default  = {}
  nullable = false

  # In the module too; here, because nothing above the module may loosen it either.
  validation {
    condition     = var.stage == "local" || !(try(var.lambda.fetch.allow_http, null) == true || try(var.lambda.fetch.allow_loopback, null) == true)
    error_message = "lambda.fetch.allow_http and .allow_loopback must be false outside the local stage; the stage is \"${var.stage}\"."
  }

  validation {
    condition     = !var.lambda.in_vpc || contains(["nat", "existing"], coalesce(var.network.internet, "none")) || contains(coalesce(var.network.interface_endpoints, []), "sagemaker.runtime")
    error_message = "lambda.in_vpc must be false in a network from which the function reaches no endpoint: set network.internet to \"nat\" (or \"existing\", in a VPC with a way out for private addresses), or add \"sagemaker.runtime\" to network.interface_endpoints. With \"public\" it has no way out either, because its network interfaces get no public addresses; got internet ${jsonencode(var.network.internet)}."
  }
}

variable "training" {
  description = <<-EOT
    Training and tuning jobs on SageMaker.
    - image: container image in ECR that they run; null: the stage starts none. docs/aws.md shows how to build one.
  EOT
  type = object({
    image = optional(string)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.training.image == null ? true : can(regex("^[0-9]{12}\\.dkr\\.ecr\\.[a-z0-9-]+\\.amazonaws\\.com(\\.cn)?/[a-z0-9][a-z0-9._/-]*(:[\\w.-]+|@sha256:[0-9a-f]{64})$", var.training.image))
    error_message = "training.image must be null or an ECR image with a tag or digest, <account>.dkr.ecr.<region>.amazonaws.com/<repository>:<tag>; got ${jsonencode(var.training.image)}."
  }
}

variable "training_instance" {
  description = "The EC2 instance that trains; null: none. modules/training_instance."
  type = object({
    instance_type = optional(string)
    volume_gb     = optional(number)
    kms_key_arn   = optional(string)
    install_from  = optional(string)
    python        = optional(string)
    packages      = optional(list(string))

    log_retention_days = optional(number)
  })
  default = null
}

variable "notebook" {
  description = "The SageMaker notebook instance; null: none. modules/notebook."
  type = object({
    instance_type          = optional(string)
    volume_gb              = optional(number)
    kms_key_arn            = optional(string)
    direct_internet_access = optional(bool)
    root_access            = optional(bool)
    idle_stop_minutes      = optional(number)
  })
  default = null

  # Not with "public" either: SageMaker's network interfaces get no public addresses.
  validation {
    condition = (
      try(var.notebook.idle_stop_minutes, null) == null || try(coalesce(var.notebook.direct_internet_access, false), false)
      || contains(["existing", "default"], coalesce(var.network.mode, "create")) # whose endpoints are not ours to know
      || coalesce(var.network.internet, "none") == "nat" || contains(coalesce(var.network.interface_endpoints, []), "sagemaker.api")
    )
    error_message = "notebook.idle_stop_minutes must be null in a network from which the notebook cannot ask SageMaker to stop it: set notebook.direct_internet_access = true or network.internet = \"nat\", or add \"sagemaker.api\" to network.interface_endpoints; got internet ${jsonencode(var.network.internet)}."
  }
}

variable "observability" {
  description = "Alarms, who hears of them, and the dashboard: modules/observability."
  type = object({
    dashboard = optional(bool)
    notifications = optional(object({
      emails      = optional(set(string))
      kms_key_arn = optional(string)
    }))
    endpoint_alarms = optional(object({
      server_errors      = optional(number)
      model_errors       = optional(number)
      latency_p99_ms     = optional(number)
      cpu_percent        = optional(number)
      memory_percent     = optional(number)
      evaluation_minutes = optional(number)
    }))
    lambda_alarms = optional(object({
      errors    = optional(number)
      throttles = optional(number)
    }))
  })
  default  = {}
  nullable = false
}

variable "image_repositories" {
  description = "What there is an ECR repository of our own for: serving, training. ./inv image --push fills them."
  type        = set(string)
  default     = []
  nullable    = false
}
