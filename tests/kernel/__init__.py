"""Tests against real kernel drivers: a User Mode Linux kernel boots on this machine's own files and runs them. docs/testing.md says how."""
