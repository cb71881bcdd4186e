"""What tests and the examples' demonstrations share."""
