"""Tables of what a newborn ESXi 8.0.3 host has: services, firewall rule sets, advanced options."""
