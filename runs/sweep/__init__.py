"""Many runs from one command: plan, jobs, progress."""
