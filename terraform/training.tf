# Where training happens besides this machine: by choice an EC2 instance or a notebook. Training jobs need no more than their role.

locals {
  training_image_repository_arn = join(":", [
    "arn", data.aws_partition.current.partition, "ecr", var.region,
    data.aws_sagemaker_prebuilt_ecr_image.training.registry_id, "repository/${data.aws_sagemaker_prebuilt_ecr_image.training.repository_name}",
  ])
}

module "training_instance" {
  source = "./modules/training_instance"
  count  = var.training_instance == null ? 0 : 1

  prefix                = local.prefix
  training_instance     = var.training_instance
  instance_profile_name = module.iam.training_instance_profile_name
  wheelhouse_uri        = module.storage.folders.wheelhouse.uri
  network = {
    subnet_id            = module.network.subnet_ids[0]
    security_group_ids   = local.attachment.security_group_ids
    internet             = module.network.internet
    package_repositories = module.network.package_repositories
    session_manager      = module.network.session_manager
  }
}

module "notebook" {
  source = "./modules/notebook"
  count  = var.notebook == null ? 0 : 1

  prefix   = local.prefix
  notebook = var.notebook
  role_arn = module.iam.roles["notebook"].arn
  network = {
    subnet_id          = module.network.subnet_ids[0]
    security_group_ids = local.attachment.security_group_ids
  }
}
