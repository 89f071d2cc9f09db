"""A small DHCP client and the network that it asks in: for tests that talk to real DHCP servers."""
