"""Parts of what the twin knows, by domain: documents that `providers.twin.model` puts together."""
