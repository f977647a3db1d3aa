mock_provider "aws" {}

variables {
  name     = "kennel-dev"
  role_arn = "arn:aws:iam::123456789012:role/kennel-dev-endpoint"
  model = {
    image       = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.6.0-cpu-py312-ubuntu22.04-sagemaker"
    archive_uri = "s3://kennel-dev-artifacts/models/0000/model.tar.gz"
  }
}

run "names_a_model_after_its_endpoint_and_its_generation" {
  assert {
    condition     = can(regex("^kennel-dev-[0-9a-f]{8}$", output.model_name))
    error_message = "The model's name must be the endpoint's with 8 digits; got ${output.model_name}."
  }
}

run "keeps_the_name_of_a_model_that_stays_the_same" {
  variables {
    endpoint = { instance_type = "ml.m5.xlarge" }
  }

  assert {
    condition     = output.model_name == run.names_a_model_after_its_endpoint_and_its_generation.model_name
    error_message = "Another machine is no reason to make another model."
  }
}

run "gives_another_archive_a_model_of_its_own" {
  variables {
    model = {
      image       = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.6.0-cpu-py312-ubuntu22.04-sagemaker"
      archive_uri = "s3://kennel-dev-artifacts/models/1111/model.tar.gz"
    }
  }

  assert {
    condition     = output.model_name != run.names_a_model_after_its_endpoint_and_its_generation.model_name
    error_message = "Old and new must be able to exist side by side."
  }
}

run "gives_an_earlier_archive_yet_another_model" {
  assert {
    condition = !contains([
      run.names_a_model_after_its_endpoint_and_its_generation.model_name,
      run.gives_another_archive_a_model_of_its_own.model_name,
    ], output.model_name)
    error_message = "After a rollback the earlier model still exists: going back must not take its name."
  }
}
