"""The runner's side of a remote midwife: `provider.boot: {midwife: URL, identity: …}`."""
