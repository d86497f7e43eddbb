"""SAML 2.0, spoken with python3-saml: the only folder that imports it. Who may come in is decided outside of it."""
