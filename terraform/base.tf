# What everything else stands on: the network, the buckets and the roles.

module "network" {
  source = "./modules/network"

  prefix                   = local.prefix
  network                  = var.network
  permissions_boundary_arn = var.permissions_boundary_arn
  s3_access = {
    read_write = [module.storage.artifact_bucket.arn]
    read_only  = [for bucket in module.storage.data_bucket[*] : bucket.arn]
  }
}

module "storage" {
  source = "./modules/storage"

  prefix      = local.prefix
  artifacts   = var.artifacts
  data_bucket = var.data_bucket
  archives    = { for model in concat(var.retained_models, var.model[*]) : model.sha256 => model.archive }
  data_reader_role_arns = {
    for actor, role in module.iam.roles : actor => role.arn if contains(concat(["training", "training_instance", "notebook"], var.endpoint.bulk ? ["endpoint"] : []), actor)
  }
}

module "iam" {
  source = "./modules/iam"

  prefix                   = local.prefix
  permissions_boundary_arn = var.permissions_boundary_arn
  artifacts = {
    bucket_arn        = module.storage.artifact_bucket.arn
    kms_key_arn       = module.storage.artifact_bucket.kms_key_arn
    models_prefix     = module.storage.folders.models.prefix
    captures_prefix   = module.storage.folders.captures.prefix
    scratch_prefix    = module.storage.folders.scratch.prefix
    wheelhouse_prefix = module.storage.folders.wheelhouse.prefix
  }
  data_reader_policy             = module.storage.data_reader_policy
  network                        = local.attachment
  training_image_repository_arns = local.training_image_repository_arns
  notebook                       = var.notebook != null

  training_instance = var.training_instance == null ? null : {
    log_group_arn = module.training_instance[0].log_group.arn
  }
  endpoint = var.model == null ? null : {
    image         = var.endpoint.image
    log_group_arn = local.scale_to_zero ? module.scale_to_zero[0].log_group.arn : module.endpoint[0].log_group.arn
    components    = local.scale_to_zero
    in_vpc        = var.endpoint.in_vpc
    captures      = var.endpoint.capture_percent != null
    bulk          = var.endpoint.bulk
  }
  lambda = {
    endpoint_name       = local.endpoint_name
    inference_component = local.component
    log_group_arn       = module.lambda.log_group.arn
    in_vpc              = var.lambda.in_vpc
    tracing             = var.lambda.tracing
    on_failure_arn      = try(var.lambda.asynchronous.on_failure_arn, null)
  }
}

module "registry" {
  source = "./modules/registry"

  prefix = local.prefix
  images = var.image_repositories
}
