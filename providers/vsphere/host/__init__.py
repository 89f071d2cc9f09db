"""What a host does besides being configured: birth, its own door, membership, maintenance mode."""
