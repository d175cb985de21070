"""What people run beside the pipeline: parameters, gate, comparison, study, pull request, cost."""
