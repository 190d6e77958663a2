"""Runtimes: the plain network, and faster ways to run the same network.

Start at :mod:`app.encoder.runtimes.base`. :mod:`app.encoder.runtimes.choose` picks a runtime and
checks it against the plain network.
"""
