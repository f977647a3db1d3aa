# The model behind an endpoint that scales, and the function in front of it.

module "endpoint" {
  source = "./modules/endpoint"
  count  = var.model == null || local.scale_to_zero ? 0 : 1

  name                 = local.endpoint_name
  variant              = local.variant_name
  role_arn             = module.iam.roles["endpoint"].arn
  rollback_alarm_names = module.observability.rollback_alarm_names
  vpc                  = var.endpoint.in_vpc ? local.attachment : null
  model = {
    image       = var.endpoint.image
    archive_uri = module.storage.archives[var.model.sha256].uri
  }
  scaled              = var.autoscaling != null
  live_instance_count = local.live_instance_count
  endpoint = merge(var.endpoint, {
    environment = merge(local.container_environment, var.endpoint.environment)
    deployment  = merge(var.endpoint.deployment, local.rollout)
  })
  capture = var.endpoint.capture_percent == null ? null : {
    percent         = var.endpoint.capture_percent
    destination_uri = trimsuffix(module.storage.folders.captures.uri, "/")
    kms_key_arn     = module.storage.artifact_bucket.kms_key_arn
  }
}

module "autoscaling" {
  source = "./modules/autoscaling"
  count  = var.model == null || var.autoscaling == null || local.scale_to_zero ? 0 : 1

  autoscaling = var.autoscaling
  endpoint = {
    name    = module.endpoint[0].name
    variant = module.endpoint[0].variant
  }
  instance_type = module.endpoint[0].instance_type
}

# In place of both, by choice.
module "scale_to_zero" {
  source = "./modules/scale_to_zero"
  count  = var.model != null && local.scale_to_zero ? 1 : 0

  name      = local.endpoint_name
  variant   = local.variant_name
  component = local.component
  role_arn  = module.iam.roles["endpoint"].arn
  vpc       = var.endpoint.in_vpc ? local.attachment : null
  model = {
    image       = var.endpoint.image
    archive_uri = module.storage.archives[var.model.sha256].uri
  }
  live_copies = local.live_instance_count
  endpoint    = merge(var.endpoint, { environment = merge(local.container_environment, var.endpoint.environment) })
  autoscaling = var.autoscaling
}

module "lambda" {
  source = "./modules/lambda"

  name     = local.function_name
  alias    = local.alias_name
  stage    = var.stage
  role_arn = module.iam.roles["lambda"].arn
  lambda   = merge(var.lambda, { package = "${path.module}/${var.lambda.package}" })
  vpc      = var.lambda.in_vpc ? local.attachment : null
  endpoint = {
    name                = local.endpoint_name
    aliases             = setunion(var.lambda.endpoint_aliases, local.scale_to_zero ? [local.prefix] : [])
    inference_component = local.component
  }
}

module "observability" {
  source = "./modules/observability"

  prefix        = local.prefix
  observability = var.observability
  endpoint      = var.model == null ? null : { name = local.endpoint_name, variant = local.variant_name }
  max_instances = try(var.autoscaling.max_instances, null)
  lambda = {
    function_name = local.function_name
    alias         = local.alias_name
    url           = var.lambda.url
  }
}

locals {
  serving = concat(module.endpoint, module.scale_to_zero) # one of them, or none without a model

  # Of an endpoint of fixed size, the declared count holds. Of one that scales, what was scaled out stays, between the limits
  # that may be in force: a schedule moves them.
  limits = flatten([for range in concat([var.autoscaling], values(try(var.autoscaling.scheduled, {}))) :
    [for limit in [range.min_instances, range.max_instances] : limit if limit != null] if range != null
  ])
  live_instance_count = var.live_instance_count == null || var.autoscaling == null ? null : min(max(var.live_instance_count, min(local.limits...)), max(local.limits...))

  # What var.rollout says instead of endpoint.deployment.
  rollout = { for field, value in {
    routing        = try(var.rollout.routing, null)
    canary_percent = try(var.rollout.routing == "CANARY" ? var.rollout.percent : null, null)
    linear_percent = try(var.rollout.routing == "LINEAR" ? var.rollout.percent : null, null)
  } : field => value if value != null }

  # What an image built on AWS's PyTorch container needs to find our handlers in the archive. Ours takes no notice.
  container_environment = {
    SAGEMAKER_PROGRAM          = "inference.py"
    SAGEMAKER_SUBMIT_DIRECTORY = "/opt/ml/model/code"
    SAGEMAKER_REGION           = var.region
  }
}
