"""The fleet language: YAML with places → typed resources, and every error at once."""

from planner.config.jsonschema import json_schema
from planner.config.load import fleet_name, load_fleet
from planner.config.remote import midwife_settings

__all__ = ["fleet_name", "json_schema", "load_fleet", "midwife_settings"]
