"""What crosses the wire, as pydantic models: the API answers with them, the client reads them. No framework here."""
