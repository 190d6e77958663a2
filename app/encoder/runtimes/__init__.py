"""Run the network: plainly, and in faster ways.

Start at :mod:`app.encoder.runtimes.base`. :mod:`app.encoder.runtimes.choose` picks a runtime and
checks it against the plain network.
"""
