"""The budgets of the design, measured with peers in the same run."""
