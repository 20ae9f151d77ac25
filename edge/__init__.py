"""The gate unit: reads a code, takes the temperature, moves the barrier, tells the server afterwards."""
