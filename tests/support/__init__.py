"""What tests of several packages build on."""
