mock_provider "aws" {}

variables {
  prefix   = "kennel-dev"
  role_arn = "arn:aws:iam::123456789012:role/kennel-dev-notebook"
  network = {
    subnet_id          = "subnet-0000000000000000a"
    security_group_ids = ["sg-0000000000000000a"]
  }
}

run "a_notebook_is_in_the_vpc_without_root_or_a_way_past_it" {
  command = plan

  assert {
    condition     = aws_sagemaker_notebook_instance.this.subnet_id == "subnet-0000000000000000a" && aws_sagemaker_notebook_instance.this.direct_internet_access == "Disabled"
    error_message = "The notebook is not in the subnet, or goes out past it."
  }

  assert {
    condition     = aws_sagemaker_notebook_instance.this.root_access == "Disabled"
    error_message = "The notebook's users are root."
  }

  assert {
    condition     = aws_sagemaker_notebook_instance.this.instance_metadata_service_configuration[0].minimum_instance_metadata_service_version == "2"
    error_message = "IMDSv1 answers on the notebook."
  }
}

run "nothing_stops_a_notebook_unless_asked_to" {
  command = plan

  assert {
    condition     = length(aws_sagemaker_notebook_instance_lifecycle_configuration.idle_stop) == 0 && aws_sagemaker_notebook_instance.this.lifecycle_config_name == null
    error_message = "There is a lifecycle configuration that nobody asked for."
  }
}

run "an_idle_notebook_is_stopped_by_choice" {
  command = apply

  variables {
    notebook = { idle_stop_minutes = 60 }
  }

  assert {
    condition     = strcontains(base64decode(aws_sagemaker_notebook_instance_lifecycle_configuration.idle_stop[0].on_start), "idle_stop.py 60")
    error_message = "The notebook does not look every few minutes whether it has been idle for 60."
  }

  assert {
    condition     = length(aws_sagemaker_notebook_instance_lifecycle_configuration.idle_stop[0].on_start) <= 16384
    error_message = "The script is longer than the 16384 characters that SageMaker takes."
  }

  assert {
    condition     = aws_sagemaker_notebook_instance.this.lifecycle_config_name == "kennel-dev-idle-stop"
    error_message = "The notebook does not run the script."
  }
}

run "root_and_direct_internet_access_are_by_choice" {
  command = plan

  variables {
    notebook = { root_access = true, direct_internet_access = true }
  }

  assert {
    condition     = aws_sagemaker_notebook_instance.this.root_access == "Enabled" && aws_sagemaker_notebook_instance.this.direct_internet_access == "Enabled"
    error_message = "The choices were not taken."
  }
}
