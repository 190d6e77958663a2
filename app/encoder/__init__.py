"""Encode images into vision tokens: device, network, runtimes, and measuring.

The package needs torch and no web stack. Start at :func:`app.encoder.loading.load_encoder`.
"""
