# An endpoint that may have no instance at all. AWS lets only inference components go down to none, and the provider knows neither
# them nor an endpoint configuration without a model: CloudFormation makes both, and the endpoint between them, in one stack.

# As in the endpoint module: models and configurations have names of their own, and each change makes another. The two do not share
# a module for the model: replace_triggered_by takes resources of its own module only, and what is moved is a change in the plan of
# every deployed stage.
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
    create_before_destroy = true
  }
}

resource "terraform_data" "configuration" {
  triggers_replace = local.configuration
}

# A new model begins with as many copies as are live; their coming and going alone changes nothing.
resource "terraform_data" "copies" {
  input = coalesce(var.live_copies, 1)

  lifecycle {
    ignore_changes       = [input]
    replace_triggered_by = [terraform_data.generation]
  }
}

resource "aws_cloudwatch_log_group" "containers" {
  # SageMaker writes here, whoever made the group; made by us, it has a retention and the role need not create it.
  name              = "/aws/sagemaker/InferenceComponents/${var.component}"
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
    create_before_destroy = true
  }
}

locals {
  configuration = { for property, value in {
    ExecutionRoleArn       = var.role_arn
    EnableNetworkIsolation = var.endpoint.network_isolation
    KmsKeyId               = var.endpoint.volume_kms_key_arn
    VpcConfig              = one([for vpc in var.vpc[*] : { Subnets = vpc.subnet_ids, SecurityGroupIds = vpc.security_group_ids }])
    ProductionVariants = [{
      VariantName          = var.variant
      InstanceType         = var.endpoint.instance_type
      InitialInstanceCount = 1
      ManagedInstanceScaling = {
        Status           = "ENABLED"
        MinInstanceCount = var.autoscaling.min_instances
        MaxInstanceCount = var.autoscaling.max_instances
      }
      RoutingConfig = { RoutingStrategy = "LEAST_OUTSTANDING_REQUESTS" }
    }]
  } : property => value if value != null }
}

resource "aws_cloudformation_stack" "this" {
  name = var.name

  template_body = jsonencode({
    AWSTemplateFormatVersion = "2010-09-09"
    Description              = "An endpoint whose inference component may have no copy."
    Resources = {
      Configuration = {
        Type       = "AWS::SageMaker::EndpointConfig"
        Properties = merge(local.configuration, { EndpointConfigName = "${var.name}-${substr(terraform_data.configuration.id, 0, 8)}" })
      }
      Endpoint = {
        Type = "AWS::SageMaker::Endpoint"
        Properties = {
          EndpointName       = var.name
          EndpointConfigName = { "Fn::GetAtt" = ["Configuration", "EndpointConfigName"] }
        }
      }
      Component = {
        Type = "AWS::SageMaker::InferenceComponent"
        Properties = {
          InferenceComponentName = var.component
          EndpointName           = { "Fn::GetAtt" = ["Endpoint", "EndpointName"] }
          VariantName            = var.variant
          RuntimeConfig          = { CopyCount = terraform_data.copies.output }
          Specification = {
            ModelName = aws_sagemaker_model.this.name
            ComputeResourceRequirements = {
              NumberOfCpuCoresRequired = var.autoscaling.copy.cpu_cores
              MinMemoryRequiredInMb    = var.autoscaling.copy.memory_mb
            }
            StartupParameters = {
              ContainerStartupHealthCheckTimeoutInSeconds = var.endpoint.startup_timeout_seconds
              ModelDataDownloadTimeoutInSeconds           = var.endpoint.download_timeout_seconds
            }
          }
        }
      }
    }
    Outputs = {
      EndpointName           = { Value = { "Fn::GetAtt" = ["Endpoint", "EndpointName"] } }
      EndpointConfigName     = { Value = { "Fn::GetAtt" = ["Configuration", "EndpointConfigName"] } }
      InferenceComponentName = { Value = { "Fn::GetAtt" = ["Component", "InferenceComponentName"] } }
      ModelName              = { Value = aws_sagemaker_model.this.name }
    }
  })

  timeouts {
    create = "60m"
    update = "60m"
    delete = "60m"
  }

  depends_on = [aws_cloudwatch_log_group.containers]
}
