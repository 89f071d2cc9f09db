"""The wire: SOAP codec, the in-process stub and the HTTPS door. Loads nothing itself."""
