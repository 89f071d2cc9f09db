"""Births: tokens, the check of a birth message, the durable inbox, and the TLS listener that takes them in.

Nothing heavy is imported here: `listener` needs aiohttp, `identity` and `message` need cryptography.
"""
