output "account_id" {
  description = "The AWS account."
  value       = data.aws_caller_identity.current.account_id
}

output "region" {
  description = "The AWS region."
  value       = var.region
}

output "prefix" {
  description = "What every name begins with, and the value of the tag kennel:stage on everything."
  value       = local.prefix
}

output "artifact_bucket" {
  description = "The artifact bucket's name."
  value       = module.storage.artifact_bucket.name
}

output "artifact_locations" {
  description = "Where in the artifact bucket jobs leave their scratch files and the wheels belong: s3:// URIs."
  value = {
    scratch    = module.storage.folders.scratch.uri
    wheelhouse = module.storage.folders.wheelhouse.uri
  }
}

output "data_bucket" {
  description = "The data bucket's name; null without one."
  value       = try(module.storage.data_bucket.name, null)
}

output "data_bucket_policy" {
  description = "The bucket policy (JSON) for the account that owns the data bucket; null where the bucket is ours."
  value       = module.storage.data_bucket_policy
}

output "data_key_policy" {
  description = "The statements (JSON) for the policy of the data's KMS key in the other account; null where none is needed."
  value       = module.storage.data_key_policy
}

output "vpc_id" {
  description = "The VPC that jobs and instances run in."
  value       = module.network.vpc_id
}

output "subnet_ids" {
  description = "Its subnets to run in."
  value       = module.network.subnet_ids
}

output "security_group_id" {
  description = "The group for jobs, instances and notebooks."
  value       = module.network.workload_security_group_id
}

output "roles" {
  description = "The roles by actor: name and arn. Training jobs take roles.training, and their names begin with the prefix and a hyphen."
  value       = module.iam.roles
}

output "training_image" {
  description = "The image that training and tuning jobs run; null: none is named."
  value       = var.training.image
}

# With the configuration's name, which is not known before: Terraform writes outputs that it knows already even when what they
# depend on fails, and would name a model whose update was rolled back.
output "model" {
  description = "The model that the endpoint serves: name, sha256, metrics, config_name, and the earlier ones to go back to, the latest first; null without one."
  value = one([for config_name in local.serving[*].config_name : {
    name        = var.model.name
    sha256      = var.model.sha256
    metrics     = var.model.metrics
    config_name = config_name
    earlier     = [for model in var.retained_models : { name = model.name, sha256 = model.sha256, metrics = model.metrics }]
  }])
}

output "model_archives" {
  description = "SHA-256 digests of the model archives in the artifact bucket: the deployed one and those to go back to."
  value       = keys(module.storage.archives)
}

output "endpoint_name" {
  description = "The endpoint, once it is in service; null without a model."
  value       = one(local.serving[*].name)
}

output "endpoint_config_name" {
  description = "The configuration that the endpoint is meant to run; null without a model."
  value       = one(local.serving[*].config_name)
}

output "model_name" {
  description = "The SageMaker model in that configuration; null without a model."
  value       = one(local.serving[*].model_name)
}

output "endpoint_variant" {
  description = "The endpoint's production variant; null without a model."
  value       = one(local.serving[*].variant)
}

output "inference_component_name" {
  description = "The inference component that requests ask by its name; null without autoscaling.scale_to_zero."
  value       = one(module.scale_to_zero[*].component)
}

output "autoscaling" {
  description = "What scaling is declared, as modules/autoscaling tells it; min and max count copies with scale_to_zero. Null without scaling."
  value       = one(concat(module.autoscaling[*].scaling, module.scale_to_zero[*].scaling))
}

output "lambda_function_name" {
  description = "The function to call."
  value       = module.lambda.function_name
}

output "lambda_alias" {
  description = "The alias to call it by."
  value       = module.lambda.alias
}

output "lambda_function_url" {
  description = "Its URL, for signed calls; null without one."
  value       = module.lambda.url
}

output "dashboard_name" {
  description = "The dashboard; null without one."
  value       = module.observability.dashboard_name
}

output "alarm_topic_arn" {
  description = "The topic that alarms go to; null without notifications."
  value       = module.observability.topic_arn
}

output "training_instance_id" {
  description = "The training instance; null without one."
  value       = one(module.training_instance[*].instance_id)
}

output "notebook_name" {
  description = "The notebook instance; null without one."
  value       = one(module.notebook[*].notebook_name)
}

output "log_groups" {
  description = "Log groups by who writes to them: lambda and, with a model, endpoint; network with flow logs; training_instance with one."
  value = { for writer, name in {
    endpoint = try(local.serving[0].log_group.name, null)
    lambda   = module.lambda.log_group.name
    network  = module.network.flow_log_group_name

    training_instance = try(module.training_instance[0].log_group.name, null)
  } : writer => name if name != null }
}

output "image_repositories" {
  description = "Addresses of the stage's ECR repositories, by what their images are for."
  value       = module.registry.repositories
}
