"""Planning: pure functions on frozen values, on the standard library alone.

Start at :func:`app.core.plan.plan.make_plan`; everything else reads the value it returns.
"""
