"""What `bench.faults` runs: tasks, the faults that they meet, the projects that they run in, what is asked of them."""
