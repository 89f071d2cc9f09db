"""Births and the service around them: tokens, the check of a birth message, the durable inbox, the TLS listener, the
long-lived midwife (`service`), its API (`api`) and the runner's side of it (`remote`). See README.md.

Nothing heavy is imported here.
"""
