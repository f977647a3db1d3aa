mock_provider "aws" {
  mock_resource "aws_appautoscaling_policy" {
    defaults = { arn = "arn:aws:autoscaling:us-east-1:123456789012:scalingPolicy:0:resource/sagemaker/kennel-dev:policyName/kennel-dev" }
  }
  mock_resource "aws_cloudformation_stack" {
    defaults = { outputs = { EndpointConfigName = "kennel-dev-0a1b2c3d", ModelName = "kennel-dev-4e5f6a7b" } }
  }
}

variables {
  name      = "kennel-dev"
  component = "kennel-dev-classifier"

  autoscaling = { min_instances = 0 }

  role_arn = "arn:aws:iam::123456789012:role/kennel-dev-endpoint"
  model = {
    image       = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.6.0-cpu-py312-ubuntu22.04-sagemaker"
    archive_uri = "s3://kennel-dev-artifacts/models/0000/model.tar.gz"
  }
}

run "makes_an_endpoint_that_may_have_no_instance" {
  assert {
    condition = jsondecode(aws_cloudformation_stack.this.template_body).Resources.Configuration.Properties.ProductionVariants == [{
      VariantName            = "primary"
      InstanceType           = "ml.m5.large"
      InitialInstanceCount   = 1
      ManagedInstanceScaling = { Status = "ENABLED", MinInstanceCount = 0, MaxInstanceCount = 4 }
      RoutingConfig          = { RoutingStrategy = "LEAST_OUTSTANDING_REQUESTS" }
    }]
    error_message = "The variant must name no model and manage its instances, down to none."
  }
  assert {
    condition     = jsondecode(aws_cloudformation_stack.this.template_body).Resources.Configuration.Properties.ExecutionRoleArn == var.role_arn
    error_message = "A configuration without a model needs the role."
  }
  assert {
    condition = jsondecode(aws_cloudformation_stack.this.template_body).Resources.Component.Properties.Specification == {
      ModelName                   = aws_sagemaker_model.this.name
      ComputeResourceRequirements = { NumberOfCpuCoresRequired = 1, MinMemoryRequiredInMb = 1024 }
      StartupParameters           = { ContainerStartupHealthCheckTimeoutInSeconds = 300, ModelDataDownloadTimeoutInSeconds = 600 }
    }
    error_message = "The component must serve the model."
  }
}

run "scales_copies_to_zero_and_back" {
  assert {
    condition = (
      aws_appautoscaling_target.copies.min_capacity == 0
      && aws_appautoscaling_target.copies.resource_id == "inference-component/kennel-dev-classifier"
      && aws_appautoscaling_target.copies.scalable_dimension == "sagemaker:inference-component:DesiredCopyCount"
    )
    error_message = "Copies must scale, down to none."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.from_zero.metric_name == "NoCapacityInvocationFailures" && aws_cloudwatch_metric_alarm.from_zero.alarm_actions == toset([aws_appautoscaling_policy.from_zero.arn])
    error_message = "A refused request must bring the first copy."
  }
}

run "keeps_what_is_live_where_nothing_else_changes" {
  variables {
    live_copies = 3
  }

  assert {
    condition     = jsondecode(aws_cloudformation_stack.this.template_body).Resources.Component.Properties.RuntimeConfig.CopyCount == 1
    error_message = "The live count alone must change nothing."
  }
}

run "gives_a_new_model_as_many_copies_as_are_live" {
  variables {
    live_copies = 3
    model = {
      image       = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.6.0-cpu-py312-ubuntu22.04-sagemaker"
      archive_uri = "s3://kennel-dev-artifacts/models/1111/model.tar.gz"
    }
  }

  assert {
    condition     = jsondecode(aws_cloudformation_stack.this.template_body).Resources.Component.Properties.RuntimeConfig.CopyCount == 3
    error_message = "An update must keep what was scaled out."
  }
}
