"""The server of an emulated xenstore."""
