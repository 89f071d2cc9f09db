"""A host's own path to vCenter, moved without being lost: what `management:` plans, calls and reads."""
