"""Tests that run inside the kernel under test, all in one boot."""
