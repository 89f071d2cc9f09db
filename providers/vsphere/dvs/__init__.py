"""Distributed switches: what their resource types share. pyVmomi is imported where it is used."""
