"""What a pipeline does with a pull request: plan it, show the plan, and apply that plan once it is merged."""
