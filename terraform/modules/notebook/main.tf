resource "aws_sagemaker_notebook_instance" "this" {
  name          = var.prefix
  role_arn      = var.role_arn
  instance_type = var.notebook.instance_type
  # The newest that the provider takes; SageMaker knows notebook-al2023-v1 too.
  platform_identifier = "notebook-al2-v3"
  volume_size         = var.notebook.volume_gb
  kms_key_id          = var.notebook.kms_key_arn

  subnet_id              = var.network.subnet_id
  security_groups        = var.network.security_group_ids
  direct_internet_access = var.notebook.direct_internet_access ? "Enabled" : "Disabled"
  root_access            = var.notebook.root_access ? "Enabled" : "Disabled"
  lifecycle_config_name  = one(aws_sagemaker_notebook_instance_lifecycle_configuration.idle_stop[*].name)

  instance_metadata_service_configuration {
    minimum_instance_metadata_service_version = "2"
  }
}

resource "aws_sagemaker_notebook_instance_lifecycle_configuration" "idle_stop" {
  count = var.notebook.idle_stop_minutes == null ? 0 : 1

  name = "${var.prefix}-idle-stop"
  on_start = base64encode(templatefile("${path.module}/on_start.sh", {
    idle_stop_minutes = var.notebook.idle_stop_minutes
    program           = file("${path.module}/idle_stop.py")
  }))
}
