locals {
  # Graviton families carry a g after the generation: t4g, m7g, c7gn; the first, a1, does not.
  architecture = can(regex("^(a1[.]|[a-z]+[0-9]+g)", var.training_instance.instance_type)) ? "arm64" : "x86_64"
  install_from = coalesce(var.training_instance.install_from, var.network.internet ? "pypi" : "wheelhouse")
}

# AWS publishes the current Amazon Linux 2023 image here, in every region.
data "aws_ssm_parameter" "ami" {
  name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-${local.architecture}"
}

# What training writes, through Run Command. Made here, it has a retention, and the role need not create it.
resource "aws_cloudwatch_log_group" "this" {
  name              = "/aws/ssm/${var.prefix}-training"
  retention_in_days = var.training_instance.log_retention_days
}

resource "aws_instance" "this" {
  ami           = data.aws_ssm_parameter.ami.insecure_value # public, not a secret
  instance_type = var.training_instance.instance_type

  subnet_id              = var.network.subnet_id
  vpc_security_group_ids = var.network.security_group_ids
  iam_instance_profile   = var.instance_profile_name

  user_data = templatefile("${path.module}/user_data.sh", {
    install_from   = local.install_from
    python         = var.training_instance.python
    packages       = join(" ", var.training_instance.packages)
    wheelhouse_uri = var.wheelhouse_uri
  })
  # It runs on the first boot only: changed in place, it would never be run.
  user_data_replace_on_change = true

  # A job switches the machine off at its end: that must not cost the disk with its photos and checkpoints.
  instance_initiated_shutdown_behavior = "stop"

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  root_block_device {
    volume_type           = "gp3"
    volume_size           = var.training_instance.volume_gb
    encrypted             = true
    kms_key_id            = var.training_instance.kms_key_arn
    delete_on_termination = true
    tags                  = { Name = "${var.prefix}-training" }
  }

  tags = { Name = "${var.prefix}-training" }

  lifecycle {
    # AWS publishes a new image every other week: without this, each would replace the instance, in the middle of a
    # training run perhaps. To take the new one: terraform apply -replace=<this address>.
    ignore_changes = [ami]
  }
}
