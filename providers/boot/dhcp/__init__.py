"""DHCP for network boot: configurations for dnsmasq and Kea, rendered from the fleet. No DHCP server of our own."""
