"""The vision encoder: network, checkpoint, device runner and measuring. Needs torch, no web stack.

Start at :func:`app.encoder.loading.load_encoder`.
"""
