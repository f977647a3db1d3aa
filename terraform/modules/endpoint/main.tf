# Models have no name_prefix, and one cannot be changed. Every change makes a new generation, whose id goes into the name. A
# digest of the model instead would meet itself when a rolled-back update is followed by going back to the earlier model.
resource "terraform_data" "generation" {
  triggers_replace = {
    image             = var.model.image
    archive_uri       = var.model.archive_uri
    environment       = var.endpoint.environment
    network_isolation = var.endpoint.network_isolation
    role_arn          = var.role_arn
    vpc               = var.vpc
  }

  lifecycle {
    # The model takes its id, and must be replaced in the same order.
    create_before_destroy = true
  }
}

resource "aws_cloudwatch_log_group" "containers" {
  # SageMaker writes here, whoever made the group; made by us, it has a retention and the role need not create it.
  name              = "/aws/sagemaker/Endpoints/${var.name}"
  retention_in_days = var.endpoint.log_retention_days
}

resource "aws_sagemaker_model" "this" {
  name                     = "${var.name}-${substr(terraform_data.generation.id, 0, 8)}"
  execution_role_arn       = var.role_arn
  enable_network_isolation = var.endpoint.network_isolation

  primary_container {
    image          = var.model.image
    model_data_url = var.model.archive_uri
    environment    = var.endpoint.environment
  }

  dynamic "vpc_config" {
    for_each = var.vpc[*]
    content {
      subnets            = vpc_config.value.subnet_ids
      security_group_ids = vpc_config.value.security_group_ids
    }
  }

  lifecycle {
    # Without it the model goes while the running endpoint still uses it: its instances could not be replaced.
    create_before_destroy = true
  }
}

# Where nothing scales the endpoint, another count makes another configuration. A change of [1] triggers; its coming and going
# with autoscaling does not. [0] never changes: Terraform fails on a trigger of which there is no instance.
resource "terraform_data" "fixed_count" {
  count = var.scaled ? 1 : 2

  triggers_replace = count.index == 0 ? null : var.endpoint.instance_count

  lifecycle {
    # The configuration is replaced with it, in this order.
    create_before_destroy = true
  }
}

# How traffic moves, held from one update to the next. A change of this alone would otherwise be an UpdateEndpoint to the
# configuration that is in service already; a canary chosen for one update would be undone by another such call.
resource "terraform_data" "rollout" {
  input = merge(var.endpoint.deployment, {
    alarm_names = var.endpoint.deployment.rollback_on_alarms ? sort(var.rollback_alarm_names) : []
  })

  lifecycle {
    ignore_changes       = [input]
    replace_triggered_by = [aws_sagemaker_endpoint_configuration.this]
  }
}

resource "aws_sagemaker_endpoint_configuration" "this" {
  name_prefix = "${var.name}-"
  kms_key_arn = var.endpoint.volume_kms_key_arn

  production_variants {
    variant_name                                      = var.variant
    model_name                                        = aws_sagemaker_model.this.name
    instance_type                                     = var.endpoint.instance_type
    initial_instance_count                            = coalesce(var.live_instance_count, var.endpoint.instance_count)
    initial_variant_weight                            = 1
    container_startup_health_check_timeout_in_seconds = var.endpoint.startup_timeout_seconds
    model_data_download_timeout_in_seconds            = var.endpoint.download_timeout_seconds
  }

  dynamic "data_capture_config" {
    for_each = var.capture[*]
    content {
      enable_capture              = true
      initial_sampling_percentage = data_capture_config.value.percent
      destination_s3_uri          = data_capture_config.value.destination_uri
      kms_key_id                  = data_capture_config.value.kms_key_arn

      capture_options {
        capture_mode = "Input"
      }
      capture_options {
        capture_mode = "Output"
      }
      capture_content_type_header {
        json_content_types = ["application/json"]
      }
    }
  }

  lifecycle {
    # Without it the configuration goes before the endpoint has moved off it, and a rollback has nowhere to go back to.
    create_before_destroy = true

    # The live count moves all the time, and is no reason for an update. A configuration that is replaced takes the one given:
    # Terraform ignores changes of what stays only.
    ignore_changes       = [production_variants[0].initial_instance_count]
    replace_triggered_by = [terraform_data.fixed_count]
  }
}

locals {
  rollout = terraform_data.rollout.input
}

resource "aws_sagemaker_endpoint" "this" {
  name                 = var.name
  endpoint_config_name = aws_sagemaker_endpoint_configuration.this.name

  deployment_config {
    blue_green_update_policy {
      termination_wait_in_seconds          = local.rollout.termination_wait_seconds
      maximum_execution_timeout_in_seconds = local.rollout.execution_timeout_seconds

      traffic_routing_configuration {
        type                     = local.rollout.routing
        wait_interval_in_seconds = local.rollout.wait_seconds

        dynamic "canary_size" {
          for_each = local.rollout.routing == "CANARY" ? [local.rollout.canary_percent] : []
          content {
            type  = "CAPACITY_PERCENT"
            value = canary_size.value
          }
        }

        dynamic "linear_step_size" {
          for_each = local.rollout.routing == "LINEAR" ? [local.rollout.linear_percent] : []
          content {
            type  = "CAPACITY_PERCENT"
            value = linear_step_size.value
          }
        }
      }
    }

    dynamic "auto_rollback_configuration" {
      for_each = length(local.rollout.alarm_names) > 0 ? [local.rollout.alarm_names] : []
      content {
        dynamic "alarms" {
          for_each = auto_rollback_configuration.value
          content {
            alarm_name = alarms.value
          }
        }
      }
    }
  }

  lifecycle {
    # A rolled-back update ends InService, which the provider takes for success; the old configuration, still in use, would
    # go next. Failing here stops the apply before that.
    postcondition {
      condition     = self.endpoint_config_name == aws_sagemaker_endpoint_configuration.this.name
      error_message = "The endpoint ${self.name} runs configuration ${self.endpoint_config_name}, not the planned ${aws_sagemaker_endpoint_configuration.this.name}: the update was rolled back, and the earlier model serves on. Both configurations are kept: correct the cause, or go back to the earlier model, and apply again."
    }
  }

  # Without it SageMaker makes the log group itself, without retention, and creating ours fails.
  depends_on = [aws_cloudwatch_log_group.containers]
}
