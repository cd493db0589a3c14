"""What runs in domain 0, without the harness around it."""
