"""Control the cost of an image by the sizes, settings and budgets that change its plan."""
