"""Control of the cost of an image: the sizes, settings and budgets that change its plan."""
