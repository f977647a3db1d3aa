# Where training happens besides this machine: in jobs, which need no more than their role and an image, and by choice on an
# EC2 instance or in a notebook.

locals {
  training_images = [for image in var.training.image[*] :
    regex("^(?P<account>[0-9]{12})\\.dkr\\.ecr\\.(?P<region>[a-z0-9-]+)\\.amazonaws\\.com(?:\\.cn)?/(?P<repository>[a-z0-9._/-]+)[:@]", image)
  ]
  training_image_repository_arns = [for image in local.training_images :
    "arn:${data.aws_partition.current.partition}:ecr:${image.region}:${image.account}:repository/${image.repository}"
  ]
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
