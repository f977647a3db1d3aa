mock_provider "aws" {
  mock_data "aws_ssm_parameter" {
    defaults = { insecure_value = "ami-0123456789abcdef0" }
  }
}

variables {
  prefix                = "kennel-dev"
  instance_profile_name = "kennel-dev-training"
  wheelhouse_uri        = "s3://kennel-dev-artifacts/wheelhouse/"
  network = {
    subnet_id            = "subnet-0000000000000000a"
    security_group_ids   = ["sg-0000000000000000a"]
    internet             = true
    package_repositories = true
    session_manager      = true
  }
}

run "the_replaced_workflows_machine_is_the_default" {
  command = plan

  assert {
    condition     = aws_instance.this.instance_type == "t2.xlarge"
    error_message = "The default type is not t2.xlarge."
  }

  assert {
    condition     = data.aws_ssm_parameter.ami.name == "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
    error_message = "The image is not the current Amazon Linux 2023."
  }
}

run "credentials_need_imdsv2_and_stay_on_the_instance" {
  command = plan

  assert {
    condition     = aws_instance.this.metadata_options[0].http_tokens == "required" && aws_instance.this.metadata_options[0].http_put_response_hop_limit == 1
    error_message = "IMDSv1 answers, or a container on the instance gets its credentials."
  }
}

run "the_disk_is_encrypted_and_goes_with_the_instance" {
  command = plan

  assert {
    condition     = aws_instance.this.root_block_device[0].encrypted && aws_instance.this.root_block_device[0].volume_type == "gp3" && aws_instance.this.root_block_device[0].delete_on_termination
    error_message = "The disk is not encrypted, not gp3, or outlives the instance."
  }
}

run "the_way_in_is_session_manager_not_ssh" {
  command = apply

  assert {
    condition     = aws_instance.this.iam_instance_profile == "kennel-dev-training" && aws_instance.this.vpc_security_group_ids == toset(["sg-0000000000000000a"])
    error_message = "The instance does not run with the role and group given."
  }

  assert {
    condition     = !strcontains(aws_instance.this.user_data, "ssh")
    error_message = "User data has to do with ssh."
  }
}

run "a_machine_that_switches_itself_off_keeps_its_disk" {
  command = plan

  assert {
    condition     = aws_instance.this.instance_initiated_shutdown_behavior == "stop"
    error_message = "The end of a job would terminate the instance."
  }
}

run "what_training_writes_is_kept_for_a_while" {
  command = plan

  assert {
    condition     = aws_cloudwatch_log_group.this.name == "/aws/ssm/kennel-dev-training" && aws_cloudwatch_log_group.this.retention_in_days == 30
    error_message = "The log group is not the instance's own, or keeps everything for ever."
  }
}

run "with_a_way_out_packages_come_from_pypi" {
  command = plan

  assert {
    condition     = output.install_from == "pypi" && !strcontains(aws_instance.this.user_data, "--no-index")
    error_message = "Packages do not come from PyPI."
  }

  assert {
    condition     = strcontains(aws_instance.this.user_data, "pip install --no-cache-dir boto3==")
    error_message = "The pinned packages are not installed."
  }
}

run "without_a_way_out_packages_come_from_the_wheelhouse" {
  command = plan

  variables {
    network = {
      subnet_id            = "subnet-0000000000000000a"
      security_group_ids   = ["sg-0000000000000000a"]
      internet             = false
      package_repositories = true
      session_manager      = true
    }
  }

  assert {
    condition     = output.install_from == "wheelhouse" && strcontains(aws_instance.this.user_data, "aws s3 sync --only-show-errors s3://kennel-dev-artifacts/wheelhouse/ /opt/kennel/wheelhouse/")
    error_message = "The wheelhouse is not fetched."
  }

  assert {
    condition     = strcontains(aws_instance.this.user_data, "--no-index --find-links /opt/kennel/wheelhouse")
    error_message = "pip would look on PyPI, which cannot be reached."
  }
}

run "a_graviton_type_gets_a_graviton_image" {
  command = plan

  variables {
    training_instance = { instance_type = "c7g.4xlarge" }
  }

  assert {
    condition     = endswith(data.aws_ssm_parameter.ami.name, "-arm64")
    error_message = "The image is not for the type's architecture."
  }
}

run "a_gpu_type_gets_an_x86_image" {
  command = plan

  variables {
    training_instance = { instance_type = "g4dn.xlarge" }
  }

  assert {
    condition     = endswith(data.aws_ssm_parameter.ami.name, "-x86_64")
    error_message = "The image is not for the type's architecture."
  }
}

run "new_user_data_makes_a_new_instance" {
  command = plan

  assert {
    condition     = aws_instance.this.user_data_replace_on_change
    error_message = "Changed user data would never be run."
  }
}

run "the_first_graviton_family_gets_an_arm_image" {
  command = plan

  variables {
    training_instance = { instance_type = "a1.4xlarge" }
  }

  assert {
    condition     = endswith(data.aws_ssm_parameter.ami.name, "-arm64")
    error_message = "The image is not for the type's architecture."
  }
}
