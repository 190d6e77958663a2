"""Plan, control and predict: pure functions on frozen values, with the standard library alone.

Start at :func:`app.core.plan.plan.make_plan`; everything else reads the returned plan.
"""
