"""Ways to run the same network: the plain one, and faster ones that must agree with it.

Start at :mod:`app.encoder.runtimes.base`; :mod:`app.encoder.runtimes.choose` picks one and checks
it.
"""
