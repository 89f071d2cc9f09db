"""Views: one host model as the API shows it. All `config.*` properties and all manager objects use these."""
